// Package limit counts what one client takes: whose address a request comes from, how many streams are open, and how
// fast events are published. All of it is of one replica; nothing is shared with others.
package limit

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// maxHops is how many entries of X-Forwarded-For are looked at, from the right.
const maxHops = 64

// ParseTrusted reads the addresses of proxies whose X-Forwarded-For is believed: addresses, CIDR prefixes, "loopback",
// or "private" (RFC 1918, RFC 4193 and link-local). Its error names every entry that is none of these.
func ParseTrusted(entries []string) ([]netip.Prefix, error) {
	var trusted []netip.Prefix
	var faults error
	for _, entry := range entries {
		switch entry = strings.TrimSpace(entry); entry {
		case "":
		case "loopback":
			trusted = append(trusted, prefixes("127.0.0.0/8", "::1/128")...)
		case "private":
			trusted = append(trusted,
				prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")...)
		default:
			prefix, err := parsePrefix(entry)
			if err != nil {
				faults = errors.Join(faults, fmt.Errorf("%q is no address, prefix, loopback or private", entry))
				continue
			}
			trusted = append(trusted, prefix)
		}
	}
	return trusted, faults
}

func prefixes(constants ...string) (all []netip.Prefix) {
	for _, s := range constants {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// parsePrefix also reads IPv4 in IPv6 form ("::ffff:10.0.0.0/104"), which ClientIP compares as IPv4.
func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	if prefix.Addr().Is4In6() {
		if prefix.Bits() < 96 {
			return netip.Prefix{}, errors.New("shorter than the IPv4 part")
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), nil
}

// ClientIP returns the address of who sent r, without zone, IPv4 never in IPv6 form; invalid when there is none.
//
// That is the peer of the connection, unless it is a trusted proxy: then each proxy has added on the right whom it got
// the request from, so the right-most address that is not a trusted proxy is the client. Everything left of it is the
// client's own claim. Where an entry cannot be read, the proxy that passed it on counts as the client: it is better to
// limit a proxy than to believe garbage.
func ClientIP(r *http.Request, trusted []netip.Prefix) netip.Addr {
	client := parseHop(r.RemoteAddr)
	if !client.IsValid() || !isTrusted(client, trusted) {
		return client
	}
	lines := r.Header.Values("X-Forwarded-For") // more than one line is one list, in order (RFC 9110, section 5.3)
	hops := 0
	for _, line := range slices.Backward(lines) {
		for rest, more := line, true; more; hops++ {
			var hop string
			hop, rest, more = cutLast(rest)
			addr := parseHop(hop)
			if !addr.IsValid() || hops == maxHops {
				return client
			}
			if client = addr; !isTrusted(client, trusted) {
				return client
			}
		}
	}
	return client
}

// cutLast cuts the last entry off a list, and reports whether something is left of it.
func cutLast(list string) (last, rest string, more bool) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		return list[i+1:], list[:i], true
	}
	return list, "", false
}

func isTrusted(addr netip.Addr, trusted []netip.Prefix) bool {
	for _, prefix := range trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// parseHop reads an address with or without a port: "1.2.3.4", "1.2.3.4:5", "2001:db8::1", "[2001:db8::1]",
// "[2001:db8::1]:5", each also with a zone.
func parseHop(s string) netip.Addr {
	s = strings.Trim(s, " \t")
	if with, err := netip.ParseAddrPort(s); err == nil {
		return with.Addr().Unmap().WithZone("")
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); !ok || !strings.Contains(inner, ":") {
			return netip.Addr{}
		}
		s = inner
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}

// Network returns what is counted as one client: an IPv4 address, or the /64 that an IPv6 client has to itself.
func Network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if !addr.Is6() {
		return addr
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return addr
	}
	return prefix.Addr()
}
