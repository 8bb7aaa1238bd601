package httpapi

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"sse-gateway/internal/broker"
)

// parameters are what a route reads from the query.
type parameters struct {
	names    []string // as the README spells them
	single   []string // those of names that cannot be given twice
	position string   // which of names says where to begin; empty: none
}

func subscribeParameters() *parameters {
	return &parameters{
		names:    []string{"topics", "topic", "user", "since", "raw", "control", "last_event_id", "access_token"},
		single:   []string{"since", "raw", "control"},
		position: "last_event_id",
	}
}

func publishParameters() *parameters {
	return &parameters{names: []string{"answers", "access_token"}, single: []string{"answers"}}
}

func pageParameters() *parameters {
	return &parameters{
		names:    []string{"after", "limit", "access_token"},
		single:   []string{"after", "limit"},
		position: "after",
	}
}

func historyParameters() *parameters {
	return &parameters{
		names:    []string{"after", "before", "last", "until", "limit", "access_token"},
		single:   []string{"after", "before", "last", "until", "limit"},
		position: "after",
	}
}

// maxParameterName bounds the names that are looked at; nothing longer resembles one of ours.
const maxParameterName = 32

// lastEventID is how every spelling of last_event_id looks without its case and its separators: lastEventId, which polyfills of
// EventSource send, Last-Event-ID, and others.
const lastEventID = "lasteventid"

// isPositionWord tells what other systems call a position, by its plain name. Who sends one means it: to begin at the present
// would lose events without a word.
func isPositionWord(plain string) bool {
	switch plain {
	case lastEventID, "lastid", "lastevent", "lastseen", "lastseenid", "lastmessageid", "lastoffset", "lastseq", "lastsequence",
		"eventid", "messageid", "cursor", "offset", "position", "checkpoint", "after", "afterid", "since", "sinceid", "fromid",
		"startid", "startafter", "startfrom", "resume", "resumefrom", "resumeafter", "continuefrom":
		return true
	}
	return false
}

// isVagueWord tells what may be a position, or anything else that is no affair of the gateway's: its value decides.
func isVagueWord(plain string) bool {
	switch plain {
	case "id", "from", "start", "begin", "last", "event", "seq", "sequence", "pos", "token", "next":
		return true
	}
	return false
}

// queryOf reads the query; unlike URL.Query it does not pass over what is malformed. Parameters that are not known are
// passed over, since libraries and caches add theirs, but for those that can only be one of ours misspelled.
func queryOf(r *http.Request, known *parameters) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("query: malformed")
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if err := known.check(name, query[name]); err != nil {
			return nil, err
		}
	}
	return query, nil
}

// check tells what is wrong with a parameter.
func (known *parameters) check(name string, values []string) error {
	if slices.Contains(known.names, name) {
		if slices.Contains(known.single, name) && len(values) > 1 {
			return invalid("%s: given %d times", name, len(values))
		}
		return nil
	}
	if len(name) > maxParameterName {
		return nil
	}
	plain := plainName(name)
	if plain == lastEventID && known.position == "last_event_id" {
		return nil
	}
	if right := known.nearest(plain); isNearMiss(plain, plainName(right)) {
		return invalid("%s: unknown parameter; it is written %s", shorten(name), right)
	}
	if known.position == "" {
		return nil
	}
	if isPositionWord(plain) || (isVagueWord(plain) && slices.ContainsFunc(values, isID)) {
		return invalid("%s: unknown parameter; where to go on is said with %s", shorten(name), known.position)
	}
	return nil
}

func isID(value string) bool {
	id, err := broker.ParseID(value)
	return err == nil && id.MS > 1e12 // a time of this century
}

// plainName is a name without its case and its separators, and without the brackets that PHP and others put behind lists.
func plainName(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "", "[]", "").Replace(name))
}

// nearest is the known name that a plain one is most like.
func (known *parameters) nearest(plain string) string {
	return slices.MinFunc(known.names, func(a, b string) int {
		return cmp.Compare(distance(plain, plainName(a)), distance(plain, plainName(b)))
	})
}

// isNearMiss tells whether name is meant to be right: but for its case, or wrong by a letter or, in a long one, two. What is
// near to the short raw may be anything.
func isNearMiss(name, right string) bool {
	if len(right) < 4 || len(name) < 3 {
		return name == right
	}
	wrong := distance(name, right)
	return wrong <= 1 || (wrong == 2 && min(len(name), len(right)) >= 6 && name[0] == right[0])
}

// distance is how many letters have to be changed, added, left out or swapped with their neighbours to make b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}

// lastEventIDOf is the position that the client goes on from: the header, which the browser keeps up to date, or else the
// query, in any spelling. The last one in the query counts: a polyfill appends its own to an address that has one already.
func lastEventIDOf(r *http.Request) string {
	position := ""
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, _ = url.QueryUnescape(name) // queryOf has read them
		value, _ = url.QueryUnescape(value)
		if plainName(name) == lastEventID {
			position = cmp.Or(value, position)
		}
	}
	return cmp.Or(r.Header.Get("Last-Event-ID"), position)
}

// flag reads a parameter that is a yes or no; byDefault is what it is without.
func flag(query url.Values, name string, byDefault bool) (bool, error) {
	if !query.Has(name) {
		return byDefault, nil
	}
	switch value := query.Get(name); value {
	case "1", "true":
		return true, nil
	case "0", "false":
		return false, nil
	default:
		return false, invalid("%s: %s is none of 1, true, 0 and false", name, shorten(value))
	}
}
