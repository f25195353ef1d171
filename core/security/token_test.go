package security

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

// issuer makes tokens of every kind, and the JWKS to check them with.
type issuer struct {
	rsa    *rsa.PrivateKey
	ec     *ecdsa.PrivateKey
	ed     ed25519.PrivateKey
	secret []byte
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	r, err1 := rsa.GenerateKey(rand.Reader, 2048)
	e, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, d, err3 := ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return &issuer{rsa: r, ec: e, ed: d, secret: []byte("0123456789abcdef0123456789abcdef")}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (i *issuer) keys() []map[string]any {
	point, err := i.ec.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	public, ok := i.ed.Public().(ed25519.PublicKey)
	if !ok {
		panic("not an Ed25519 key")
	}
	return []map[string]any{
		{"kty": "RSA", "kid": "r", "use": "sig", "n": b64(i.rsa.N.Bytes()), "e": b64(big.NewInt(int64(i.rsa.E)).Bytes())},
		{"kty": "EC", "kid": "e", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])},
		{"kty": "OKP", "kid": "d", "crv": "Ed25519", "x": b64(public)},
		{"kty": "oct", "kid": "s", "k": b64(i.secret)},
		{"kty": "RSA", "kid": "enc", "use": "enc", "n": "AQAB", "e": "AQAB"}, // left out: not for signatures
		{"kty": "new", "kid": "n"}, // left out: unknown
	}
}

func keySetOf(t testing.TB, keys []map[string]any) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func sign(t testing.TB, m jwt.SigningMethod, kid string, key any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(m, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var testTime = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func goodClaims(edit ...func(jwt.MapClaims)) jwt.MapClaims {
	c := jwt.MapClaims{
		"sub": "alice", "iss": "https://id.example", "aud": []string{"entrepot", "other"}, "exp": testTime.Add(time.Hour).Unix(),
		"groups": []string{"ops", "billing"},
	}
	for _, f := range edit {
		f(c)
	}
	return c
}

func with(name string, value any) func(jwt.MapClaims) {
	return func(c jwt.MapClaims) {
		if value == nil {
			delete(c, name)
		} else {
			c[name] = value
		}
	}
}

func openTokens(t testing.TB, keys string) *Security {
	t.Helper()
	s, err := Open(Options{
		Tokens: TokenOptions{Keys: keys, Issuer: "https://id.example", Audience: "entrepot"},
		Now:    func() time.Time { return testTime },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func login(s *Security, name, passcode string) (*Principal, error) {
	return s.Authenticate(context.Background(), Credentials{Login: name, Passcode: NewSecret(passcode)})
}

func TestTokensOfEveryKindLogIn(t *testing.T) {
	i := newIssuer(t)
	s := openTokens(t, writeFile(t, "jwks.json", keySetOf(t, i.keys())))
	want := &Principal{Name: "alice", Groups: []string{"billing", "ops"}, How: ByToken, Expires: testTime.Add(time.Hour + tokenLeeway)}
	for name, token := range map[string]string{
		"RS256":          sign(t, jwt.SigningMethodRS256, "r", i.rsa, goodClaims()),
		"PS512":          sign(t, jwt.SigningMethodPS512, "r", i.rsa, goodClaims()),
		"ES256":          sign(t, jwt.SigningMethodES256, "e", i.ec, goodClaims()),
		"EdDSA":          sign(t, jwt.SigningMethodEdDSA, "d", i.ed, goodClaims()),
		"HS256":          sign(t, jwt.SigningMethodHS256, "s", i.secret, goodClaims()),
		"without kid":    sign(t, jwt.SigningMethodES256, "", i.ec, goodClaims()),
		"groups as text": sign(t, jwt.SigningMethodES256, "e", i.ec, goodClaims(with("groups", "ops billing ops"))),
		"just expired":   sign(t, jwt.SigningMethodES256, "e", i.ec, goodClaims(with("exp", testTime.Add(time.Hour).Unix()))),
	} {
		p, err := login(s, "whatever", token)
		if err != nil {
			t.Errorf("%s: %v", name, errors.Unwrap(err))
			continue
		}
		p.Expires = p.Expires.UTC()
		if diff := cmp.Diff(want, p, cmp.AllowUnexported(Principal{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestTokensThatProveNothingAreRefused(t *testing.T) {
	i, other := newIssuer(t), newIssuer(t)
	s := openTokens(t, writeFile(t, "jwks.json", keySetOf(t, i.keys())))
	es := func(edit ...func(jwt.MapClaims)) string {
		return sign(t, jwt.SigningMethodES256, "e", i.ec, goodClaims(edit...))
	}
	critical := jwt.NewWithClaims(jwt.SigningMethodES256, goodClaims())
	critical.Header["kid"], critical.Header["crit"] = "e", []string{"x"}
	withExtension, err := critical.SignedString(i.ec)
	if err != nil {
		t.Fatal(err)
	}
	good := es()
	rsaPublic := b64(i.rsa.N.Bytes())
	for name, token := range map[string]string{
		"no signature":                   sign(t, jwt.SigningMethodNone, "e", jwt.UnsafeAllowNoneSignatureType, goodClaims()),
		"another's key":                  sign(t, jwt.SigningMethodES256, "e", other.ec, goodClaims()),
		"HMAC with the public key":       sign(t, jwt.SigningMethodHS256, "r", []byte(rsaPublic), goodClaims()),
		"HMAC with a public key, no kid": sign(t, jwt.SigningMethodHS256, "", []byte(rsaPublic), goodClaims()),
		"a key for another method":       sign(t, jwt.SigningMethodES256, "d", i.ec, goodClaims()),
		"an unknown kid":                 sign(t, jwt.SigningMethodES256, "x", i.ec, goodClaims()),
		"extensions":                     withExtension,
		"expired":                        es(with("exp", testTime.Add(-time.Minute).Unix())),
		"no expiry":                      es(with("exp", nil)),
		"not yet":                        es(with("nbf", testTime.Add(time.Minute).Unix())),
		"another issuer":                 es(with("iss", "https://evil.example")),
		"no issuer":                      es(with("iss", nil)),
		"another audience":               es(with("aud", "other")),
		"no audience":                    es(with("aud", nil)),
		"no name":                        es(with("sub", nil)),
		"an empty name":                  es(with("sub", "")),
		"a number as name":               es(with("sub", 7)),
		"a control character":            es(with("sub", "al\nice")),
		"groups as number":               es(with("groups", 7)),
		"a number among groups":          es(with("groups", []any{"a", 7})),
		"too many groups":                es(with("groups", strings.Split(strings.Repeat("g,", maxGroups), ","))),
		"cut":                            good[:len(good)-3],
		"changed":                        strings.Replace(good, ".", "x.", 1),
		"too long":                       es(with("x", strings.Repeat("x", maxToken))),
		"no token":                       "secret",
	} {
		p, err := login(s, "alice", token)
		var refused *RefusedError
		if p != nil || !errors.As(err, &refused) {
			t.Errorf("%s: got %+v, %v", name, p, err)
			continue
		}
		if err.Error() != (&RefusedError{}).Error() {
			t.Errorf("%s: the client is told %q", name, err)
		}
	}
}

func TestWeakAndMalformedKeysAreRefused(t *testing.T) {
	i := newIssuer(t)
	change := func(n int, edit map[string]any) string {
		k := maps.Clone(i.keys()[n])
		maps.Copy(k, edit)
		return keySetOf(t, []map[string]any{k})
	}
	for name, test := range map[string]struct{ text, want string }{
		"not JSON":         {"{", "is not a JWKS"},
		"no keys":          {`{"keys":[]}`, "has no key"},
		"RSA 1024":         {change(0, map[string]any{"n": b64(make([]byte, 128))}), "an RSA key of 0 bits"},
		"even exponent":    {change(0, map[string]any{"e": "Ag"}), "no public exponent"},
		"not on the curve": {change(1, map[string]any{"x": b64(make([]byte, 32))}), "no point of the curve"},
		"long coordinate":  {change(1, map[string]any{"x": b64(make([]byte, 33))}), "too long"},
		"short Ed25519":    {change(2, map[string]any{"x": "AA"}), "x has 1 bytes"},
		"short secret":     {change(3, map[string]any{"k": b64(make([]byte, 31))}), "a secret of 31 bytes"},
		"alg of another":   {change(0, map[string]any{"alg": "HS256"}), "does not go with"},
		"not base64":       {change(3, map[string]any{"k": "%"}), "not base64url"},
	} {
		if _, err := parseKeySet([]byte(test.text), true); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := parseKeySet([]byte(change(3, nil)), false); err == nil || !strings.Contains(err.Error(), "use a file") {
		t.Errorf("a secret from an address: %v", err)
	}
	for _, o := range []TokenOptions{
		{Keys: "jwks.json"}, // no audience
		{Keys: "http://id.example/jwks", Audience: "a"},
		{Keys: "ftp://id.example/jwks", Audience: "a"},
		{Keys: "https://user:pass@id.example/jwks", Audience: "a"},
		{Keys: "https:///jwks", Audience: "a"},
		{Keys: "no such file", Audience: "a"},
	} {
		if _, err := newTokens(o, time.Now, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func TestFetchedKeysFollowTheIssuerAndOutliveItsFailures(t *testing.T) {
	first, second := newIssuer(t), newIssuer(t)
	var answer atomic.Pointer[string]
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		text := *answer.Load()
		if strings.HasPrefix(text, "redirect") {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	set := func(text string) { answer.Store(&text) }
	now := testTime
	s, err := Open(Options{Tokens: TokenOptions{Keys: server.URL, Audience: "entrepot"}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.rules.Load().tokens.keys.client.CloseIdleConnections()
	try := func(what string, i *issuer, kid string, wantErr error, wantAsked int64) {
		t.Helper()
		_, err := login(s, "", sign(t, jwt.SigningMethodES256, kid, i.ec, goodClaims()))
		ok := errors.Is(err, wantErr)
		if _, anyRefusal := errors.AsType[*RefusedError](wantErr); anyRefusal {
			_, ok = errors.AsType[*RefusedError](err)
		}
		if !ok || asked.Load() != wantAsked {
			t.Fatalf("%s: %v after %d requests, want %v after %d", what, err, asked.Load(), wantErr, wantAsked)
		}
	}
	refused := &RefusedError{}
	set("redirect")
	try("a redirect is not followed", first, "e", ErrBusy, 1)
	set(keySetOf(t, first.keys()[:3]))
	try("no second try at once", first, "e", refused, 1)
	now = now.Add(keysPause + time.Second)
	try("the keys are there", first, "e", nil, 2)
	try("and known", first, "e", nil, 2)
	rotated := second.keys()[:3]
	rotated[1]["kid"] = "e2"
	set(keySetOf(t, rotated))
	try("made-up ids cost no request", second, "e2", refused, 2)
	now = now.Add(keysPause + time.Second)
	try("a new key is found", second, "e2", nil, 3)
	try("the old one is gone", first, "e", refused, 3)
	set("broken")
	now = now.Add(keysFor + time.Second)
	try("old keys outlive a failure", second, "e2", nil, 4)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	try("and a reload", second, "e2", nil, 4)
}

func FuzzKeySet(f *testing.F) {
	i := newIssuer(f)
	f.Add([]byte(keySetOf(f, i.keys())))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeySet(text, true)
		if err == nil && len(keys) == 0 {
			t.Fatal("no keys and no error")
		}
		for _, k := range keys {
			if k.key == nil || len(k.methods) == 0 {
				t.Fatalf("key %+v", k)
			}
		}
	})
}

func FuzzToken(f *testing.F) {
	i := newIssuer(f)
	good := sign(f, jwt.SigningMethodES256, "e", i.ec, goodClaims())
	f.Add(good)
	f.Add(sign(f, jwt.SigningMethodHS256, "s", i.secret, goodClaims()))
	f.Add("eyJ..")
	s := openTokens(f, writeFile(f, "jwks.json", keySetOf(f, i.keys())))
	body, _, _ := strings.Cut(good[strings.Index(good, ".")+1:], ".")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := login(s, "", text)
		// Nobody can make a token but the issuer; what is taken says what a
		// seed said.
		if err == nil && (p.Name != "alice" || !strings.Contains(text, body) && !strings.HasPrefix(text, "eyJhbGciOiJIUzI1NiIs")) {
			t.Fatalf("%q logs in %+v", text, p)
		}
	})
}
