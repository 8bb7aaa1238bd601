// Package server starts the servers that are measured, each pinned to a core, on a free port of 127.0.0.1 and with a
// directory of its own, and reads from /proc what they use. Linux only.
package server
