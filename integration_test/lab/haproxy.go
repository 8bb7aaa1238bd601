package lab

import (
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// RepoFile is the path of a file of the repository.
func RepoFile(t testing.TB, elements ...string) string {
	t.Helper()
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("the repository is not where the tests were built")
	}
	root := filepath.Dir(filepath.Dir(filepath.Dir(here)))
	return filepath.Join(append([]string{root}, elements...)...)
}

// A Balancer is a running HAProxy with the configuration that is shipped.
type Balancer struct {
	*Process
	URL string
}

// StartBalancer starts HAProxy in front of the replicas and waits until it listens.
func StartBalancer(t testing.TB, replicas Replicas) *Balancer {
	t.Helper()
	addr := FreeAddr(t)
	env := []string{"BIND=" + addr}
	for i, replica := range replicas {
		env = append(env, fmt.Sprintf("GATEWAY_%d=%s", i+1, replica.Addr()))
	}
	config := RepoFile(t, "deploy", "haproxy.cfg")
	b := &Balancer{
		Process: StartProcess(t, "haproxy "+addr, env, need(t, "haproxy"), "-db", "-f", config),
		URL:     "http://" + addr,
	}
	Eventually(t, 10*time.Second, func() error {
		if err := b.alive(); err != nil {
			t.Fatalf("%v\n%s", err, b.Log())
		}
		status, _, err := request(t.Context(), http.MethodGet, b.URL+"/readyz", nil)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		return err
	})
	return b
}
