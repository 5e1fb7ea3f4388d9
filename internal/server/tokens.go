package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"holdfast/internal/channel"
	"holdfast/internal/config"
	"holdfast/internal/token"
)

// Check reports what is wrong in c that only its files show.
func Check(c *config.Config) error {
	if _, err := newVerifier(&c.Push.JWT); err != nil {
		return err
	}
	if err := checkTLS(c); err != nil {
		return err
	}
	_, err := Sites(c)
	return err
}

// newVerifier returns nil if no tokens are taken.
func newVerifier(c *config.JWT) (*token.Verifier, error) {
	if !c.Given() {
		return nil, nil
	}
	o := token.Options{
		Secret: c.Key, Issuer: c.Issuer, Audience: c.Audience, Leeway: time.Duration(c.Leeway), ValidPattern: channel.ValidGrant,
		Keys: map[string]token.Key{},
	}
	name := "push.jwt.key"
	if c.KeyFile != "" {
		name = "push.jwt.key_file"
		var err error
		if o.PublicKey, err = os.ReadFile(c.KeyFile); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, file := range c.Keys {
		name = "push.jwt.keys"
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if filepath.Ext(file) == config.KeySecret {
			o.Keys[config.KeyID(file)] = token.Key{Secret: strings.TrimRight(string(text), "\r\n")}
		} else {
			o.Keys[config.KeyID(file)] = token.Key{PublicKey: text}
		}
	}
	v, err := token.New(o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}
