GOLANGCI_LINT = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK   = go run golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME     ?= 1m
SOAK         ?= 1h

# Which build it is, for the image, whose build does not see the repository.
VERSION ?= $(shell git describe --tags --always --dirty)
COMMIT  ?= $(shell git rev-parse HEAD)

.DEFAULT_GOAL := help
.PHONY: help run build image pin setup test unit-test integration-test compose-test soak bench fuzz cover fmt lint vuln

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## the gateway on http://localhost:8000, nothing else needed
	go run ./cmd/gateway

build: ## bin/gateway
	CGO_ENABLED=0 go build -trimpath -o bin/gateway ./cmd/gateway

image: ## the image sse-gateway, which knows its version and commit
	docker build --build-arg GOPROXY --build-arg GOFLAGS --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) \
		-t sse-gateway:$(VERSION) -t sse-gateway:latest .

pin: ## base images by the digests that their registries have now
	scripts/pin Dockerfile deploy/docker-compose.yml

setup: # installs what the tests start: Redis, HAProxy, browsers
	scripts/setup

test: unit-test ## every test; installs what they need (Debian, root or sudo)
	@if docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1; then $(MAKE) compose-test; \
	else echo 'No Docker engine with compose is at hand: make compose-test is left out.'; test -z "$(CI)"; fi
	$(MAKE) integration-test

unit-test: setup ## the packages alone
	go vet ./...
	go test -race -shuffle=on $$(go list ./... | grep -v /integration_test)

# One package at a time: each of them loads the machine and watches the clock.
integration-test: setup ## real Redis, replicas, balancer, browser, faults
	go test -race -shuffle=on -p 1 -timeout 10m ./integration_test/...

compose-test: setup ## the compose stack; needs a Docker engine
	go test -tags compose -count 1 -timeout 15m -v ./integration_test/compose

soak: setup ## faults under load, for SOAK (1h)
	go test -tags soak -count 1 -timeout 0 -v -run TestSoak ./integration_test -soak $(SOAK)

bench: ## load, and the comparison with other systems
	bench/run

fuzz: ## each fuzz target for FUZZTIME (1m)
	@set -e; for pkg in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs dirname | sort -u); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

cover: setup ## what the packages' own tests reach
	go test -coverpkg=./cmd/...,./internal/... -coverprofile=cover.prof $$(go list ./... | grep -v /integration_test)
	go tool cover -func=cover.prof | tail -1

fmt: ## gofumpt
	$(GOLANGCI_LINT) fmt

lint: setup ## golangci-lint, luacheck, a tidy go.mod, and other systems' compilers
	$(GOLANGCI_LINT) run --build-tags compose,soak
	luacheck --quiet internal/broker/redis/*.lua
	go mod tidy -diff
	GOOS=darwin go build ./...
	GOOS=windows go build ./...

vuln: ## known vulnerabilities, from https://vuln.go.dev
	$(GOVULNCHECK) ./...
