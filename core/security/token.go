package security

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TokenOptions say which JWTs log clients in. The zero value: none do.
type TokenOptions struct {
	Keys        string // a JWKS: file, or https URL
	Issuer      string // that iss must be, "" for any
	Audience    string // that aud must hold
	NameClaim   string // ["sub"]
	GroupsClaim string // ["groups"]: a list, or a text with blanks between
}

// tokenMethods is every signature that is ever accepted. Which of them a key
// verifies is decided by the key, never by the token.
var tokenMethods = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512",
}

const (
	maxToken    = 16 << 10 // bytes
	tokenLeeway = 30 * time.Second
)

// tokens verifies JWTs in the place of passwords.
type tokens struct {
	o      TokenOptions
	keys   *keySet
	parser *jwt.Parser
}

func newTokens(o TokenOptions, now func() time.Time, log *slog.Logger) (*tokens, error) {
	if o.Keys == "" {
		return nil, nil
	}
	if o.Audience == "" {
		return nil, errors.New("tokens need an audience: without one those made for any other service would be taken")
	}
	if o.NameClaim == "" {
		o.NameClaim = "sub"
	}
	if o.GroupsClaim == "" {
		o.GroupsClaim = "groups"
	}
	keys, err := newKeySet(o.Keys, now, log)
	if err != nil {
		return nil, fmt.Errorf("keys of tokens: %w", err)
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(tokenMethods), jwt.WithExpirationRequired(), jwt.WithAudience(o.Audience),
		jwt.WithLeeway(tokenLeeway), jwt.WithTimeFunc(now), jwt.WithStrictDecoding(),
	}
	if o.Issuer != "" {
		options = append(options, jwt.WithIssuer(o.Issuer))
	}
	return &tokens{o: o, keys: keys, parser: jwt.NewParser(options...)}, nil
}

// looksLikeToken reports whether a password is a signed JWT by its shape: a
// JSON object, which base64 makes start with eyJ, and two dots.
func looksLikeToken(password string) bool {
	return strings.HasPrefix(password, "eyJ") && strings.Count(password, ".") == 2
}

// verify returns whom the token is for.
func (t *tokens) verify(ctx context.Context, text string) (*Principal, error) {
	if len(text) > maxToken {
		return nil, fmt.Errorf("the token has %d bytes, the limit is %d", len(text), maxToken)
	}
	claims := jwt.MapClaims{}
	_, err := t.parser.ParseWithClaims(text, claims, func(token *jwt.Token) (any, error) {
		if _, ok := token.Header["crit"]; ok {
			return nil, errors.New("the token has extensions that must be understood")
		}
		id, _ := token.Header["kid"].(string)
		keys, err := t.keys.find(ctx, id, token.Method.Alg())
		if err != nil {
			return nil, err
		}
		set := jwt.VerificationKeySet{}
		for _, k := range keys {
			set.Keys = append(set.Keys, k)
		}
		return set, nil
	})
	if err != nil {
		return nil, err
	}
	return t.principal(claims)
}

func (t *tokens) principal(claims jwt.MapClaims) (*Principal, error) {
	name, ok := claims[t.o.NameClaim].(string)
	if !ok {
		return nil, fmt.Errorf("the token has no text in the claim %q", t.o.NameClaim)
	}
	if err := validateForeignName(name); err != nil {
		return nil, fmt.Errorf("claim %q: %w", t.o.NameClaim, err)
	}
	groups, err := groupsOf(claims[t.o.GroupsClaim])
	if err != nil {
		return nil, fmt.Errorf("claim %q: %w", t.o.GroupsClaim, err)
	}
	expires, err := claims.GetExpirationTime()
	if err != nil {
		return nil, err
	}
	return &Principal{Name: name, Groups: groups, How: ByToken, Expires: expires.Add(tokenLeeway)}, nil
}

func groupsOf(claim any) (groups []string, err error) {
	switch c := claim.(type) {
	case nil:
		return nil, nil
	case string:
		groups = strings.Fields(c)
	case []any:
		for _, v := range c {
			g, ok := v.(string)
			if !ok {
				return nil, errors.New("a group is not a text")
			}
			groups = append(groups, g)
		}
	default:
		return nil, errors.New("it is neither a list nor a text")
	}
	if len(groups) > maxGroups {
		return nil, fmt.Errorf("%d groups, the limit is %d", len(groups), maxGroups)
	}
	for _, g := range groups {
		if err := validateForeignName(g); err != nil {
			return nil, fmt.Errorf("group %.64q: %w", g, err)
		}
	}
	return normalGroups(groups), nil
}
