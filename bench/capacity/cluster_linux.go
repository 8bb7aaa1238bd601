package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sse-gateway/bench/internal/server"
)

// primaries measures what a publish costs a Cluster by the number of its primaries: it should cost them all together the same.
func (b *bench) primaries(events int) error {
	for _, n := range []int{1, 2, 4} {
		stores, err := b.cluster(n)
		if err != nil {
			return err
		}
		g, err := b.onCluster(stores, 16)
		if err != nil {
			return err
		}
		body := array(func(i int) string { return "t" + strconv.Itoa(i) })
		before, err := times(stores)
		if err != nil {
			return err
		}
		begun := time.Now()
		for range events / batch {
			if err := b.post(g.Target.Addr, body); err != nil {
				return err
			}
		}
		took := time.Since(begun)
		after, err := times(stores)
		if err != nil {
			return err
		}
		var sum, most float64
		for i := range stores {
			used := (after[i] - before[i]).Seconds()
			sum, most = sum+used, max(most, used)
		}
		b.say("a Cluster of %d primaries, arrays of %d: %.1f µs an event of all together, %.1f of the busiest, %.0f events/s by the clock",
			n, batch, sum*1e6/float64(events), most*1e6/float64(events), float64(events)/took.Seconds())
		b.stop()
	}
	return nil
}

// cluster starts n primaries that have all slots between them.
func (b *bench) cluster(n int) ([]*server.Process, error) {
	stores := make([]*server.Process, n)
	for i := range stores {
		var err error
		if stores[i], err = b.start(server.StartRedis, server.Options{Core: 1, Args: []string{"--cluster-enabled", "yes"}}); err != nil {
			return nil, err
		}
		if err := b.join(stores[0].Target.Addr, stores[i].Target.Addr, 16384*i/n, 16384*(i+1)/n-1); err != nil {
			return nil, err
		}
	}
	for _, store := range stores {
		if err := b.whole(store.Target.Addr, n); err != nil {
			return nil, err
		}
	}
	return stores, nil
}

// join gives a node its slots and shows it the first one.
func (b *bench) join(first, addr string, from, to int) error {
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = client.Close() }()
	if err := client.ClusterAddSlotsRange(b.ctx, from, to).Err(); err != nil {
		return fmt.Errorf("make a cluster: slots of %s: %w", addr, err)
	}
	host, port, err := net.SplitHostPort(first)
	if err != nil || first == addr {
		return err
	}
	if err := client.ClusterMeet(b.ctx, host, port).Err(); err != nil {
		return fmt.Errorf("make a cluster: %s meets %s: %w", addr, first, err)
	}
	return nil
}

// whole waits until a node knows a cluster of n nodes that serves every slot.
func (b *bench) whole(addr string, n int) error {
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	for {
		info, err := client.ClusterInfo(ctx).Result()
		if err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", n)) {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("make a cluster of %d: %s does not see all of it", n, addr), err, ctx.Err())
		}
	}
}

// onCluster starts a gateway on a Cluster.
func (b *bench) onCluster(stores []*server.Process, partitions int) (*server.Process, error) {
	return b.start(server.StartGateway, server.Options{Env: []string{
		"GATEWAY_REDIS_URL=redis+cluster://" + stores[0].Target.Addr, "GATEWAY_PARTITIONS=" + strconv.Itoa(partitions),
	}})
}
