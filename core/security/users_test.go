package security

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"
)

// someArgon has the salt "saltsalt" and a key of 16 zeros: nobody's password.
const someArgon = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"

func TestHashesAreArgon2idOrBcryptAndNeitherWeakNorCostly(t *testing.T) {
	b, err := bcrypt.GenerateFromPassword([]byte("secret"), minBcryptCost)
	if err != nil {
		t.Fatal(err)
	}
	argon := func(parameters string) string {
		return "$argon2id$v=19$" + parameters + "$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"
	}
	for _, test := range []struct {
		name, hash string
		want       error
	}{
		{"argon2id", someArgon, nil},
		{"bcrypt", string(b), nil},
		{"bcrypt of htpasswd", strings.Replace(string(b), "$2a$", "$2y$", 1), nil},
		{"no password", "*", nil},
		{"empty", "", errHashFormat},
		{"plain text", "secret", errHashFormat},
		{"MD5 of htpasswd", "$apr1$c2FsdA$MdpQQlsXmZmTmZ8XEHj3B/", errHashFormat},
		{"SHA-1 of htpasswd", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", errHashFormat},
		{"crypt", "rqXexS6ZhobKA", errHashFormat},
		{"SHA-512 crypt", "$6$salt$hash", errHashFormat},
		{"argon2i", strings.Replace(someArgon, "argon2id", "argon2i", 1), errHashFormat},
		{"bcrypt, cut", string(b[:59]), errHashFormat},
		{"bcrypt, cost 4", strings.Replace(string(b), "$05$", "$04$", 1), errHashWeak},
		{"bcrypt, cost 16", strings.Replace(string(b), "$05$", "$16$", 1), errHashCostly},
		{"argon2id, 1 MiB", argon("m=1024,t=2,p=1"), errHashWeak},
		{"argon2id, 4 GiB", argon("m=4194304,t=2,p=1"), errHashCostly},
		{"argon2id, 1000 rounds", argon("m=19456,t=1000,p=1"), errHashCostly},
		{"argon2id, no rounds", argon("m=19456,t=0,p=1"), errHashFormat},
		{"argon2id, parameters in another order", argon("t=2,m=19456,p=1"), errHashFormat},
		{"argon2id, short salt", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$AAAAAAAAAAAAAAAAAAAAAA", errHashWeak},
		{"argon2id, short key", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$AAAA", errHashWeak},
		{"argon2id, another version", strings.Replace(someArgon, "v=19", "v=16", 1), errHashFormat},
		{"long", argonPrefix + strings.Repeat("a", maxHash), errHashFormat},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := parseHash(test.hash); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestPasswordsMatchTheirHashOnly(t *testing.T) {
	long := strings.Repeat("x", 72)
	for name, text := range map[string]string{"argon2id": hashOf(t, long), "bcrypt": bcryptOf(t, long)} {
		h, err := parseHash(text)
		if err != nil {
			t.Fatal(err)
		}
		for password, want := range map[string]bool{long: true, long + "y": false, long[1:]: false, "": false} {
			if got := h.matches(password); got != want {
				t.Errorf("%s: a password of %d bytes matches: %v", name, len(password), got)
			}
		}
	}
	if none, _ := parseHash("*"); none.matches("*") {
		t.Error("* is a password")
	}
	if a, b := hashOf(t, "same"), hashOf(t, "same"); a == b {
		t.Error("two hashes of one password are alike: no salt")
	}
	for _, bad := range []string{"", strings.Repeat("x", MaxPassword+1)} {
		if _, err := HashPassword(bad); err == nil {
			t.Errorf("a password of %d bytes was taken", len(bad))
		}
	}
}

func bcryptOf(t *testing.T, password string) string {
	t.Helper()
	b, err := bcrypt.GenerateFromPassword([]byte(password), minBcryptCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestUsersFileIsReadChangedAndWritten(t *testing.T) {
	u, err := ParseUsers("# who may in\n\nalice:" + someArgon + ":ops,billing,ops\r\n  meter-17:*:meters  \nbob:" + someArgon)
	if err != nil {
		t.Fatal(err)
	}
	alice, bob := u.Find("alice"), u.Find("bob")
	if alice == nil || bob == nil || u.Find("carol") != nil || u.Len() != 3 {
		t.Fatalf("found %v, %v among %d", alice, bob, u.Len())
	}
	if diff := cmp.Diff([]string{"billing", "ops"}, alice.Groups); diff != "" || !alice.HasPassword() || u.Find("meter-17").HasPassword() {
		t.Errorf("alice is %+v: %s", alice, diff)
	}
	if err := u.Add("dave", "*", []string{"b", "a"}); err != nil {
		t.Fatal(err)
	}
	if err := u.Remove("bob"); err != nil {
		t.Fatal(err)
	}
	if err := u.SetHash("meter-17", someArgon); err != nil {
		t.Fatal(err)
	}
	want := "# who may in\n\nalice:" + someArgon + ":billing,ops\nmeter-17:" + someArgon + ":meters\ndave:*:a,b\n"
	if diff := cmp.Diff(want, u.String()); diff != "" {
		t.Error(diff)
	}
	for what, err := range map[string]error{
		"add a second": u.Add("alice", "*", nil), "add a bad hash": u.Add("x", "plain", nil), "add a bad name": u.Add("a:b", "*", nil),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	for what, err := range map[string]error{"remove": u.Remove("nobody"), "set": u.SetHash("nobody", "*")} {
		if !errors.Is(err, ErrUserUnknown) {
			t.Errorf("%s nobody: %v", what, err)
		}
	}
	if u.String() != want {
		t.Error("what failed has changed the file")
	}
}

func TestWrongLinesOfTheUsersFileAreNamed(t *testing.T) {
	_, err := ParseUsers("alice:" + someArgon + "\nbob\n#\ncarol:{SHA}x\nalice:*\n@x:*\ny:*:a,,b\n:*\n")
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"line 2: want name:hash", `line 4: user "carol"`, `line 5: user "alice": the user exists`, "line 6:", "line 7:", "line 8: the name is empty"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if _, err := ParseUsers("a:*:" + strings.Repeat("g", maxLine)); err == nil {
		t.Error("a line beyond the limit was taken")
	}
	if strings.Contains(fmt.Sprint(err), "{SHA}") {
		t.Error("the error shows a hash")
	}
}

func FuzzParseUsers(f *testing.F) {
	f.Add("alice:" + someArgon + ":a,b\n# comment\n\nbob:*\n")
	f.Add("x:$2y$05$abcdefghijklmnopqrstuv:\n")
	f.Add("a\rb:*\n")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ParseUsers(text)
		if err != nil {
			return
		}
		written := u.String()
		again, err := ParseUsers(written)
		if err != nil {
			t.Fatalf("what was written can't be read: %v\n%s", err, written)
		}
		if again.String() != written || again.Len() != u.Len() {
			t.Fatalf("written %q, then %q", written, again.String())
		}
	})
}
