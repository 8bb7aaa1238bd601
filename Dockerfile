# The base image is named by its tag; `make pin` adds the digest that the registry has for it today.
FROM golang:1.26-alpine AS build
ARG GOPROXY GOFLAGS
ENV CGO_ENABLED=0
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# Which build it is: `make image` says so, from git. The repository itself is not in the build's context.
ARG VERSION COMMIT
RUN go build -trimpath -o /gateway \
    -ldflags="-s -w -X sse-gateway/internal/build.version=$VERSION -X sse-gateway/internal/build.commit=$COMMIT" \
    ./cmd/gateway

# Nothing but the binary and the authorities it believes for rediss:// and GATEWAY_JWKS_URL.
FROM scratch
ARG VERSION COMMIT
LABEL org.opencontainers.image.title="sse-gateway" \
      org.opencontainers.image.description="A gateway for Server-Sent Events with exact resume" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /gateway /gateway
USER 65532:65532
# docker stop kills after ten seconds: a drain is over before.
ENV GATEWAY_ADDR=:8000 GATEWAY_DRAIN=8s
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=4s --start-period=30s CMD ["/gateway", "healthcheck"]
ENTRYPOINT ["/gateway"]
