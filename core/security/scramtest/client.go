// Package scramtest is a SCRAM-SHA-256 client for tests of frontends and of
// core/security: RFC 5802 from the other side, written down on its own.
package scramtest

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// Password is RFC 7677's, and Verifier and Bcrypt are what a users file has of
// it: with few iterations, so that a test takes none of its time for them.
const (
	Password = "pencil"
	Verifier = "$scram-sha-256$i=4096$W22ZaJ0SNY7soEsUEjb6gQ$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY$wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU"
	Bcrypt   = "$2a$05$fgygwSWdCn.ZDRXe4d7M1.dtNatYdCjA37sOXkIQqCsjzwMOuNHwu"
)

// Client is a login. Its fields may be changed before First.
type Client struct {
	Name     string // as it goes over the wire, with its escapes
	Password string // prepared
	Nonce    string // ["fyko+d2lbbFgONRv9qkxdawL", RFC 5802's]
	Head     string // gs2-header ["n,,"]

	wanted string // the broker's last message
}

func (c *Client) bare() string {
	if c.Nonce == "" {
		c.Nonce = "fyko+d2lbbFgONRv9qkxdawL"
	}
	if c.Head == "" {
		c.Head = "n,,"
	}
	return "n=" + c.Name + ",r=" + c.Nonce
}

// First is the client-first-message.
func (c *Client) First() []byte {
	bare := c.bare()
	return []byte(c.Head + bare)
}

// Final answers the server-first-message with the client-final-message.
func (c *Client) Final(challenge []byte) ([]byte, error) {
	f := strings.Split(string(challenge), ",")
	if len(f) != 3 || !strings.HasPrefix(f[0], "r="+c.Nonce) || len(f[0]) == len("r="+c.Nonce) {
		return nil, fmt.Errorf("scramtest: the challenge is %q", challenge)
	}
	salt, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(f[1], "s="))
	if err != nil {
		return nil, fmt.Errorf("scramtest: salt: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimPrefix(f[2], "i="))
	if err != nil {
		return nil, fmt.Errorf("scramtest: iterations: %w", err)
	}
	key, err := pbkdf2.Key(sha256.New, c.Password, salt, n, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("scramtest: %w", err)
	}
	final := "c=" + base64.StdEncoding.EncodeToString([]byte(c.Head)) + "," + f[0]
	signed := c.bare() + "," + string(challenge) + "," + final
	clientKey := mac(key, "Client Key")
	stored := sha256.Sum256(clientKey)
	subtle.XORBytes(clientKey, clientKey, mac(stored[:], signed))
	c.wanted = "v=" + base64.StdEncoding.EncodeToString(mac(mac(key, "Server Key"), signed))
	return []byte(final + ",p=" + base64.StdEncoding.EncodeToString(clientKey)), nil
}

// Check reports what is wrong with the server-final-message: nil if the broker
// knows the password too.
func (c *Client) Check(final []byte) error {
	if string(final) != c.wanted {
		return fmt.Errorf("scramtest: the broker's proof is %q, want %q", final, c.wanted)
	}
	return nil
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}
