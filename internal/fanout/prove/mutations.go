package main

import "slices"

// A mutation switches one rule off, or one half of it.
type mutation struct {
	rule int    // in docs/exactness.md
	what string // is switched off
	file string // from the root of the module
	// old stands in file exactly once; new takes its place.
	old, new string
	within   int // in so many runs the model finds it, with much to spare
	// equivalent is the reason for which the model cannot find it: what it does to streams, other rules prevent as well.
	equivalent string
}

const (
	catchUp  = "internal/fanout/catchup.go"
	caught   = "internal/fanout/caught.go"
	commands = "internal/fanout/commands.go"
	deep     = "internal/fanout/deep.go"
	dispatch = "internal/fanout/dispatch.go"
	beats    = "internal/fanout/heartbeat.go"
	join     = "internal/fanout/join.go"
	lapse    = "internal/fanout/lapse.go"
	merge    = "internal/fanout/merge.go"
	state    = "internal/fanout/partition.go"
	push     = "internal/fanout/push.go"
	topic    = "internal/fanout/topic.go"
	// What stores have to do is switched off in the model's own: the suite of the contract holds the others to the same.
	store = "internal/fanout/model_store_test.go"
)

// mutations returns all of them, by rule.
func mutations() []mutation {
	return slices.Concat(publishing(), joining(), replaying(), gaps(), replica(), births())
}

func publishing() []mutation {
	return []mutation{
		{
			rule: 2, what: "a publish does not tell the broker the largest id seen", file: state, within: 40000,
			old: "	return p.evidence.seen\n", new: "	return broker.ID{}\n",
		},
		{
			rule: 3, what: "an event does not name the one before it", file: store, within: 600,
			old: "	prev := t.last\n", new: "	prev := t.last.Prior().Prior()\n",
		},
		{
			rule: 3, what: "without a last id, an event's predecessor is unknown", file: store, within: 2000,
			old: "		prev = broker.Later(s.data.born, id.Minus(s.w.keep.LastID))\n", new: "		prev = id.Prior()\n",
		},
		{
			rule: 6, what: "what is at or below the position is pushed again", file: push, within: 10000,
			old: "	if !sh.pos.Less(e.ID) {\n		return\n	}\n	if e.Close && sh", new: "	if e.Close && sh",
		},
	}
}

func joining() []mutation {
	return []mutation{
		{
			rule: 8, what: "a SUBSCRIBE counts as acknowledged when it is sent", file: commands, within: 2000,
			old: "			if t.open {\n				p.unacked++\n			}\n",
			new: "			if t.acked = true; !t.open {\n				t.openedBy = p.marks.next()\n				p.opening = append(p.opening, t)\n			}\n",
		},
		{
			rule: 8, what: "a topic opens when it is acknowledged, without a mark", file: dispatch, within: 1000,
			old: "		t.openedBy = p.marks.next()\n		p.opening = append(p.opening, t)\n",
			new: "		t.start(p.evidence.watermark)\n		p.loading = append(p.loading, t)\n",
		},
		{
			rule: 8, what: "a mark opens a topic that was acknowledged after it was sent", file: dispatch, within: 15000,
			old: "		t.openedBy = p.marks.next()\n", new: "		t.openedBy = p.marks.sent\n",
		},
		{
			rule: 15, what: "an id above the broker's clock is taken", file: join, within: 40000,
			old: "		if p.evidence.watermark.Less(sh.pos) {\n			return false\n		}\n", new: "",
		},
		{
			rule: 15, what: "a clock that passes an unknown id makes it known", file: join, within: 100000,
			old: "		case generation == short:\n", new: "		case false && generation == short:\n",
		},
		{
			rule: 21, what: "every event closes its topic", file: dispatch, within: 1000,
			old: "	if t.closed = (broker.ID{}); e.Close {\n", new: "	if t.closed = (broker.ID{}); true {\n",
		},
		{
			rule: 21, what: "a stream below the close is taken for one at its end", file: topic, within: 4000,
			old: "	return keep.Closed(t.closed, now) && !pos.Less(t.closed)\n", new: "	return keep.Closed(t.closed, now)\n",
		},
	}
}

func replaying() []mutation {
	return []mutation{
		{
			rule: 10, what: "events above the end of a round are delivered in it", file: merge, within: 1000,
			old: "		if m.end.Less(e.ID) {\n			r.done = true\n			return\n		}\n",
			new: "		if m.end.Less(e.ID) {\n			if r.t != nil {\n				r.done = true\n				return\n			}\n			m.end = e.ID\n		}\n",
		},
		{
			rule: 10, what: "a full page does not bound the merge", file: merge, within: 600,
			old: "			bound = broker.Earlier(bound, r.items[len(r.items)-1].id)\n", new: "",
		},
		{
			rule: 12, what: "an event's predecessor is not tested on pages", file: merge, within: 600,
			old: "		m.gap(r, e.Prev, e.ID)\n", new: "",
		},
		{
			rule: 12, what: "the first event above the end proves nothing", file: merge, within: 1000,
			old: "		m.gap(r, e.Prev, e.ID)\n		if m.end.Less(e.ID) {\n			r.done = true\n			return\n		}\n",
			new: "		if m.end.Less(e.ID) {\n			r.done = true\n			return\n		}\n		m.gap(r, e.Prev, e.ID)\n",
		},
		{
			rule: 13, what: "where nothing is left the last id proves nothing", file: merge, within: 600,
			old: "	m.gap(r, last, broker.ID{})\n", new: "	_ = last\n",
		},
	}
}

func gaps() []mutation {
	return []mutation{
		{
			rule: 14, what: "a gap stands behind the oldest event kept", file: merge, within: 600,
			old: "		return it.after\n", new: "		return broker.Later(it.id, it.oldest)\n",
		},
		{
			rule: 14, what: "a gap stands behind events from within it", file: merge, within: 1500,
			old: "		return it.after\n", new: "		return it.id\n",
		},
		{
			rule: 14, what: "a gap's id is the oldest event, not its predecessor", file: merge, within: 30000,
			old: "	r.items = append(r.items, item{id: id, topic: r.topic, from: r, gap: true, after: r.has, oldest: oldest})\n",
			new: "	if !oldest.IsZero() {\n		id = broker.Earlier(oldest, m.end)\n	}\n	r.items = append(r.items, item{id: id, topic: r.topic, from: r, gap: true, after: r.has, oldest: oldest})\n",
		},
		{
			rule: 14, what: "a gap's id may be above the end of the round", file: merge, within: 40000,
			old: "	id = broker.Earlier(id, m.end)\n", new: "",
		},
	}
}

func replica() []mutation {
	return []mutation{
		{
			rule: 16, what: "a new connection is not caught up with", file: catchUp, within: 600,
			old: "	if err := s.readThrough(ctx, c.topics, c.mark.Head, false); err != nil {\n		return err\n	}\n", new: "",
		},
		{
			rule: 16, what: "events are dispatched while a catch-up reads", file: dispatch, within: 2000,
			old: "	p.backlog.add(m, &p.opts.bounds)\n", new: "	p.receiveLiveLocked(m)\n",
		},
		{
			rule: 16, what: "a catch-up begins before all topics are acknowledged", file: commands, within: 15000,
			old: " && p.unacked == 0 {\n", new: " {\n",
		},
		{
			rule: 16, what: "a predecessor above the chain is let pass", file: dispatch, within: 15000,
			old: "	case t.chain.Less(e.Prev):\n", new: "	case false:\n",
		},
		{
			rule: 16, what: "a predecessor below the chain is let pass", file: dispatch, within: 10000,
			old: "	case t.exact && e.Prev.Less(t.chain):\n", new: "	case false:\n",
			equivalent: "the next catch-up or audit finds the loss by the topic's last id",
		},
		{
			rule: 16, what: "an older connection is listened to", file: dispatch, within: 5000,
			old: "	if generation != p.generation {\n", new: "	if generation > p.generation {\n",
			equivalent: "what it brings is below the watermark, or is told by the chain",
		},
		{
			rule: 16, what: "a backlog that was dropped is not caught up with", file: caught, within: 5000,
			old: "	if p.backlog.overflowed {\n", new: "	if false {\n",
		},
		{
			rule: 17, what: "a topic that was let go of keeps its chain", file: lapse, within: 6000,
			old: "			p.forgetLocked(t)\n			names = append(names, t.name)\n", new: "			names = append(names, t.name)\n			t.lapsing = false\n",
		},
		{
			rule: 18, what: "the watermark moves while there is no connection", file: dispatch, within: 2000,
			old: "	case m.Kind == broker.MessageEvent:\n		p.evidence.saw(m.Entry.ID)\n	case p.backlog.begins(m):\n",
			new: "	case m.Kind == broker.MessageEvent:\n		p.evidence.passed(m.Entry.ID)\n	case p.backlog.begins(m):\n",
		},
		{
			rule: 18, what: "a replaying stream is told the watermark", file: beats, within: 1000,
			old: "	if !sh.live {\n		return false, false\n	}\n", new: "",
		},
		{
			rule: 18, what: "a position that has grown old is not told", file: beats, within: 5000,
			old: "sh.pos.MS > sh.clientPos.MS+uint64(sh.p.keep.LastID.Milliseconds()/4)\n", new: "false\n",
		},
	}
}

func births() []mutation {
	return []mutation{
		{
			rule: 22, what: "a replica that has found a loss does not report it", file: commands, within: 15000,
			old: ", rebirth: p.evidence.report()}", new: "}",
		},
		{
			rule: 22, what: "a replay that crosses a birth tells no gap", file: deep, within: 5000,
			old: "		sh.pushAllGapsLocked(born, from, true, nil)\n", new: "		sh.pos, _ = born, from\n",
		},
		{
			rule: 23, what: "a quiet partition's clock stands still", file: store, within: 6000,
			old: "d.clock.Less(now.Minus(s.w.keep.QuietLag()))", new: "false && d.clock.Less(now)",
		},
	}
}
