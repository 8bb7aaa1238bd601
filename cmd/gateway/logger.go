package main

import (
	"io"
	"log/slog"
	"os"
)

// newLogger logs to stderr, as text on a terminal if nothing else is configured.
func newLogger(cfg config, stderr io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.LogLevel)) // has been checked
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: durationAsText}
	if cfg.logFormat(stderr) == "text" {
		return slog.New(slog.NewTextHandler(stderr, options))
	}
	return slog.New(slog.NewJSONHandler(stderr, options))
}

// durationAsText writes "1.5s" in JSON too, which otherwise has nanoseconds.
func durationAsText(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

func (c config) logFormat(w io.Writer) string {
	if !c.logFormatSaid && isTerminal(w) {
		return "text"
	}
	return c.LogFormat
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
