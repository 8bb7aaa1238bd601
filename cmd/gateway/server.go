package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

const (
	headerTime   = 10 * time.Second // for a request's head to come
	idleTime     = 2 * time.Minute  // of a connection between two requests
	goneTime     = 30 * time.Second // at least, without an acknowledgement of what was sent, until a client counts as gone
	pingTime     = 30 * time.Second // after which a silent HTTP/2 client is asked whether it is there
	shutdownTime = 5 * time.Second  // for requests under way when the streams have ended
)

// A server is one listening address.
type server struct {
	http        *http.Server
	listener    net.Listener
	certificate *certificate  // nil: without TLS
	done        chan struct{} // closed when Serve has returned; nil before
}

// newServer listens on addr, which the variable name has set.
func newServer(ctx context.Context, name, addr string, cfg config, log *slog.Logger) (*server, error) {
	certificate, err := newCertificate(cfg, log)
	if err != nil {
		return nil, err
	}
	// Peers that are gone are found without TCP's keep-alives, whose options cost each connection four system calls:
	// every read and write here has its time, and streams have their heartbeats.
	config := net.ListenConfig{KeepAlive: -1, Control: boundUnacknowledged(max(2*cfg.Heartbeat, goneTime))}
	config.SetMultipathTCP(false) // whose sockets would not pass the time on
	listener, err := config.Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use by another process: stop it, or set %s to another address", addr, name)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s=%s: %w", name, addr, err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(cfg.TLSCert != "")
	protocols.SetUnencryptedHTTP2(cfg.TLSCert == "")
	return &server{
		listener:    listener,
		certificate: certificate,
		http: &http.Server{
			Protocols:         protocols,
			ReadHeaderTimeout: headerTime,
			IdleTimeout:       idleTime,
			// The longest request that makes sense names GATEWAY_MAX_TOPICS topics, percent-encoded.
			MaxHeaderBytes: 64<<10 + cfg.MaxTopics*3*256,
			// Both find clients that have gone without a word.
			HTTP2:    &http.HTTP2Config{SendPingTimeout: pingTime, WriteByteTimeout: pingTime},
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
	}, nil
}

// serve answers requests until shutdown. What makes it end otherwise is sent to failures.
func (s *server) serve(handler http.Handler, failures chan<- error) {
	s.http.Handler = handler
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		var err error
		if s.certificate != nil {
			s.http.TLSConfig = &tls.Config{GetCertificate: s.certificate.get, MinVersion: tls.VersionTLS12}
			err = s.http.ServeTLS(s.listener, "", "")
		} else {
			err = s.http.Serve(s.listener)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			failures <- fmt.Errorf("serve %s: %w", s.listener.Addr(), err)
		}
	}()
}

// shutdown waits for the requests under way, a while, and closes the rest.
func (s *server) shutdown() error {
	if s.done == nil {
		return s.listener.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-s.done
	return err
}

// host is the listening address as one would type it into a browser.
func (s *server) host() string {
	addr := s.listener.Addr().String()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || strings.HasPrefix(host, "127.") {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
