package main

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// A certificate is what a server shows its clients. It is read from its files again by reload.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]
	seen              [sha256.Size]byte // of the files, when they were read last; owned by who calls reload
}

// newCertificate reads the configured certificate. It is nil, without an error, if there is none.
func newCertificate(cfg config, log *slog.Logger) (*certificate, error) {
	if cfg.TLSCert == "" {
		return nil, nil
	}
	c := &certificate{certFile: cfg.TLSCert, keyFile: cfg.TLSKey, log: log}
	pair, seen, wrong := readCertificate("TLS", c.certFile, c.keyFile)
	if wrong != nil {
		return nil, &configError{wrong}
	}
	c.seen = seen
	c.current.Store(pair)
	return c, nil
}

// get is for tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// reload takes the files over if they have changed. A pair that cannot be used leaves the last good one in place, also for
// the moment in which only one of the files has been replaced. Each change is logged once.
func (c *certificate) reload() {
	pair, seen, wrong := readCertificate("TLS", c.certFile, c.keyFile)
	if seen == c.seen {
		return
	}
	c.seen = seen
	if wrong != nil {
		c.log.Warn("the certificate cannot be used; the one before stays", "variable", wrong[0].name, "err", wrong[0].text)
		return
	}
	c.current.Store(pair)
	c.log.Info("the certificate has been read again", "expires", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
}

// readCertificate reads a certificate and its key, whose variables are called like name with _CERT and _KEY. seen is a fingerprint of what was read, or of why nothing was.
func readCertificate(name, certFile, keyFile string) (pair *tls.Certificate, seen [sha256.Size]byte, wrong []fault) {
	cert, certErr := os.ReadFile(certFile) //nolint:gosec // the operator names the file
	key, keyErr := os.ReadFile(keyFile)    //nolint:gosec // the operator names the file
	seen = sha256.Sum256(fmt.Appendf(nil, "%d %v %v %s%s", len(cert), certErr, keyErr, cert, key))
	if certErr != nil {
		wrong = append(wrong, fault{prefix + name + "_CERT", unnamed(certErr).Error()})
	}
	if keyErr != nil {
		wrong = append(wrong, fault{prefix + name + "_KEY", unnamed(keyErr).Error()})
	}
	if wrong != nil {
		return nil, seen, wrong
	}
	read, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, seen, []fault{{prefix + name + "_CERT", "cannot be used with " + prefix + name + "_KEY: " + err.Error()}}
	}
	return &read, seen, nil
}
