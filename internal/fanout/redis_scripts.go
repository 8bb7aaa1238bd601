package fanout

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// luaIDs is what the scripts know of ids. The clock is a stream of one entry: Redis makes ids that rise also when
// its time steps back, and keeps the last one through a restart. floor is an id that the next one must be above.
const luaIDs = `
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function less(a, b)
  local ams, aseq = parts(a)
  local bms, bseq = parts(b)
  return ams < bms or (ams == bms and aseq < bseq)
end
local function nextid(clock, floor)
  local id = redis.call('XADD', clock, 'MAXLEN', '~', 1, '*', 'i', '')
  if not less(floor, id) then
    local ms, seq = parts(floor)
    id = redis.call('XADD', clock, string.format('%.0f-%.0f', ms, seq + 1), 'i', '')
  end
  return id
end
`

// luaPublish publishes one event, or closes a topic. The order is that of the rules: closed? known key? then the id,
// the event, the last id, the key; the frame last. The first write is refused when Redis is full, and nothing is done.
//
//	KEYS: clock, born, last, stream, closed, key (of idempotency; "" without)
//	ARGV: floor, block, channel, "c" to close or "e", control channel
const luaPublish = luaIDs + `
local ended = redis.call('GET', KEYS[5])
if ended then
  if ARGV[4] == 'c' then return ended end
  return 'closed'
end
if KEYS[6] then
  local known = redis.call('GET', KEYS[6])
  if known then return known end
end
local floor = ARGV[1]
local last = redis.call('GET', KEYS[3])
local born
if last then
  if less(floor, last) then floor = last end
else
  born = redis.call('GET', KEYS[2])
  if not born then
    born = nextid(KEYS[1], floor)
    redis.call('SET', KEYS[2], born)
    redis.call('@PUBLISH@', ARGV[5], 'b' .. born)
    floor = born
  end
end
local id = nextid(KEYS[1], floor)
local prev = last
if not prev then
  local ms = parts(id)
  prev = string.format('%.0f-0', math.max(ms - @RETENTION@, 0))
  if less(prev, born) then prev = born end
end
if @SIZE@ > 0 then
  if ARGV[4] == 'c' then
    redis.call('XADD', KEYS[4], 'MAXLEN', '~', @SIZE@, id, 'p', prev, 'f', ARGV[2], 'c', '1')
  else
    redis.call('XADD', KEYS[4], 'MAXLEN', '~', @SIZE@, id, 'p', prev, 'f', ARGV[2])
  end
  redis.call('PEXPIRE', KEYS[4], @TTL@)
end
redis.call('SET', KEYS[3], id, 'PX', @RETENTION@)
if ARGV[4] == 'c' then redis.call('SET', KEYS[5], id, 'PX', @CLOSETTL@) end
if KEYS[6] then redis.call('SET', KEYS[6], id, 'PX', @KEYTTL@) end
redis.call('@PUBLISH@', ARGV[3], ARGV[4] .. id .. ' ' .. prev .. ' ' .. ARGV[2])
return id
`

// luaMark sends a mark (see Broker.Mark). Unless the clock has to be set it writes nothing, and so works when Redis is full.
//
//	KEYS: clock, born
//	ARGV: floor, the born that is no longer true ("" otherwise), control channel, the replica's channel, seq
const luaMark = luaIDs + `
local top = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local head = top[1] and top[1][1]
local born = redis.call('GET', KEYS[2])
if not head or not born or less(head, ARGV[1]) or born == ARGV[2] then
  head = nextid(KEYS[1], ARGV[1])
  born = head
  redis.call('SET', KEYS[2], born)
  redis.call('@PUBLISH@', ARGV[3], 'b' .. born)
end
redis.call('@PUBLISH@', ARGV[4], 'm' .. ARGV[5] .. ' ' .. head .. ' ' .. born)
return head
`

// scripts are the Lua scripts with the broker's settings put in.
type scripts struct {
	publish, mark *redis.Script
}

func newScripts(opts RedisOptions, cluster bool) scripts {
	command := "PUBLISH"
	if cluster {
		command = "SPUBLISH"
	}
	ms := func(n int64) string { return strconv.FormatInt(n, 10) }
	settings := strings.NewReplacer(
		"@PUBLISH@", command,
		"@SIZE@", strconv.Itoa(opts.HistorySize),
		"@TTL@", ms(opts.HistoryTTL.Milliseconds()),
		"@RETENTION@", ms(retention(opts.HistoryTTL).Milliseconds()),
		"@CLOSETTL@", ms(closeTTL(opts.HistoryTTL).Milliseconds()),
		"@KEYTTL@", ms(keyTTL.Milliseconds()),
	)
	return scripts{
		publish: redis.NewScript(settings.Replace(luaPublish)),
		mark:    redis.NewScript(settings.Replace(luaMark)),
	}
}

// publishArgs is the command that publishes op.
func (s *scripts) publishArgs(sp *space, op *Op) []any {
	keys, kind := "5", "e"
	if op.Key != "" {
		keys = "6"
	}
	if op.Close {
		kind = "c"
	}
	args := make([]any, 0, 14)
	args = append(args, "EVALSHA", s.publish.Hash(), keys, sp.clock, sp.born, sp.last(op.Topic), sp.stream(op.Topic), sp.closed(op.Topic))
	if op.Key != "" {
		args = append(args, sp.key(op.Key))
	}
	return append(args, op.Floor.String(), op.Block, sp.channel(op.Topic), kind, sp.control)
}

// loadScripts loads the publish script where a partition lives.
func (r *Redis) loadScripts(ctx context.Context, part int) error {
	client := redis.Scripter(r.client)
	if r.cluster != nil {
		node, err := r.cluster.MasterForKey(ctx, r.spaces[part].clock)
		if err != nil {
			return fmt.Errorf("find the node of partition %d: %w", part, err)
		}
		client = node
	}
	return r.scripts.publish.Load(ctx, client).Err()
}
