package integration_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sse-gateway/integration_test/lab"
)

// A rig is what a fault may break: replicas that reach Redis over a link, under load.
type rig struct {
	redis    *lab.Redis
	link     *lab.Link
	replicas lab.Replicas
	load     *lab.Load
}

// A fault breaks something for a time and mends it again.
type fault struct {
	name string
	// destroys says that the fault destroys events in Redis: then they may be missing, after a gap event.
	destroys bool
	redis    []string // more of its command line
	env      []string // more settings of the replicas
	// lasts is how long the fault takes, at least; 0: as long as the test's pace says.
	lasts time.Duration
	run   func(t *testing.T, r *rig, lasts time.Duration)
}

func faults() []fault {
	return []fault{
		{name: "none", run: func(_ *testing.T, _ *rig, lasts time.Duration) { lab.Pause(lasts) }},
		{name: "replica: kill -9", run: func(t *testing.T, r *rig, lasts time.Duration) {
			r.replicas[0].Kill()
			lab.Pause(lasts)
			r.replicas[0].Start(t)
		}},
		{name: "replica: SIGSTOP for 10 s", lasts: 10 * time.Second, run: func(t *testing.T, r *rig, lasts time.Duration) {
			r.replicas[0].Freeze(t)
			lab.Pause(lasts)
			r.replicas[0].Thaw(t)
		}},
		{name: "replica: SIGTERM, drain", env: []string{"GATEWAY_DRAIN=2s"}, run: func(t *testing.T, r *rig, _ time.Duration) {
			r.replicas[0].Terminate(t)
			if code := r.replicas[0].WaitExit(t, 10*time.Second); code != 0 {
				t.Errorf("exit code %d", code)
			}
			r.replicas[0].Start(t)
		}},
		{name: "Redis: kill -9", run: func(t *testing.T, r *rig, lasts time.Duration) {
			r.redis.Kill()
			lab.Pause(lasts)
			r.redis.Start(t)
		}},
		{name: "Redis: everything lost", destroys: true, run: func(t *testing.T, r *rig, lasts time.Duration) {
			r.redis.Kill()
			r.redis.Wipe(t)
			lab.Pause(lasts / 4)
			r.redis.Start(t)
		}},
		{name: "Redis: the last second lost", destroys: true, run: func(t *testing.T, r *rig, _ time.Duration) {
			snapshot := r.redis.Snapshot(t)
			lab.Pause(time.Second)
			r.redis.Kill()
			r.redis.RollBack(t, snapshot)
			r.redis.Start(t)
		}},
		{name: "Redis: everything lost, clock an hour behind", destroys: true, run: clockBehind},
		{name: "Redis: CLIENT KILL of Pub/Sub every 200 ms", run: func(t *testing.T, r *rig, lasts time.Duration) {
			every(lasts, 200*time.Millisecond, func() { r.redis.KillPubSub(t) })
		}},
		{name: "Redis: SCRIPT FLUSH every 200 ms", run: func(t *testing.T, r *rig, lasts time.Duration) {
			every(lasts, 200*time.Millisecond, func() {
				if err := r.redis.Client().ScriptFlush(t.Context()).Err(); err != nil {
					t.Error(err)
				}
			})
		}},
		{name: "Redis: out of memory", run: outOfMemory},
		{name: "Redis: Pub/Sub output buffer limit", redis: []string{"--client-output-buffer-limit", "pubsub 32kb 0 0"}, run: outputBufferLimit},
		{name: "network: Pub/Sub black-holed for 10 s", lasts: 10 * time.Second, run: func(_ *testing.T, r *rig, lasts time.Duration) {
			r.link.BlackHolePubSub()
			lab.Pause(lasts)
			r.link.Heal()
		}},
		{name: "network: Pub/Sub deaf, new connections work", lasts: 6 * time.Second, run: func(_ *testing.T, r *rig, lasts time.Duration) {
			r.link.DeafenPubSub()
			lab.Pause(lasts)
			r.link.Heal()
		}},
		{name: "network: Redis black-holed for 10 s", lasts: 10 * time.Second, run: func(_ *testing.T, r *rig, lasts time.Duration) {
			r.link.BlackHole()
			lab.Pause(lasts)
			r.link.Heal()
		}},
		{name: "network: 200 ms latency with jitter", lasts: 4 * time.Second, run: func(_ *testing.T, r *rig, lasts time.Duration) {
			r.link.Latency(200*time.Millisecond, 100*time.Millisecond)
			lab.Pause(lasts)
			r.link.Heal()
		}},
		{name: "network: every connection cut each 500 ms", run: func(_ *testing.T, r *rig, lasts time.Duration) {
			every(lasts, 500*time.Millisecond, func() {
				r.link.Cut()
				r.link.Heal()
			})
		}},
		{name: "subscribers: stalled, cut and back", run: stalledSubscribers},
	}
}

// every calls do at an interval, for a time.
func every(lasts, interval time.Duration, do func()) {
	for end := time.Now().Add(lasts); time.Now().Before(end); {
		do()
		lab.Pause(interval)
	}
}

// clockBehind sets the gateways' clock in Redis an hour ahead, so that after the loss of everything the ids that Redis's
// own time makes are an hour behind those that were given out.
func clockBehind(t *testing.T, r *rig, lasts time.Duration) {
	ctx := t.Context()
	clocks := r.redis.Keys(t, "*clock*")
	if len(clocks) != 1 {
		t.Fatalf("the clock of ids is not among the keys %v", r.redis.Keys(t, "*"))
	}
	ahead := fmt.Sprintf("%d-0", time.Now().Add(time.Hour).UnixMilli())
	if err := r.redis.Client().XAdd(ctx, &redis.XAddArgs{Stream: clocks[0], ID: ahead, Values: []string{"i", ""}}).Err(); err != nil {
		t.Fatal(err)
	}
	before := r.load.Published()
	published(t, r.load, before+50)
	r.redis.Kill()
	r.redis.Wipe(t)
	lab.Pause(lasts / 4)
	r.redis.Start(t)
}

func outOfMemory(t *testing.T, r *rig, lasts time.Duration) {
	r.redis.Config(t, "maxmemory", "1mb")
	lab.Pause(lasts)
	if refused, _ := r.load.Refused(); refused[503] == 0 {
		t.Errorf("no publish was refused with 503: %v", refused)
	}
	r.redis.Config(t, "maxmemory", "0")
}

// flood publishes large events to a topic of the load, which its subscribers do not count.
func flood(t *testing.T, r *rig, topic string, events int) {
	t.Helper()
	event := fmt.Sprintf(`{"topic":%q,"event":%q,"data":"%s"}`, topic, lab.FloodType, strings.Repeat("x", 48<<10))
	body := "[" + strings.Repeat(event+",", events-1) + event + "]"
	for _, replica := range r.replicas {
		if status, answer := lab.Post(t, replica.URL+"/publish", body); status != 200 {
			t.Logf("flood: status %d, %.200s", status, answer)
		}
	}
}

func outputBufferLimit(t *testing.T, r *rig, lasts time.Duration) {
	conns := func() map[string]bool {
		ids := map[string]bool{}
		for _, conn := range r.redis.Conns(t, "pubsub") {
			ids[conn["id"]] = true
		}
		return ids
	}
	before := conns()
	every(lasts, lasts/4, func() { flood(t, r, "load.00", 3) })
	for id := range conns() {
		delete(before, id)
	}
	if len(before) == 0 {
		t.Error("no Pub/Sub connection has hit the limit")
	}
}

func stalledSubscribers(t *testing.T, r *rig, _ time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stalled := r.load.Subscribers("load.00")[:3]
	for _, subscriber := range stalled {
		subscriber.Pause()
	}
	slow := func() (count float64) {
		for _, replica := range r.replicas {
			count += replica.Metric(t, "gateway_streams_closed_total", `reason="slow"`)
		}
		return count
	}
	for slow() == 0 && ctx.Err() == nil {
		flood(t, r, "load.00", 20)
	}
	for _, subscriber := range stalled {
		subscriber.Resume()
	}
	if slow() == 0 {
		t.Error("no stalled subscriber was cut")
	}
}

// pace is how long and how hard a fault suite works, over which path of the streams.
type pace struct {
	engine               string
	before, fault, after time.Duration
	load                 lab.LoadOptions
}

// break runs one fault and returns what became of the events.
func (f fault) breakIt(t *testing.T, p pace) lab.Verdict {
	t.Helper()
	r := &rig{redis: lab.StartRedis(t, append(durable(), f.redis...)...)}
	r.link = lab.StartLink(t, r.redis.Addr)
	env := append([]string{r.link.Env(), p.engine, "GATEWAY_HISTORY_SIZE=20000"}, f.env...)
	r.replicas = startReplicas(t, 3, env...)
	p.load.Bases = r.replicas.URLs()
	r.load = lab.StartLoad(t, p.load)
	lab.Pause(p.before)
	f.run(t, r, max(f.lasts, p.fault))
	for _, replica := range r.replicas {
		replica.WaitReady(t)
	}
	lab.Pause(p.after)
	refused, slowest := r.load.Refused()
	verdict := r.load.Finish(t, 30*time.Second)
	t.Logf("refused %v, slowest refusal %v; %+v", refused, slowest, verdict)
	if !verdict.OK(f.destroys) {
		t.Errorf("lost %d, duplicated %d, out of order %d, ghosts %d, gaps %d:\n%s", verdict.Lost, verdict.Duplicated,
			verdict.OutOfOrder, verdict.Ghosts, verdict.Gaps, strings.Join(verdict.Examples, "\n"))
	}
	if f.destroys && verdict.Gaps == 0 {
		t.Error("events were destroyed and no gap was told")
	}
	return verdict
}

// TestFaults is the short form of the fault suite; TestSoak is the long one.
func TestFaults_EveryEventExactlyOnceAndInOrder(t *testing.T) {
	overBothPaths(t, func(t *testing.T, engine string) {
		var table lab.Table
		t.Run("fault", func(t *testing.T) {
			for _, f := range faults() {
				t.Run(f.name, func(t *testing.T) {
					t.Parallel()
					table.Add(f.name, f.breakIt(t, pace{
						engine: engine, before: time.Second, fault: 2 * time.Second, after: time.Second,
						load: lab.LoadOptions{Rate: 150},
					}))
				})
			}
		})
		t.Logf("\n%s", table.String())
	})
}
