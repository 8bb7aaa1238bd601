GOLANGCI_LINT = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK   = go run golang.org/x/vuln/cmd/govulncheck@v1.9.0
ACTIONLINT    = go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
# Runs go test, names each test as it ends, and repeats at the end what has failed.
GOTESTSUM     = go run gotest.tools/gotestsum@v1.13.0
FUZZTIME     ?= 1m
SOAK         ?= 1h

# Which build it is, for the image, whose build does not see the repository.
VERSION ?= $(shell git describe --tags --always --dirty)
COMMIT  ?= $(shell git rev-parse HEAD)

.DEFAULT_GOAL := help
.PHONY: help run build image pin setup test unit-test deploy-test manifests integration-test compose-test soak bench prove fuzz cover fmt lint lint-js vuln

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

setup: # installs what the tests start: Redis, HAProxy, nginx, browsers
	scripts/setup

test: unit-test deploy-test ## every test; installs what they need (Debian, root or sudo)
	@if docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1; then $(MAKE) compose-test; \
	else echo 'No Docker engine with compose is at hand: make compose-test is left out.'; test -z "$(CI)"; fi
	$(MAKE) integration-test

unit-test: ## the packages alone
	scripts/setup unit
	go vet ./...
	$(GOTESTSUM) --format pkgname -- -race -shuffle=on $$(go list ./... | grep -v /integration_test)

# A module of its own: Helm, Kubernetes and Prometheus are no dependencies of the gateway.
deploy-test: ## chart, manifests, alerts and dashboard
	scripts/setup unit
	cd deploy/check && go vet ./... && $(GOTESTSUM) --format pkgname -- -shuffle=on ./...

manifests: ## deploy/kubernetes/gateway.yaml from the chart
	cd deploy/check && go test -count 1 -run TestManifests . -update

# One package at a time: each of them loads the machine and watches the clock.
SUITES ?= ./integration_test/...
integration-test: setup ## real Redis, replicas, balancer, browser, faults
	$(GOTESTSUM) --format testname -- -race -shuffle=on -p 1 -timeout 20m $(SUITES)

compose-test: ## the compose stack; needs a Docker engine
	scripts/setup compose
	go test -tags compose -count 1 -timeout 25m -v ./integration_test/compose

soak: setup ## faults under load, for SOAK (1h)
	go test -tags soak -count 1 -timeout 0 -v -run TestSoak ./integration_test -soak $(SOAK)

bench: ## load, and the comparison with other systems
	bench/run

prove: ## that the model test finds each rule of exactness that is switched off; PROVE=-short takes a minute
	go run ./internal/fanout/prove $(PROVE)

fuzz: ## each fuzz target for FUZZTIME (1m)
	@set -e; for pkg in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs dirname | sort -u); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

cover: ## what the packages' own tests reach
	scripts/setup unit
	go test -coverpkg=./cmd/...,./internal/... -coverprofile=cover.prof $$(go list ./... | grep -v /integration_test)
	go tool cover -func=cover.prof | tail -1

fmt: ## gofumpt
	$(GOLANGCI_LINT) fmt

lint: lint-js ## Go, Lua, scripts, workflows, the page; a tidy go.mod; other systems' compilers
	$(GOLANGCI_LINT) run --build-tags compose,soak
	cd deploy/check && $(GOLANGCI_LINT) run
	luacheck --quiet internal/broker/redis/*.lua
	shellcheck $$(git grep -lE '^#!.*[/ ](ba)?sh$$')
	$(ACTIONLINT) .github/workflows/*.yml
	go mod tidy -diff
	cd deploy/check && go mod tidy -diff
	GOOS=darwin go build ./...
	GOOS=windows go build ./...

lint-js: # what browsers and Node get
	scripts/setup lint
	npm ci --prefix tools/js --ignore-scripts --no-audit --no-fund --silent
	tools/js/node_modules/.bin/biome lint --config-path=tools/js --error-on-warnings internal/web/static \
		examples/ai-chat/*.mjs examples/ai-chat/*.jsx integration_test/aichat/js/*.mjs

vuln: ## known vulnerabilities, from https://vuln.go.dev
	$(GOVULNCHECK) ./...
