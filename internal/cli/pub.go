package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"sse-gateway/internal/client"
)

// PubUsage is what "gateway pub -h" says.
const PubUsage = `gateway pub [flags] TOPIC [DATA]
gateway pub [flags] --user USER [DATA]
gateway pub [flags]

Publishes DATA, or without it each line of the input as it comes. What is JSON is sent as JSON,
anything else as a string. Without TOPIC and --user each line is an event as POST /publish takes
it, such as {"topic": "robot", "data": "hi"}. Empty lines are passed over. Prints the id of each
event.

What fails for the moment is tried again for 30 s, with a key, so that nothing is published twice.

  --user USER        to the user's inbox, instead of a topic
  --event TYPE       the event's type (message)
  --key KEY          makes a repetition of the command publish nothing again, for 5 minutes;
                     the lines of an input have KEY#0, KEY#1 …
  --text             DATA and lines are strings, even if they look like JSON; empty lines count
  --quiet            print no ids
  --url URL          the gateway, any replica (GATEWAY_URL, or http://localhost:8000)
  --token-file FILE  holds the token, if one is needed (GATEWAY_TOKEN_FILE, GATEWAY_TOKEN)
  --token TOKEN      the token itself; others on the machine can see it

Exit codes: 0 all were published, 1 some were refused, 2 wrong usage, 3 some could not be
published in time, 130 Ctrl-C.
`

const (
	// batchLines and batchBytes bound what is sent at a time; whatever has come goes out as soon as the last batch is answered.
	batchLines, batchBytes = 256, 1 << 20
	// maxLine is the longest line that is read.
	maxLine = 64 << 20
)

type pub struct {
	*command
	user, topic, event, key string
	text, quiet             bool

	sent, failed int
	failure      error // one of them; a final one, if there is any
}

// Pub is "gateway pub".
func Pub(ctx context.Context, args []string, env func(string) string, terminal Terminal) error {
	p := pub{command: newCommand("pub", env, terminal)}
	p.StringVar(&p.user, "user", "", "")
	p.StringVar(&p.event, "event", "", "")
	p.StringVar(&p.key, "key", "", "")
	p.BoolVar(&p.text, "text", false, "")
	p.BoolVar(&p.quiet, "quiet", false, "")
	data, err := p.parse(args)
	if err != nil {
		return err
	}
	if p.user == "" && len(data) > 0 {
		p.topic, data = data[0], data[1:]
	}
	switch {
	case len(data) > 1:
		return p.misused("more than one DATA: %q; quote it for the shell", data)
	case p.isWhole() && (p.event != "" || p.text):
		return p.misused("--event and --text are for DATA, and there is neither TOPIC nor --user")
	}
	c, err := p.client(env)
	if err != nil {
		return err
	}
	defer c.Close()
	if p.key == "" {
		p.key = rand.Text()
	}
	if len(data) == 1 {
		err = p.publishOne(ctx, c, data[0])
	} else {
		err = p.publishInput(ctx, c)
	}
	return p.ended(ctx, cmp.Or(err, p.failures()))
}

// isWhole tells whether lines are whole events, which say themselves where they go.
func (p *pub) isWhole() bool { return p.topic == "" && p.user == "" }

// failures is the error of a command that could not publish everything.
func (p *pub) failures() error {
	if p.failed == 0 || p.sent == 1 {
		return p.failure
	}
	return fmt.Errorf("%d of %d events were not published; the last reason: %w", p.failed, p.sent, p.failure)
}

func (p *pub) publishOne(ctx context.Context, c *client.Client, data string) error {
	event, err := p.encode([]byte(data), p.key)
	if err != nil {
		return err
	}
	return p.publish(ctx, c, [][]byte{event}, nil)
}

// publishInput publishes the lines of the input.
func (p *pub) publishInput(ctx context.Context, c *client.Client) error {
	var failed error                       // of the input; set before lines is closed
	lines := make(chan []byte, batchLines) // read ahead
	go func() {                            // ends with the input, or with the process: reading cannot be interrupted
		defer close(lines)
		failed = readLines(p.terminal.In, lines, ctx.Done())
	}()
	for number := 0; ; {
		batch := take(ctx, lines)
		if len(batch) == 0 {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return failed
		}
		var events [][]byte
		var numbers []int
		for _, line := range batch {
			number++
			if len(bytes.TrimSpace(line)) == 0 && !p.text {
				continue
			}
			event, err := p.line(line, p.key+"#"+strconv.Itoa(number-1))
			if err != nil {
				p.fail(number, err)
				continue
			}
			events, numbers = append(events, event), append(numbers, number)
		}
		if err := p.publish(ctx, c, events, numbers); err != nil {
			return err
		}
	}
}

// line makes an event of a line of the input.
func (p *pub) line(line []byte, key string) ([]byte, error) {
	if !p.isWhole() {
		return p.encode(line, key)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil || fields == nil {
		return nil, errors.New(`no event, which is like {"topic": "robot", "data": "hi"}; name a topic, and lines are its data`)
	}
	if _, ok := fields["key"]; !ok {
		fields["key"] = asJSON(key)
	}
	return asJSON(fields), nil
}

// encode makes an event of its data.
func (p *pub) encode(data []byte, key string) ([]byte, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("data: not valid UTF-8")
	}
	event := struct {
		Topic string          `json:"topic,omitempty"`
		User  string          `json:"user,omitempty"`
		Event string          `json:"event,omitempty"`
		Key   string          `json:"key"`
		Data  json.RawMessage `json:"data"`
	}{p.topic, p.user, p.event, key, data}
	if p.text || !json.Valid(data) {
		event.Data = asJSON(string(data))
	}
	return asJSON(event), nil
}

// asJSON encodes what always can be, on one line and without escapes that the value did not have.
func asJSON(value any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// publish publishes events, prints their ids, and keeps count of those that fail. numbers are their lines in the input.
func (p *pub) publish(ctx context.Context, c *client.Client, events [][]byte, numbers []int) error {
	if len(events) == 0 {
		return nil
	}
	results, err := c.Publish(ctx, events)
	if err != nil {
		return err
	}
	for i, result := range results {
		for _, id := range result.IDs {
			if !p.quiet {
				_, _ = fmt.Fprintln(p.terminal.Out, id)
			}
		}
		switch {
		case result.Err == nil:
			p.sent++
		case numbers == nil:
			p.sent, p.failure = 1, result.Err
		default:
			p.fail(numbers[i], result.Err)
		}
	}
	return nil
}

// fail takes note of a line that was not published.
func (p *pub) fail(number int, err error) {
	_, _ = fmt.Fprintf(p.terminal.Err, "gateway: pub: line %d: %v\n", number, err)
	p.sent++
	p.failed++
	if p.failure == nil || !client.IsTemporary(err) {
		p.failure = err
	}
}

// readLines sends the lines of r until it ends, or stop is closed.
func readLines(r io.Reader, lines chan<- []byte, stop <-chan struct{}) error {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, maxLine)
	for scanner.Scan() {
		select {
		case lines <- bytes.Clone(scanner.Bytes()):
		case <-stop:
			return nil
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("read the input: %w", err)
	}
	return nil
}

// take waits for a line, and takes what else has come. It returns nothing at the end of the input, and of ctx.
func take(ctx context.Context, lines <-chan []byte) [][]byte {
	var batch [][]byte
	select {
	case line, ok := <-lines:
		if !ok {
			return nil
		}
		batch = append(batch, line)
	case <-ctx.Done():
		return nil
	}
	for size := len(batch[0]); len(batch) < batchLines && size < batchBytes; {
		select {
		case line, ok := <-lines:
			if !ok {
				return batch
			}
			batch, size = append(batch, line), size+len(line)
		default:
			return batch
		}
	}
	return batch
}
