package redis

import (
	_ "embed" // the scripts
	"fmt"
	"strings"
	"time"

	"sse-gateway/internal/broker"

	goredis "github.com/redis/go-redis/v9"
)

// The scripts, each put behind ids.lua. They read the broker's settings from the locals that prelude declares.
var (
	//go:embed ids.lua
	luaIDs string
	//go:embed publish.lua
	luaPublish string
	//go:embed mark.lua
	luaMark string
	//go:embed guard.lua
	luaGuard string
	//go:embed fit.lua
	luaFit string
)

// scripts are the Lua scripts with the broker's settings put in.
type scripts struct {
	publish, mark, guard, fit *goredis.Script
}

// publishCommand sends to the channels that a feed subscribes to.
func publishCommand(cluster bool) string {
	if cluster {
		return "SPUBLISH"
	}
	return "PUBLISH"
}

func newScripts(opts Options, db int, cluster bool) scripts {
	before := prelude(opts, db, cluster) + luaIDs
	return scripts{
		publish: goredis.NewScript(before + luaPublish), mark: goredis.NewScript(before + luaMark), guard: goredis.NewScript(before + luaGuard),
		fit: goredis.NewScript(before + luaFit),
	}
}

// prelude declares the settings that the scripts use, as Lua, and what the channel of a key is called. Times are in ms.
func prelude(opts Options, db int, cluster bool) string {
	keep := opts.Retention
	// Of the 13 digits of an id's ms, those that change within an eighth of the history's time don't renew expiries.
	digits, lag := 13, time.Millisecond
	for lag*10 <= keep.Events/8 {
		digits, lag = digits-1, lag*10
	}
	var lua strings.Builder
	fmt.Fprintf(&lua, "local PUBLISH = '%s'\n", publishCommand(cluster))
	fmt.Fprintf(&lua, "local SIZE = %d -- events kept per topic\n", keep.Size)
	fmt.Fprintf(&lua, "local DIGITS = %d -- of an id's ms, whose change renews expiries\n", digits)
	fmt.Fprintf(&lua, "local LAG = %d -- ms within which they stay the same\n", lag.Milliseconds())
	fmt.Fprintf(&lua, "local TTL = %d -- of a topic's events\n", (keep.Events + lag).Milliseconds())
	fmt.Fprintf(&lua, "local KEEP_LAST = %d -- a topic's last id\n", (keep.LastIDKept() + lag).Milliseconds())
	fmt.Fprintf(&lua, "local RETENTION = %d -- how old a position may be\n", keep.LastID.Milliseconds())
	fmt.Fprintf(&lua, "local QUIET_LAG = %d -- how far the clock may be behind the time\n", keep.QuietLag().Milliseconds())
	fmt.Fprintf(&lua, "local KEEP_CLOSE = %d -- how long a close holds\n", keep.Close.Milliseconds())
	fmt.Fprintf(&lua, "local KEEP_KEY = %d -- a key of idempotency\n", keep.Key.Milliseconds())
	if db == 0 {
		lua.WriteString("local function channel(key) return key end\n")
	} else {
		fmt.Fprintf(&lua, "local function channel(key) return '%s' .. string.sub(key, %d) end\n", channelPrefix(opts.Prefix, db), len(opts.Prefix)+1)
	}
	return lua.String()
}

// publishArgs is the command that publishes op, above floor. first: it is the first of its pipeline.
func (s *scripts) publishArgs(sp *space, op *broker.Op, floor string, first bool) []any {
	keys := "4"
	if op.Key != "" {
		keys = "5"
	}
	args := make([]any, 0, 11+len(op.Last))
	args = append(args, "EVALSHA", s.publish.Hash(), keys, sp.clock, sp.born, sp.last(op.Topic), sp.stream(op.Topic))
	if op.Key != "" {
		args = append(args, sp.key(op.Key))
	}
	args = append(args, floor, op.Block)
	if flags := flagsOf(op, first); flags != "" {
		args = append(args, flags)
	}
	for _, block := range op.Last {
		args = append(args, block)
	}
	return args
}

// flagsOf are the script's flags. Strings that are made of others would be allocated.
func flagsOf(op *broker.Op, first bool) string {
	switch {
	case op.Close && first:
		return "cf"
	case op.Close:
		return "c"
	case op.Stop && first:
		return "sf"
	case op.Stop:
		return "s"
	case first:
		return "f"
	}
	return ""
}
