FROM golang:1.26-alpine AS build
ARG GOPROXY GOFLAGS
ENV CGO_ENABLED=0
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -trimpath -ldflags="-s -w" -o /gateway ./cmd/gateway

# Nothing but the binary and the authorities it believes for rediss:// and GATEWAY_JWKS_URL.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /gateway /gateway
USER 65532:65532
ENV GATEWAY_ADDR=:8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=4s --start-period=30s CMD ["/gateway", "healthcheck"]
ENTRYPOINT ["/gateway"]
