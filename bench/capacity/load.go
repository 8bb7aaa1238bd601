package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

// A load is what is asked of the gateway, and what a replica is given.
type load struct {
	Streams   float64
	Rate      float64 // events published a second
	Fanout    float64 // streams that get each event
	Topics    float64 // topics with subscribers; 0: one for each stream, shared by Fanout of them
	PerStream float64 // topics of one stream
	Bytes     float64 // data of an event

	Batched    bool // events come in arrays or NDJSON, not each in a request of its own
	Partitions float64

	HistorySize float64
	HistoryTTL  time.Duration
	Heartbeat   time.Duration
	Retry       time.Duration

	Cores      float64 // of a replica
	Busy       float64 // share of the cores, the gateway's and Redis's, that may be in use
	MaxStreams float64 // of a replica
}

func parseLoad(args []string, stderr io.Writer) (load, error) {
	var l load
	f := flag.NewFlagSet("capacity", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Float64Var(&l.Streams, "streams", 10_000, "open streams")
	f.Float64Var(&l.Rate, "rate", 1000, "events published a second")
	f.Float64Var(&l.Fanout, "fanout", 1, "streams that get each event, on average")
	f.Float64Var(&l.Topics, "topics", 0, "topics; 0: streams × per-stream ÷ fanout")
	f.Float64Var(&l.PerStream, "per-stream", 1, "topics of one stream")
	f.Float64Var(&l.Bytes, "bytes", 100, "data of an event")
	f.BoolVar(&l.Batched, "batched", false, "events are published in arrays or NDJSON, not each in a request of its own")
	f.Float64Var(&l.Partitions, "partitions", 16, "GATEWAY_PARTITIONS, once there is more than one primary")
	f.Float64Var(&l.HistorySize, "history-size", 1000, "GATEWAY_HISTORY_SIZE")
	f.DurationVar(&l.HistoryTTL, "history-ttl", time.Hour, "GATEWAY_HISTORY_TTL")
	f.DurationVar(&l.Heartbeat, "heartbeat", 15*time.Second, "GATEWAY_HEARTBEAT")
	f.DurationVar(&l.Retry, "retry", 3*time.Second, "GATEWAY_RETRY")
	f.Float64Var(&l.Cores, "cores", 2, "cores of a replica")
	f.Float64Var(&l.Busy, "busy", 0.6, "share of the cores that may be in use, the gateway's and Redis's")
	f.Float64Var(&l.MaxStreams, "max-streams", 50_000, "streams of a replica at most, so that one that dies is no storm")
	if err := f.Parse(args); err != nil {
		return l, err
	}
	if f.NArg() > 0 {
		return l, fmt.Errorf("%q is not understood: flags only, or measure", f.Arg(0))
	}
	return l, l.check()
}

func (l *load) check() error {
	var errs []error
	for name, value := range map[string]float64{
		"streams": l.Streams, "fanout": l.Fanout, "per-stream": l.PerStream, "cores": l.Cores, "busy": l.Busy,
		"max-streams": l.MaxStreams, "partitions": l.Partitions,
		"heartbeat": l.Heartbeat.Seconds(), "retry": l.Retry.Seconds(),
	} {
		if !(value > 0) {
			errs = append(errs, fmt.Errorf("-%s is %v, and must be more than 0", name, value))
		}
	}
	for name, value := range map[string]float64{
		"rate": l.Rate, "topics": l.Topics, "bytes": l.Bytes, "history-size": l.HistorySize, "history-ttl": l.HistoryTTL.Seconds(),
	} {
		if !(value >= 0) {
			errs = append(errs, fmt.Errorf("-%s is %v, and must not be less than 0", name, value))
		}
	}
	if l.Busy > 1 {
		errs = append(errs, fmt.Errorf("-busy is %v, and must not be more than 1", l.Busy))
	}
	if l.Fanout > l.Streams {
		errs = append(errs, fmt.Errorf("-fanout is %v, and there are only %v streams", l.Fanout, l.Streams))
	}
	if l.Topics == 0 && l.Fanout > 0 {
		l.Topics = max(l.Streams*l.PerStream/l.Fanout, 1)
	}
	return errors.Join(errs...)
}
