//go:build soak

package integration_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"sse-gateway/integration_test/lab"
)

// soak is how long TestSoak goes on.
var soak = flag.Duration("soak", time.Hour, "how long the soak test `lasts`")

// TestSoak is the long form of the fault suite: fault after fault, under more load and for longer, until the time is over.
// Rounds take the two paths of the streams in turns.
func TestSoak(t *testing.T) {
	gateways.Binary(t) // or there is nothing to go on with
	var table lab.Table
	begun := time.Now()
	for round := 1; time.Since(begun) < *soak; round++ {
		engine := []string{engineOff, engineOn}[round%2]
		for _, f := range faults() {
			if time.Since(begun) > *soak && round > 1 {
				break
			}
			t.Run(fmt.Sprintf("%d/%s/%s", round, engine, f.name), func(t *testing.T) {
				table.Add(f.name, f.breakIt(t, pace{
					engine: engine, before: 3 * time.Second, fault: 8 * time.Second, after: 5 * time.Second,
					load: lab.LoadOptions{Rate: 400, Subscribers: 500, Topics: 30},
				}))
			})
		}
		t.Logf("after %v:\n%s", time.Since(begun).Round(time.Second), table.String())
	}
}
