package main

import (
	"net/netip"
	"regexp"
	"strconv"
)

// The variables that Kubernetes injects for each Service: GATEWAY_REDIS_… for one called gateway-redis.
var (
	injectedHost = regexp.MustCompile(`_SERVICE_HOST$`)
	injectedPort = regexp.MustCompile(`_SERVICE_PORT(_[A-Z0-9_]+)?$`)
	injectedURL  = regexp.MustCompile(`_PORT(_[0-9]+_(TCP|UDP|SCTP))?$`)
	injectedPart = regexp.MustCompile(`_PORT_[0-9]+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)$`)
	serviceURL   = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

// injected tells a variable that Kubernetes has set from a mistyped one, by the form of its value as well.
func injected(name, value string) bool {
	_, notNumber := strconv.ParseUint(value, 10, 16)
	switch {
	case injectedPart.MatchString(name):
		return true
	case injectedHost.MatchString(name):
		_, err := netip.ParseAddr(value)
		return err == nil
	case injectedPort.MatchString(name):
		return notNumber == nil
	case injectedURL.MatchString(name):
		return serviceURL.MatchString(value)
	}
	return false
}
