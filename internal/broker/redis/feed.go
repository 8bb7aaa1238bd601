package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/sse"
)

// errUnsubscribed: Redis ended a subscription by itself, as it does when a slot moves to another node.
var errUnsubscribed = errors.New("the server ended a subscription")

// A feed is one Pub/Sub connection. go-redis would reconnect it by itself, and stay deaf meanwhile without a word;
// so the first error of any call ends it, and the session opens a new one.
type feed struct {
	pubsub  *goredis.PubSub
	space   *space
	sharded bool
	topics  string       // prefix of topics' channels
	leaving atomic.Int64 // UNSUBSCRIBEs on their way
}

// Open opens a Pub/Sub connection, and returns when it is subscribed to the partition's control channel and to this
// replica's marks.
func (r *Broker) Open(ctx context.Context, part int) (broker.Feed, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	if err := r.tenancy.hold(ctx); err != nil {
		return nil, r.refusals.note(err)
	}
	sp := &r.spaces[part]
	f := &feed{space: sp, sharded: r.cluster != nil, topics: sp.channel("")}
	if f.sharded {
		r.cluster.ReloadState(ctx)
		f.pubsub = r.client.SSubscribe(ctx)
	} else {
		f.pubsub = r.client.Subscribe(ctx)
	}
	own := []string{sp.control, sp.marks(r.opts.Replica)}
	if err := f.command(ctx, own); err != nil {
		_ = f.pubsub.Close()
		return nil, r.refusals.note(err)
	}
	deadline := time.Now().Add(r.opts.Timeout)
	for range own {
		if _, err := f.pubsub.ReceiveTimeout(ctx, max(time.Until(deadline), time.Millisecond)); err != nil {
			_ = f.pubsub.Close()
			return nil, fmt.Errorf("wait for SUBSCRIBE to be acknowledged: %w", r.refusals.note(err))
		}
	}
	return f, nil
}

// command subscribes to channels.
func (f *feed) command(ctx context.Context, channels []string) error {
	subscribe := f.pubsub.Subscribe
	if f.sharded {
		subscribe = f.pubsub.SSubscribe
	}
	if err := subscribe(ctx, channels...); err != nil {
		return fmt.Errorf("SUBSCRIBE to %d channels: %w", len(channels), err)
	}
	return nil
}

func (f *feed) channels(topics []string) []string {
	channels := make([]string, len(topics))
	for i, topic := range topics {
		channels[i] = f.space.channel(topic)
	}
	return channels
}

// Subscribe sends one SUBSCRIBE.
func (f *feed) Subscribe(ctx context.Context, topics []string) error {
	return f.command(ctx, f.channels(topics))
}

// Unsubscribe sends one UNSUBSCRIBE.
func (f *feed) Unsubscribe(ctx context.Context, topics []string) error {
	unsubscribe := f.pubsub.Unsubscribe
	if f.sharded {
		unsubscribe = f.pubsub.SUnsubscribe
	}
	f.leaving.Add(int64(len(topics)))
	if err := unsubscribe(ctx, f.channels(topics)...); err != nil {
		return fmt.Errorf("UNSUBSCRIBE from %d channels: %w", len(topics), err)
	}
	return nil
}

// Receive waits for the next message. It has no time-out: one that fires in the middle of a message would leave the rest of
// it to be read as the next.
func (f *feed) Receive(buf []broker.Message) ([]broker.Message, error) {
	for {
		received, err := f.pubsub.Receive(context.Background())
		if err != nil {
			return nil, err
		}
		switch m := received.(type) {
		case *goredis.Message:
			message, err := f.message(m)
			if err != nil {
				return nil, err
			}
			return append(buf, message), nil
		case *goredis.Subscription:
			topic, ours := strings.CutPrefix(m.Channel, f.topics)
			switch m.Kind {
			case "subscribe", "ssubscribe":
				if ours {
					return append(buf, broker.Message{Kind: broker.MessageAck, Topic: topic}), nil
				}
			default:
				if f.leaving.Add(-1) < 0 {
					return nil, fmt.Errorf("%w: channel %q", errUnsubscribed, m.Channel)
				}
			}
		}
	}
}

// message reads a Pub/Sub message. Its first byte tells its kind.
func (f *feed) message(m *goredis.Message) (broker.Message, error) {
	if m.Payload == "" {
		return broker.Message{}, fmt.Errorf("an empty message on channel %q", m.Channel)
	}
	kind, rest := m.Payload[0], m.Payload[1:]
	switch kind {
	case 'e', 'c':
		return f.event(m.Channel, kind == 'c', rest)
	case 'x':
		return broker.Message{Kind: broker.MessageControl, Payload: []byte(rest)}, nil
	case 'b':
		born, err := broker.ParseID(rest)
		return broker.Message{Kind: broker.MessageBirth, Mark: broker.Mark{Born: born}}, err
	case 'm':
		fields := strings.Fields(rest)
		if len(fields) != 3 {
			return broker.Message{}, fmt.Errorf("a mark of %d fields", len(fields))
		}
		seq, err := strconv.ParseUint(fields[0], 10, 64)
		if err != nil {
			return broker.Message{}, fmt.Errorf("a mark's number: %w", err)
		}
		mark := broker.Mark{Seq: seq}
		if mark.Head, err = broker.ParseID(fields[1]); err == nil {
			mark.Born, err = broker.ParseID(fields[2])
		}
		return broker.Message{Kind: broker.MessageMark, Mark: mark}, err
	}
	return broker.Message{}, fmt.Errorf("a message of unknown kind %q on channel %q", kind, m.Channel)
}

// event reads "<id> <prev> <block>".
func (f *feed) event(channel string, isClose bool, text string) (broker.Message, error) {
	idText, rest, _ := strings.Cut(text, " ")
	prevText, block, _ := strings.Cut(rest, " ")
	id, err := broker.ParseID(idText)
	if err != nil {
		return broker.Message{}, fmt.Errorf("an event on channel %q: %w", channel, err)
	}
	prev, err := broker.ParseID(prevText)
	if err != nil {
		return broker.Message{}, fmt.Errorf("event %s on channel %q: %w", idText, channel, err)
	}
	entry := broker.Entry{ID: id, Prev: prev, Close: isClose, Frame: sse.NewFrame([]byte(block), idText)}
	return broker.Message{Kind: broker.MessageEvent, Topic: strings.TrimPrefix(channel, f.topics), Entry: entry}, nil
}

// Close wakes Receive.
func (f *feed) Close() error { return f.pubsub.Close() }
