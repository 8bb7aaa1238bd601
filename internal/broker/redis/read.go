package redis

import (
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// luaRead reads a part of a stream up to a bound in bytes.
//
//go:embed read.lua
var luaRead string

// Read reads the ends of topics' histories in one pipeline, last ids first. What reads events has connections of its own: it
// keeps nobody else waiting for one.
func (r *Broker) Read(ctx context.Context, part int, reads []broker.Read) ([]broker.Tail, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	if err := r.tenancy.ensure(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", broker.ErrUnavailable, r.refusals.note(err))
	}
	client := r.client
	for i := range reads {
		if reads[i].Limit > 0 {
			client = r.reader
		}
	}
	tails, err := r.read(ctx, client, part, reads, r.bounded.EvalShaRO)
	if goredis.HasErrorPrefix(err, "NOSCRIPT") {
		tails, err = r.read(ctx, client, part, reads, r.bounded.EvalRO)
	}
	return tails, err
}

// evaluation is how luaRead is run: by its hash, or by its text, which has it loaded.
type evaluation func(ctx context.Context, c goredis.Scripter, keys []string, args ...any) *goredis.Cmd

func (r *Broker) read(ctx context.Context, client goredis.UniversalClient, part int, reads []broker.Read, evaluate evaluation) ([]broker.Tail, error) {
	sp := &r.spaces[part]
	ends := make([]string, 0, len(reads))
	for i := range reads {
		ends = append(ends, sp.last(reads[i].Topic))
	}
	pipe := client.Pipeline()
	known := pipe.MGet(ctx, ends...)
	answers := make([]rangeAnswer, len(reads))
	for i := range reads {
		answers[i] = rangeCommands(ctx, pipe, sp.stream(reads[i].Topic), &reads[i], evaluate)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read %d topics of partition %d: %w: %w", len(reads), part, broker.ErrUnavailable, r.refusals.note(err))
	}
	tails := make([]broker.Tail, len(reads))
	for i := range tails {
		tails[i].Last, tails[i].Closed = lastOf(known.Val()[i])
		if err := answers[i].fill(&tails[i]); err != nil {
			return nil, fmt.Errorf("read topic %q: %w", reads[i].Topic, err)
		}
	}
	return tails, nil
}

// rangeAnswer holds what a Read asked for, once the pipeline has run.
type rangeAnswer struct {
	entries, beyond *goredis.XMessageSliceCmd
	bounded         *goredis.Cmd // in the place of entries: the answer of luaRead
	limit           int
	reversed        bool
	kept            *goredis.IntCmd
}

func rangeCommands(ctx context.Context, pipe goredis.Pipeliner, stream string, r *broker.Read, evaluate evaluation) rangeAnswer {
	a := rangeAnswer{limit: r.Limit, reversed: !r.Before.IsZero()}
	if r.Count {
		a.kept = pipe.XLen(ctx, stream)
	}
	if r.Limit == 0 {
		return a
	}
	command, from, to := "XRANGE", "("+r.After.String(), "+"
	if a.reversed {
		command, from, to = "XREVRANGE", r.Before.String(), from
	}
	switch {
	case r.Bytes > 0 && r.Limit > 1:
		a.bounded = evaluate(ctx, pipe, []string{stream}, command, from, to, r.Limit, r.Bytes)
	case a.reversed:
		a.entries = pipe.XRevRangeN(ctx, stream, from, to, int64(r.Limit))
	default:
		a.entries = pipe.XRangeN(ctx, stream, from, to, int64(r.Limit))
	}
	if a.reversed {
		a.beyond = pipe.XRangeN(ctx, stream, "("+r.Before.String(), "+", 1)
	}
	return a
}

func (a *rangeAnswer) fill(tail *broker.Tail) error {
	if a.kept != nil {
		tail.Kept = int(a.kept.Val())
	}
	messages, full, err := a.messages()
	if err != nil {
		return err
	}
	tail.Full = full
	tail.Entries = make([]broker.Entry, len(messages))
	for i := range messages {
		place := i
		if a.reversed {
			place = len(messages) - 1 - i
		}
		entry, err := entryOf(&messages[i])
		if err != nil {
			return err
		}
		tail.Entries[place] = entry
	}
	if a.beyond != nil && len(a.beyond.Val()) > 0 {
		entry, err := entryOf(&a.beyond.Val()[0])
		if err != nil {
			return err
		}
		tail.Beyond = &entry
	}
	return nil
}

// messages are the stream's entries that were read, and whether a bound ended them.
func (a *rangeAnswer) messages() (messages []goredis.XMessage, full bool, err error) {
	switch {
	case a.bounded != nil:
		return boundedMessages(a.bounded.Val())
	case a.entries != nil:
		messages = a.entries.Val()
		return messages, len(messages) == a.limit, nil
	}
	return nil, false, nil
}

var errReadAnswer = errors.New("the read script's answer has an unknown form")

// boundedMessages reads luaRead's answer.
func boundedMessages(value any) ([]goredis.XMessage, bool, error) {
	answer, _ := value.([]any)
	if len(answer) != 2 {
		return nil, false, errReadAnswer
	}
	entries, _ := answer[0].([]any)
	messages := make([]goredis.XMessage, len(entries))
	for i := range entries {
		entry, _ := entries[i].([]any)
		if len(entry) != 2 {
			return nil, false, errReadAnswer
		}
		fields, _ := entry[1].([]any)
		messages[i].ID, _ = entry[0].(string)
		messages[i].Values = make(map[string]any, len(fields)/2)
		for at := 0; at+1 < len(fields); at += 2 {
			name, _ := fields[at].(string)
			messages[i].Values[name] = fields[at+1]
		}
	}
	return messages, answer[1] == int64(1), nil
}

// entryOf reads a stream entry as the publish script writes it.
func entryOf(m *goredis.XMessage) (broker.Entry, error) {
	id, err := broker.ParseID(m.ID)
	if err != nil {
		return broker.Entry{}, err
	}
	prevText, _ := m.Values["p"].(string)
	prev, err := broker.ParseID(prevText)
	if err != nil {
		return broker.Entry{}, fmt.Errorf("entry %s: %w", m.ID, err)
	}
	block, _ := m.Values["f"].(string)
	_, isClose := m.Values["c"]
	return broker.Entry{ID: id, Prev: prev, Close: isClose, Frame: sse.NewFrame([]byte(block), m.ID)}, nil
}

// lastOf reads a topic's last id, which may not be there, and whether it is that of its close. A stop may stand before it.
func lastOf(value any) (last, closed broker.ID) {
	text, _ := value.(string)
	if stop, id, found := strings.Cut(text, ":"); found && strings.HasPrefix(stop, "s") {
		text = id
	}
	text, isClose := strings.CutPrefix(text, "c")
	last, err := broker.ParseID(text)
	if err != nil {
		return broker.ID{}, broker.ID{}
	}
	if isClose {
		closed = last
	}
	return last, closed
}
