package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/broker/redis"
	"sse-gateway/internal/broker/redis/redistest"
	"sse-gateway/internal/testkit"
)

// TestReadyz_SaysWhatRedisRefuses, without Redis's words, which are the operator's, until it does not any more.
func TestReadyz_SaysWhatRedisRefuses(t *testing.T) {
	for name, test := range map[string]struct{ fault, repair, want string }{
		"refused": {"acl setuser default -pexpire", "acl setuser default +pexpire", "Redis refuses"},
		"foreign": {"set gw:charter somebody's", "del gw:charter", "gateways that are set up otherwise"},
	} {
		t.Run(name, func(t *testing.T) {
			url, client := redistest.Start(t)
			store, err := redis.New(redis.Options{URL: url, Replica: "a"})
			if err != nil {
				t.Fatal(err)
			}
			command := func(line string) {
				t.Helper()
				var args []any
				for word := range strings.FieldsSeq(line) {
					args = append(args, word)
				}
				if err := client.Do(t.Context(), args...).Err(); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
			}
			command(test.fault)
			g := newTestGatewayOn(t, store, auth.None{}, Options{})
			testkit.Eventually(t, testkit.Patience, func() error {
				got := g.do(http.MethodGet, "/readyz", "")
				if got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, test.want) || strings.Contains(got.body, "somebody") {
					return fmt.Errorf("%d, %s", got.status, got.body)
				}
				return nil
			})
			command(test.repair)
			testkit.Eventually(t, testkit.Patience, func() error {
				if got := g.do(http.MethodGet, "/readyz", ""); got.status != http.StatusOK {
					return fmt.Errorf("%d, %s", got.status, got.body)
				}
				return nil
			})
		})
	}
}
