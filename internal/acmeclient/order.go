package acmeclient

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/crypto/acme"
)

const (
	httpChallenge = "http-01"
	tlsChallenge  = "tls-alpn-01"
)

// challengeError is a challenge that the CA has not seen answered.
type challengeError struct {
	kind string
	err  error
}

func (e *challengeError) Error() string { return e.kind + ": " + e.err.Error() }
func (e *challengeError) Unwrap() error { return e.err }

// obtain requests a certificate for host and writes it to its file. Of the challenges that there are listeners for, it
// tries one after the other: a failed one ends the order.
func (m *Manager) obtain(ctx context.Context, host string) error {
	if !slices.Contains(m.o.Names, host) {
		return fmt.Errorf("%s is not in tls.acme.names", host)
	}
	if b := m.unsaved[host]; b != nil {
		return m.save(host, b)
	}
	client, err := m.register(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, kind := range m.kinds() {
		err := m.order(ctx, client, host, kind)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
		var challenge *challengeError
		if !errors.As(err, &challenge) || ctx.Err() != nil {
			break // another challenge would not help
		}
	}
	return errors.Join(errs...)
}

func (m *Manager) kinds() (kinds []string) {
	if m.o.HTTP != nil && m.o.HTTP() {
		kinds = append(kinds, httpChallenge)
	}
	if m.o.TLS {
		kinds = append(kinds, tlsChallenge)
	}
	return kinds
}

// register returns a client of the account, whose key it makes if there is none yet.
func (m *Manager) register(ctx context.Context) (*acme.Client, error) {
	key, err := m.accountKey()
	if err != nil {
		return nil, err
	}
	client := &acme.Client{Key: key, HTTPClient: m.client, DirectoryURL: m.o.Directory, UserAgent: "holdfast"}
	account := &acme.Account{}
	if m.o.Email != "" {
		account.Contact = []string{"mailto:" + m.o.Email}
	}
	if _, err = client.Register(ctx, account, acme.AcceptTOS); err != nil && !errors.Is(err, acme.ErrAccountAlreadyExists) {
		return nil, fmt.Errorf("account: %w", err)
	}
	return client, nil
}

// accountFile is not the name of a host.
const accountFile = "account_key.pem"

func (m *Manager) accountKey() (crypto.Signer, error) {
	name := filepath.Join(m.folder, accountFile)
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		b, err := encodeKey(key)
		if err != nil {
			return nil, err
		}
		if err := writeFile(name, b); err != nil {
			return nil, fmt.Errorf("account key %w: %w", errNotSaved, err)
		}
		return key, nil
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s is no PEM file; remove it for a new account", name)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove it for a new account", name, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s has a key that can't sign; remove it for a new account", name)
	}
	return signer, nil
}

// order makes one order for host with challenges of one kind.
func (m *Manager) order(ctx context.Context, client *acme.Client, host, kind string) error {
	order, err := client.AuthorizeOrder(ctx, acme.DomainIDs(host))
	if err != nil {
		return fmt.Errorf("order: %w", err)
	}
	for _, url := range order.AuthzURLs {
		if err := m.authorize(ctx, client, url, host, kind); err != nil {
			return err
		}
	}
	uri := order.URI // only the first response has it
	if order, err = client.WaitOrder(ctx, uri); err != nil {
		return fmt.Errorf("order: %w", err)
	}
	order.URI = uri
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{host}}, key)
	if err != nil {
		return err
	}
	chain, _, err := client.CreateCertFromOrder(ctx, order, request, true)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	return m.store(host, chain, key)
}

// authorize answers a challenge of an authorization, if it needs one.
func (m *Manager) authorize(ctx context.Context, client *acme.Client, url, host, kind string) error {
	z, err := client.GetAuthorization(ctx, url)
	if err != nil {
		return fmt.Errorf("authorization: %w", err)
	}
	if z.Status == acme.StatusValid {
		return nil
	}
	i := slices.IndexFunc(z.Challenges, func(c *acme.Challenge) bool { return c.Type == kind })
	if i < 0 {
		return &challengeError{kind, errors.New("the CA does not offer it")}
	}
	challenge := z.Challenges[i]
	withdraw, err := m.present(client, challenge, host)
	if err != nil {
		return &challengeError{kind, err}
	}
	defer withdraw()
	if _, err = client.Accept(ctx, challenge); err == nil {
		_, err = client.WaitAuthorization(ctx, z.URI)
	}
	if err != nil {
		return &challengeError{kind, err}
	}
	return nil
}

// present makes the answer to a challenge known to the listeners, until withdraw is called.
func (m *Manager) present(client *acme.Client, c *acme.Challenge, host string) (withdraw func(), err error) {
	if c.Type == tlsChallenge {
		cert, err := client.TLSALPN01ChallengeCert(c.Token, host)
		if err != nil {
			return nil, err
		}
		m.mu.Lock()
		m.challenges[host] = &cert
		m.mu.Unlock()
		return func() {
			m.mu.Lock()
			delete(m.challenges, host)
			m.mu.Unlock()
		}, nil
	}
	response, err := client.HTTP01ChallengeResponse(c.Token)
	if err != nil {
		return nil, err
	}
	path := client.HTTP01ChallengePath(c.Token)
	m.mu.Lock()
	m.responses[path] = []byte(response)
	m.mu.Unlock()
	return func() {
		m.mu.Lock()
		delete(m.responses, path)
		m.mu.Unlock()
	}, nil
}

// store writes a chain and its key to the file of host, if they are what was asked for.
func (m *Manager) store(host string, chain [][]byte, key crypto.Signer) error {
	b, err := encodeKey(key)
	if err != nil {
		return err
	}
	private := b
	for _, der := range chain {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	cert, err := tls.X509KeyPair(b, private)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	if err := cert.Leaf.VerifyHostname(host); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	return m.save(host, b)
}

var errNotSaved = errors.New("not saved")

// save writes the file of host. If that fails, the next attempt writes it: the CA limits how many certificates it issues.
func (m *Manager) save(host string, b []byte) error {
	if err := writeFile(m.file(host), b); err != nil {
		m.unsaved[host] = b
		return fmt.Errorf("certificate %w: %w", errNotSaved, err)
	}
	delete(m.unsaved, host)
	return nil
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// writeFile replaces a file as a whole. Only this user can read it.
func writeFile(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	return err
}
