package httpapi

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"sse-gateway/internal/address"
)

const (
	// maxRetry is the longest reconnection time that an event may ask for: one hour, in milliseconds.
	maxRetry = 3_600_000
	// leastRetry and mostRetry are what it gets, in milliseconds. With less, a page would ask hundreds of times a second when
	// it finds nobody; with more, it would stay away long after all is well.
	leastRetry = 1000
	mostRetry  = 300_000
	// maxTargets bounds how many events one request may make: each topic of a broadcast has its data copied.
	maxTargets = 10_000
	// maxSpread bounds their bytes: so many times what a request may have.
	maxSpread = 4
)

// An item is one published event as a request states it. It becomes one event in each of its targets.
type item struct {
	targets   []address.Address
	broadcast bool // said with topics or users: answered with a result for each
	eventType string
	retry     int // ms; 0: none
	data      json.RawMessage
	key       string
}

// parseBody reads the body of a publish: one object, or an array of them. It is checked whole: one malformed item and
// there are no items.
func parseBody(body []byte, maxEvent int) (items []item, array bool, err error) {
	value, err := compact(body)
	if err != nil {
		return nil, false, err
	}
	w := &walker{json: value}
	switch w.kind() {
	case "object":
		one, err := parseItem(w, maxEvent)
		if err != nil {
			return nil, false, err
		}
		return []item{one}, false, nil
	case "array":
		items, err := parseItems(w, maxEvent)
		return items, true, err
	default:
		return nil, false, invalid("body: must be an object or an array of objects, not %s", w.kind())
	}
}

func parseItems(w *walker, maxEvent int) ([]item, error) {
	var items []item
	targets := 0
	err := w.each(func(_ []byte, index int) error {
		place := "item " + strconv.Itoa(index)
		if kind := w.kind(); kind != "object" {
			return invalid("%s: must be an object, not %s", place, kind)
		}
		next, err := parseItem(w, maxEvent)
		if err != nil {
			return problemOf(err).in(place)
		}
		if targets += len(next.targets); targets > maxTargets {
			return tooLarge("%s: more than %d events in one request", place, maxTargets)
		}
		items = append(items, next)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, invalid("body: the array is empty")
	}
	return items, nil
}

// parseItem reads the object that the walker stands at.
func parseItem(w *walker, maxEvent int) (item, error) {
	it, where, err := parseFields(w, maxEvent)
	switch {
	case err != nil:
		return item{}, err
	case where == "":
		return item{}, invalid("topic: missing, and no user, topics or users either")
	case it.data == nil:
		return item{}, invalid("data: missing")
	}
	return it, nil
}

// parseFields reads the object that the walker stands at. where is the field that says where the event goes. Nothing need be there.
func parseFields(w *walker, maxEvent int) (it item, where string, err error) {
	seen := make([]string, 0, 8)
	err = w.each(func(name []byte, _ int) error {
		field := fieldName(name)
		if slices.Contains(seen, field) {
			return invalid("%s: given twice", shorten(field))
		}
		seen = append(seen, field)
		switch field {
		case "topic", "user", "topics", "users":
			if where != "" {
				return invalid("%s: %s is given as well; an event goes to one topic, user, topics or users", field, where)
			}
			where = field
		}
		return it.setField(w, field, maxEvent)
	})
	return it, where, err
}

// fieldName decodes a quoted name, without allocating for the usual ones.
func fieldName(quoted []byte) string {
	switch string(quoted) {
	case `"topic"`:
		return "topic"
	case `"user"`:
		return "user"
	case `"data"`:
		return "data"
	case `"event"`:
		return "event"
	}
	return unquote(quoted)
}

// kindOf is the kind of addresses that a field names.
func kindOf(field string) address.Kind {
	if field == "user" || field == "users" {
		return address.User
	}
	return address.Topic
}

// setField consumes the value of one field.
func (it *item) setField(w *walker, field string, maxEvent int) error {
	var err error
	switch field {
	case "topic", "user":
		var name string
		if name, err = w.text(field); err == nil {
			err = it.addTarget(field, address.Address{Kind: kindOf(field), Name: name})
		}
	case "topics", "users":
		err = it.setTargets(w, field)
	case "event":
		if it.eventType, err = w.text(field); err == nil {
			err = checkEventType(field, it.eventType)
		}
	case "key":
		if it.key, err = w.text(field); err == nil {
			err = checkLine(field, it.key)
		}
	case "retry":
		it.retry, err = parseRetry(w)
	case "data":
		it.data, err = parseData(w, maxEvent)
	default:
		err = invalid("%s: unknown field", shorten(field))
	}
	return err
}

func (it *item) addTarget(field string, to address.Address) error {
	check := checkTopic
	if to.Kind == address.User {
		check = checkUser
	}
	if err := check(field, to.Name); err != nil {
		return err
	}
	it.targets = append(it.targets, to)
	return nil
}

func (it *item) setTargets(w *walker, field string) error {
	if kind := w.kind(); kind != "array" {
		return invalid("%s: must be an array of strings, not %s", field, kind)
	}
	it.broadcast = true
	named := map[string]bool{}
	err := w.each(func(_ []byte, index int) error {
		place := fmt.Sprintf("%s[%d]", field, index)
		name, err := w.text(place)
		if err != nil {
			return err
		}
		if named[name] {
			return invalid("%s: named twice", place)
		}
		if index >= maxTargets {
			return tooLarge("%s: more than %d names", field, maxTargets)
		}
		named[name] = true
		return it.addTarget(place, address.Address{Kind: kindOf(field), Name: name})
	})
	if err == nil && len(it.targets) == 0 {
		return invalid("%s: the array is empty", field)
	}
	return err
}

func parseRetry(w *walker) (int, error) {
	kind := w.kind()
	raw, _ := w.value()
	ms, err := strconv.Atoi(string(raw))
	if kind != "number" || err != nil || ms < 1 || ms > maxRetry {
		return 0, invalid("retry: must be a whole number of milliseconds from 1 to %d", maxRetry)
	}
	return min(max(ms, leastRetry), mostRetry), nil
}

// checkSpread refuses items whose broadcasts make more than most bytes of events.
func checkSpread(items []item, array bool, most int) error {
	size, events := 0, 0
	for i := range items {
		it := &items[i]
		for _, to := range it.targets {
			size += len(to.Name) + len(it.eventType) + len(it.data)
		}
		events += len(it.targets)
		if size > most {
			place := "body"
			if array {
				place = "item " + strconv.Itoa(i)
			}
			return tooLarge("%s: makes %d bytes of %d events, more than the %d that one request may become: name fewer topics or users at a time",
				place, size, events, most)
		}
	}
	return nil
}

func parseData(w *walker, maxEvent int) (json.RawMessage, error) {
	raw, depth := w.value()
	if len(raw) > maxEvent {
		return nil, tooLarge("data: %d bytes of JSON, more than the %d that are allowed", len(raw), maxEvent)
	}
	if depth > maxDepth {
		return nil, invalid("data: nested deeper than %d levels", maxDepth)
	}
	return json.RawMessage(raw), nil
}

// shorten keeps a name that a client made up from filling the answer.
func shorten(name string) string {
	const most = 40
	if len(name) <= most {
		return strconv.Quote(name)
	}
	return strconv.Quote(name[:most]) + "…"
}
