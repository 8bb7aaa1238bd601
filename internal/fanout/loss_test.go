package fanout

import (
	"net"
	"os/exec"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/redis"
	"sse-gateway/internal/testkit"
)

// A redisProcess is a server that can be killed and started again with what it had saved.
type redisProcess struct {
	dir, port string
	command   *exec.Cmd
	client    *goredis.Client
}

func startRedisProcess(t *testing.T) *redisProcess {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	_ = listener.Close()
	p := &redisProcess{dir: t.TempDir(), port: port, client: goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:" + port})}
	p.start(t)
	t.Cleanup(func() {
		_ = p.client.Close()
		p.kill()
	})
	return p
}

func (p *redisProcess) start(t *testing.T) {
	t.Helper()
	p.command = exec.Command("redis-server", "--port", p.port, "--bind", "127.0.0.1", "--dir", p.dir, "--save", "")
	if err := p.command.Start(); err != nil {
		t.Fatalf("start redis-server (apt-get install redis-server): %v", err)
	}
	testkit.Eventually(t, 20*time.Second, func() error { return p.client.Ping(t.Context()).Err() })
}

func (p *redisProcess) kill() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

// Redis comes back without an event that it had acknowledged, and the first that happens is a publish: the reader who was
// away is told all the same.
func TestRedis_TellsOfALossThatAPublishIsFirstToMeet(t *testing.T) {
	server := startRedisProcess(t)
	store := func(replica string) *redis.Broker {
		b, err := redis.New(redis.Options{URL: "redis://127.0.0.1:" + server.port, Replica: replica, Retention: broker.Retention{Size: 10}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	// The publisher's replica has no connection but for its publishes, and sends no marks.
	publisher := store("publisher")
	defer publisher.Close()
	p := &Hub{broker: publisher, partitions: []*partition{newPartition(0, publisher.Retention(), quick.withDefaults())}}
	publish(t, p, "t", 1)
	has := publish(t, p, "t", 2)
	if err := server.client.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	publish(t, p, "t", 3)
	publish(t, p, "u", 4)
	server.kill()
	server.start(t)
	testkit.Eventually(t, 20*time.Second, func() error {
		return p.Publish(t.Context(), []Publication{{Topic: "t", Data: []byte("5"), Key: "5"}})[0].Err
	})

	h := NewHub(store("reader"), quick)
	defer closeHub(t, h)
	r := newRecorder()
	join(t, h, r, JoinRequest{Topics: []string{"t", "u"}, Start: after(has.String())})
	publish(t, p, "u", 6)
	wantData(t, r.wait(t, 4), "gap gap 5 6")
}
