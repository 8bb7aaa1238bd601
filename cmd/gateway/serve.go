package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/fanout"
	"sse-gateway/internal/httpapi"
	"sse-gateway/internal/stream"
)

// writeTime is for what is pending for the streams that are ended last.
const writeTime = 5 * time.Second

// errSecondSignal: somebody would not wait.
var errSecondSignal = errors.New("stopped by a second signal before everything was drained")

// A gateway is everything that runs, in the order in which it is started. It is stopped the other way round.
type gateway struct {
	cfg      config
	log      *slog.Logger
	who      auth.Authenticator
	jwt      *auth.JWT // who, if it has to be closed
	hub      *fanout.Hub
	streams  *stream.Streams
	api      *httpapi.API
	public   *server
	admin    *server // nil without GATEWAY_ADMIN_ADDR
	reloader *reloader
	failures chan error
}

// serve runs the gateway until ctx is done or a first SIGTERM or SIGINT comes, drains it, and waits until all of it has
// ended. A second signal ends it at once.
func serve(ctx context.Context, environ []string, stderr io.Writer) error {
	cfg, err := loadConfig(environ)
	if err != nil {
		return err
	}
	collector := tuneCollector(environ)
	defer collector.stop()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)

	g, err := start(ctx, cfg, newLogger(cfg, stderr))
	if err != nil {
		return err
	}
	g.announce(stderr)

	var failure error
	select {
	case <-ctx.Done():
	case <-signals:
	case failure = <-g.failures:
	}
	drained := make(chan error, 1)
	go func() { drained <- g.stop() }()
	select {
	case err := <-drained:
		return errors.Join(failure, err)
	case <-signals:
		return fmt.Errorf("%w: %d streams were still open", errSecondSignal, g.streams.Stats().Open)
	}
}

// start builds and starts everything, or nothing.
func start(ctx context.Context, cfg config, log *slog.Logger) (_ *gateway, err error) {
	g := &gateway{cfg: cfg, log: log, who: auth.None{}, failures: make(chan error, 2)}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	if err := g.listen(ctx); err != nil {
		return nil, err
	}
	revoked := auth.NewRevocations(cfg.JWTMaxAge)
	if cfg.Auth == "jwt" {
		options := cfg.jwt()
		options.Revocations, options.Log = revoked, log
		if g.jwt, err = auth.NewJWT(ctx, options); err != nil {
			return nil, &configError{[]fault{{prefix + "AUTH", "jwt: " + oneLine(err)}}}
		}
		g.who = g.jwt
	}
	if g.hub, err = newHub(cfg, revoked, log); err != nil {
		return nil, err
	}
	g.streams, err = stream.New(stream.Options{
		QueueBytes:  int(cfg.QueueBytes),
		QueueEvents: cfg.QueueEvents,
		Heartbeat:   cfg.Heartbeat,
		MaxAge:      cfg.StreamMaxAge,
		Engine:      cfg.Engine == "auto",
		Log:         log,
	})
	if err != nil {
		return nil, fmt.Errorf("start the streams: %w", err)
	}
	g.api = httpapi.New(g.hub, g.streams, g.who, g.surface())
	g.public.serve(g.api.Routes(), g.failures)
	if g.admin != nil {
		g.admin.serve(g.api.AdminRoutes(), g.failures)
	}
	g.reloader = startReloader(g.reload)
	return g, nil
}

// reload looks whether the files that are in use have changed.
func (g *gateway) reload() {
	if g.public.certificate != nil {
		g.public.certificate.reload()
	}
	if g.jwt != nil {
		g.jwt.Reload()
	}
}

// listen takes the addresses first: when that fails, nothing has been started yet.
func (g *gateway) listen(ctx context.Context) error {
	var err error
	if g.public, err = newServer(ctx, prefix+"ADDR", g.cfg.Addr, g.cfg, g.log); err != nil {
		return err
	}
	if g.cfg.AdminAddr != "" {
		plain := g.cfg
		plain.TLSCert, plain.TLSKey = "", ""
		g.admin, err = newServer(ctx, prefix+"ADMIN_ADDR", g.cfg.AdminAddr, plain, g.log)
	}
	return err
}

// surface is the configuration of the HTTP surface.
func (g *gateway) surface() httpapi.Options {
	options := g.cfg.surface()
	options.Log, options.Heartbeat = g.log, g.cfg.Heartbeat
	if g.jwt != nil {
		options.KeysReady = g.jwt.Ready
	}
	return options
}

// announce says that the gateway is up, and where.
func (g *gateway) announce(stderr io.Writer) {
	scheme := "http"
	if g.cfg.TLSCert != "" {
		scheme = "https"
	}
	page := scheme + "://" + g.public.host() + "/"
	if g.cfg.logFormat(stderr) == "json" {
		g.log.Info("gateway is up", "page", page, "addr", g.public.listener.Addr().String(), "embedded_broker", g.cfg.RedisURL == "")
		return
	}
	text := "gateway is up: " + page
	if g.cfg.RedisURL == "" {
		text += " (embedded broker: for one replica, keeps nothing on exit; GATEWAY_REDIS_URL connects several)"
	}
	_, _ = fmt.Fprintln(stderr, text)
}

// stop drains: the gateway becomes unready, streams end spread over the configured time, each after what was pending
// for it has been written, then everything is closed. Meanwhile it goes on answering.
func (g *gateway) stop() error {
	g.log.Info("draining: a second signal, or Ctrl-C again, stops at once", "streams", g.streams.Stats().Open, "over", g.cfg.Drain)
	g.api.Drain()
	g.drainStreams()
	err := g.close()
	g.log.Info("stopped")
	return err
}

// drainStreams ends the streams, and says now and then how many are left.
func (g *gateway) drainStreams() {
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.Drain+writeTime)
	defer cancel()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		g.streams.Drain(ctx, g.cfg.Drain)
	}()
	news := time.NewTicker(max(g.cfg.Drain/5, time.Second))
	defer news.Stop()
	for {
		select {
		case <-drained:
			return
		case <-news.C:
			g.log.Info("draining", "streams_left", g.streams.Stats().Open)
		}
	}
}

// close ends whatever has been started, and waits for it.
func (g *gateway) close() error {
	var errs []error
	if g.reloader != nil {
		g.reloader.close()
	}
	// Requests under way need the streams, those need the hub.
	for _, server := range []*server{g.public, g.admin} {
		if server != nil {
			errs = append(errs, server.shutdown())
		}
	}
	if g.streams != nil {
		errs = append(errs, g.streams.Close())
	}
	if g.hub != nil {
		errs = append(errs, g.hub.Close())
	}
	if g.jwt != nil {
		errs = append(errs, g.jwt.Close())
	}
	return errors.Join(errs...)
}
