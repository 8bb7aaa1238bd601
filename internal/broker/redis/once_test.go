package redis

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/redis/redistest"
	"sse-gateway/internal/testkit"

	goredis "github.com/redis/go-redis/v9"
)

// A lossyLink stands between a client and a server. The answer to a command that holds its marker is lost: the server has
// read the command when the connection ends.
type lossyLink struct {
	listener net.Listener
	server   string
	running  sync.WaitGroup

	mu     sync.Mutex
	marker []byte // nil: nothing is lost
	lost   int
	open   []net.Conn
}

func newLossyLink(t *testing.T, server string) *lossyLink {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &lossyLink{listener: listener, server: server}
	l.running.Go(l.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		l.mu.Lock()
		for _, conn := range l.open {
			_ = conn.Close()
		}
		l.mu.Unlock()
		l.running.Wait()
	})
	return l
}

func (l *lossyLink) addr() string { return l.listener.Addr().String() }

// lose loses the answers of commands that hold marker from now on.
func (l *lossyLink) lose(marker string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.marker, l.lost = []byte(marker), 0
}

// count tells how often an answer has been lost since lose.
func (l *lossyLink) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

func (l *lossyLink) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		server, err := testkit.Dial(l.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		l.mu.Lock()
		l.open = append(l.open, client, server)
		l.mu.Unlock()
		doomed := make(chan struct{})
		l.running.Go(func() { l.ask(client, server, doomed) })
		l.running.Go(func() { l.answer(client, server, doomed) })
	}
}

// ask passes commands on, and dooms the connection when it has passed on the marker. A command is written at once here.
func (l *lossyLink) ask(client, server net.Conn, doomed chan struct{}) {
	defer func() { _ = server.Close() }()
	buf := make([]byte, 1<<20)
	isDoomed := false
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		l.mu.Lock()
		hit := l.marker != nil && bytes.Contains(buf[:n], l.marker)
		if hit {
			l.lost++
		}
		l.mu.Unlock()
		if hit && !isDoomed {
			isDoomed = true
			close(doomed)
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// answer passes answers on, until one is to be lost.
func (l *lossyLink) answer(client, server net.Conn, doomed chan struct{}) {
	defer func() { _ = client.Close() }()
	buf := make([]byte, 1<<20)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-doomed:
			return
		default:
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// startNode starts a cluster of one node, which is reached over the link only.
func startNode(t *testing.T) (*lossyLink, string, *goredis.Client) {
	t.Helper()
	url, client := redistest.StartNode(t)
	link := newLossyLink(t, strings.TrimPrefix(url, "redis+cluster://"))
	_, port, _ := net.SplitHostPort(link.addr())
	for name, value := range map[string]string{"cluster-announce-ip": "127.0.0.1", "cluster-announce-port": port} {
		if err := client.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatalf("set %s: %v", name, err)
		}
	}
	return link, "redis+cluster://" + link.addr(), client
}

// lossyWorlds runs a test on a Redis alone, and on a cluster, where answers can be lost.
func lossyWorlds(t *testing.T, test func(t *testing.T, link *lossyLink, store *Broker, client *goredis.Client)) {
	open := func(t *testing.T, url string) *Broker {
		store, err := New(Options{URL: url, Replica: "a", Retention: broker.Retention{Size: 100}, Partitions: 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return store
	}
	t.Run("alone", func(t *testing.T) {
		url, client := redistest.Start(t)
		link := newLossyLink(t, strings.TrimPrefix(url, "redis://"))
		test(t, link, open(t, "redis://"+link.addr()), client)
	})
	t.Run("cluster", func(t *testing.T) {
		link, url, client := startNode(t)
		test(t, link, open(t, url), client)
	})
}

func TestRedis_PublishesOnceWhenTheAnswerIsLost(t *testing.T) {
	lossyWorlds(t, func(t *testing.T, link *lossyLink, store *Broker, client *goredis.Client) {
		if r := store.Publish(t.Context(), 0, []broker.Op{{Topic: "t", Block: []byte("data: 0\n")}})[0]; r.Err != nil {
			t.Fatal(r.Err) // the script is loaded now
		}
		link.lose("goes astray")
		results := store.Publish(t.Context(), 0, []broker.Op{
			{Topic: "t", Block: []byte("data: 1\n")},
			{Topic: "t", Block: []byte("data: goes astray\n")},
			{Topic: "u", Block: []byte("data: 2\n")},
		})
		for i, r := range results {
			if !errors.Is(r.Err, broker.ErrUnavailable) || errors.Is(r.Err, broker.ErrNotSent) {
				t.Errorf("publish %d: got %v, want an outcome that is unknown", i, r.Err)
			}
		}
		if n := link.count(); n != 1 {
			t.Errorf("the pipeline was sent %d times", n)
		}
		sp := &store.spaces[0]
		for topic, want := range map[string]int64{"t": 3, "u": 1} {
			testkit.Eventually(t, 10*time.Second, func() error {
				if got := client.XLen(t.Context(), sp.stream(topic)).Val(); got != want {
					return fmt.Errorf("topic %s has %d events, want %d", topic, got, want)
				}
				return nil
			})
		}
	})
}

func TestRedis_SendsControlOnceWhenTheAnswerIsLost(t *testing.T) {
	lossyWorlds(t, func(t *testing.T, link *lossyLink, store *Broker, _ *goredis.Client) {
		link.lose("goes astray")
		if _, err := store.Send(t.Context(), "", []byte("goes astray")); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("a control message: got %v", err)
		}
		if n := link.count(); n != 1 {
			t.Errorf("a control message was sent %d times", n)
		}
		link.lose("goes astray")
		if err := store.RememberCut(t.Context(), "goes astray", time.Now(), time.Hour); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("a cut: got %v", err)
		}
		if n := link.count(); n != 1 {
			t.Errorf("a cut was sent %d times", n)
		}
	})
}

func TestRedis_MarksOnceWhenTheAnswerIsLost(t *testing.T) {
	lossyWorlds(t, func(t *testing.T, link *lossyLink, store *Broker, _ *goredis.Client) {
		if err := store.Mark(t.Context(), 0, 1, broker.ID{}, broker.ID{}); err != nil {
			t.Fatal(err)
		}
		link.lose("4711")
		if err := store.Mark(t.Context(), 0, 4711, broker.ID{}, broker.ID{}); err == nil {
			t.Error("a mark whose answer was lost was answered")
		}
		if n := link.count(); n != 1 {
			t.Errorf("a mark was sent %d times", n)
		}
	})
}

// TestCluster_PublishesOnceWhileASlotMoves: what a node refuses because its slot moves has not been executed, and finds its way.
func TestCluster_PublishesOnceWhileASlotMoves(t *testing.T) {
	url := redistest.StartCluster(t)
	store, err := New(Options{URL: url, Replica: "a", Retention: broker.Retention{Size: 100}, Partitions: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	sp := &store.spaces[0]
	slot := int(store.cluster.ClusterKeySlot(t.Context(), sp.clock).Val())
	source, err := store.cluster.MasterForKey(t.Context(), sp.clock)
	if err != nil {
		t.Fatal(err)
	}
	target, err := store.cluster.MasterForKey(t.Context(), store.spaces[3].clock)
	if err != nil {
		t.Fatal(err)
	}
	do := func(node *goredis.Client, args ...any) any {
		t.Helper()
		answer, err := node.Do(t.Context(), args...).Result()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return answer
	}
	acknowledged := 0
	publish := func(topic, key string) error {
		t.Helper()
		r := store.Publish(t.Context(), 0, []broker.Op{{Topic: topic, Key: key, Block: []byte("data: 1\n")}})[0]
		if r.Err == nil {
			acknowledged++
		} else if !errors.Is(r.Err, broker.ErrNotSent) {
			t.Errorf("topic %s: got %v", topic, r.Err)
		}
		return r.Err
	}
	want := func(topic, key string) {
		t.Helper()
		if err := publish(topic, key); err != nil {
			t.Errorf("topic %s, key %q: %v", topic, key, err)
		}
	}
	want("t", "")
	sourceID, targetID := do(source, "cluster", "myid"), do(target, "cluster", "myid")
	do(target, "cluster", "setslot", slot, "importing", sourceID)
	do(source, "cluster", "setslot", slot, "migrating", targetID)
	want("t", "") // all keys are at the source
	if err := publish("t", "key"); !goredis.IsTryAgainError(err) {
		t.Errorf("a key that is not there yet: got %v, want Redis's TRYAGAIN", err)
	}
	for _, key := range source.ClusterGetKeysInSlot(t.Context(), slot, 100).Val() {
		host, port, _ := net.SplitHostPort(target.Options().Addr)
		do(source, "migrate", host, port, key, 0, 5000)
	}
	want("t", "") // the source says ASK
	do(target, "cluster", "setslot", slot, "node", targetID)
	do(source, "cluster", "setslot", slot, "node", targetID)
	want("t", "key") // the source says MOVED, and the script is new to the target
	want("t", "key")
	want("u", "")
	if err := store.Mark(t.Context(), 0, 1, broker.ID{}, broker.ID{}); err != nil {
		t.Error(err)
	}
	tails, err := store.Read(t.Context(), 0, []broker.Read{{Topic: "t", Count: true}, {Topic: "u", Count: true}})
	if err != nil {
		t.Fatal(err)
	}
	if got := tails[0].Kept + tails[1].Kept; got != acknowledged-1 { // the key was published twice, and is one event
		t.Errorf("%d events, want %d", got, acknowledged-1)
	}
}

func TestRedis_ATryThatIsOvertakenStaysRefused(t *testing.T) {
	refused := fmt.Errorf("%w: %w", broker.ErrNotSent, goredis.ErrNoScript)
	op := func(topic string, err error) *opCall {
		return &opCall{op: &broker.Op{Topic: topic}, result: &broker.Result{Err: err}}
	}
	ops := []*opCall{op("t", refused), op("u", refused), op("t", nil), op("t", refused), op("u", broker.ErrTopicClosed), op("v", refused)}
	again := refusedForNow(ops)
	if len(again) != 2 || again[0] != ops[3] || again[1] != ops[5] {
		t.Errorf("%d are tried again, want the last of t and that of v", len(again))
	}
}

func TestRedis_AnOlderCutDoesNotReplaceANewer(t *testing.T) {
	url, _ := redistest.Start(t)
	store, err := New(Options{URL: url, Replica: "a"})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	now := time.UnixMilli(time.Now().UnixMilli())
	for _, at := range []time.Time{now, now.Add(-time.Minute)} {
		if err := store.RememberCut(t.Context(), "jack", at, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	cuts, err := store.Cuts(t.Context())
	if err != nil || !cuts["jack"].Equal(now) {
		t.Errorf("got %v, %v, want %v", cuts, err, now)
	}
}
