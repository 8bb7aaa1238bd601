package httpapi

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// deadlines stands for the connection whose reads are bounded.
type deadlines struct {
	mu   sync.Mutex
	last time.Time
	past func() // called when the deadline is one that has passed
}

func (d *deadlines) SetReadDeadline(at time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = at
	if !at.IsZero() && at.Before(time.Unix(2, 0)) && d.past != nil {
		d.past()
	}
	return nil
}

// newTestReader makes a reader whose lines hold their text as data.
func newTestReader(body io.Reader, control deadliner, maxLine int) *lineReader {
	return newLineReader(body, control, lineTimes{grace: bodyGrace}, maxLine, func(text []byte) line { return line{item: item{data: bytes.Clone(text)}} })
}

// readLines runs a reader over body to its end.
func readLines(t *testing.T, body io.Reader, maxLine int) (texts []string, end error) {
	t.Helper()
	reader := newTestReader(body, &deadlines{}, maxLine)
	go reader.run()
	for {
		lines, err := reader.take()
		if err != nil {
			return texts, err
		}
		if len(lines) > batchLines {
			t.Errorf("a batch of %d lines", len(lines))
		}
		for _, line := range lines {
			if line.err != nil {
				texts = append(texts, "too long")
				continue
			}
			texts = append(texts, string(line.item.data))
		}
	}
}

func TestLineReader_SplitsAtLineFeeds(t *testing.T) {
	body := "a\n\nbc\r\n" + strings.Repeat("x", 10) + "\n" + strings.Repeat("y", 11) + "\n" + strings.Repeat("z", 50) + "\nlast"
	want := []string{"a", "bc\r", "xxxxxxxxxx", "too long", "too long", "last"}
	for name, reader := range map[string]io.Reader{
		"at once":       strings.NewReader(body),
		"bytewise":      iotest.OneByteReader(strings.NewReader(body)),
		"data with EOF": iotest.DataErrReader(strings.NewReader(body)),
	} {
		lines, err := readLines(t, reader, 10)
		if got := strings.Join(lines, "|"); got != strings.Join(want, "|") || !errors.Is(err, io.EOF) {
			t.Errorf("%s: got %q, error %v", name, got, err)
		}
	}
}

func TestLineReader_DropsALineCutOff(t *testing.T) {
	lines, err := readLines(t, io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(io.ErrUnexpectedEOF)), 10)
	if len(lines) != 1 || lines[0] != "a" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %q, error %v", lines, err)
	}
}

func TestLineReader_TakesWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, feed := io.Pipe()
		reader := newTestReader(body, &deadlines{}, 1<<20)
		go reader.run()
		for _, lines := range []int{1, 200, 3} {
			if _, err := feed.Write(bytes.Repeat([]byte("line\n"), lines)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			batch, err := reader.take()
			if err != nil || len(batch) != lines {
				t.Errorf("got %d lines, want %d (%v)", len(batch), lines, err)
			}
		}
		_ = feed.Close()
	})
}

func TestLineReader_ReadsAheadWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, feed := io.Pipe()
		reader := newTestReader(body, &deadlines{}, 1<<20)
		go reader.run()
		written := 0
		go func() {
			line := append(bytes.Repeat([]byte("x"), 16<<10), '\n')
			for written < 1000 {
				if _, err := feed.Write(line); err != nil {
					return
				}
				written++
			}
			_ = feed.Close()
		}()
		synctest.Wait()
		if most := batchBytes/(16<<10) + 4; written > most {
			t.Errorf("%d lines of 16 KiB were read ahead, want at most %d", written, most)
		}
		lines := 0
		for {
			batch, err := reader.take()
			if err != nil {
				break
			}
			lines += len(batch)
		}
		if lines != 1000 {
			t.Errorf("got %d lines", lines)
		}
	})
}

func TestLineReader_BoundsTheTimeOfALineOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, feed := io.Pipe()
		control := &deadlines{}
		reader := newTestReader(body, control, 1<<20)
		go reader.run()
		expect := func(write string, want time.Time) {
			t.Helper()
			if _, err := io.WriteString(feed, write); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			control.mu.Lock()
			defer control.mu.Unlock()
			if got := control.last; !got.Truncate(time.Second).Equal(want.Truncate(time.Second)) {
				t.Errorf("after %q: deadline %v, want %v", write, got, want)
			}
		}
		began := time.Now()
		expect("a\n", time.Time{})
		expect("b", began.Add(bodyGrace))
		time.Sleep(3 * time.Second)
		expect("c", began.Add(bodyGrace))
		expect("\n", time.Time{})
		_ = feed.Close()
		for {
			if _, err := reader.take(); err != nil {
				break
			}
		}
	})
}

func TestLineReader_StopsButHandsOutWhatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, feed := io.Pipe()
		control := &deadlines{past: func() { _ = body.CloseWithError(errors.New("i/o timeout")) }}
		reader := newTestReader(body, control, 1<<20)
		go reader.run()
		if _, err := io.WriteString(feed, "a\nb\nhalf"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		reader.stop()
		synctest.Wait()
		batch, err := reader.take()
		if err != nil || len(batch) != 2 {
			t.Errorf("got %d lines, error %v", len(batch), err)
		}
		if _, err := reader.take(); !errors.Is(err, errLinesStopped) {
			t.Errorf("got %v, want that it was stopped", err)
		}
	})
}
