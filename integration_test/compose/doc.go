// Package compose tests the stack of deploy/docker-compose.yml as a user starts it. It needs a Docker engine, so its
// tests stand behind the build tag compose: `make compose-test` runs them.
package compose
