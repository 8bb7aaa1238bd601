package fanout

import (
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// luaIDs is what the scripts know of ids. The clock is a stream, of which only the last entry counts: Redis makes ids that
// rise also when its time steps back, and keeps the last one through a restart. nextid gives out an id above floor, and
// above last if there is one. An id of 13 digits of ms, as all are until the year 2286, is compared as text first.
const luaIDs = `
local call, sub, byte = redis.call, string.sub, string.byte
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function less(a, b)
  local ams, aseq = parts(a)
  local bms, bseq = parts(b)
  return ams < bms or (ams == bms and aseq < bseq)
end
local function nextid(clock, floor, last)
  local id = call('XADD', clock, '*', 'i', '')
  if sub(id, -1) == '0' then call('XTRIM', clock, 'MAXLEN', '~', 1) end
  if byte(id, 14) == 45 then
    local ms = sub(id, 1, 14)
    if sub(floor, 1, 14) < ms and (not last or sub(last, 1, 14) < ms) then return id end
  end
  if last and less(floor, last) then floor = last end
  if less(floor, id) then return id end
  local ms, seq = parts(floor)
  return call('XADD', clock, 'MAXLEN', '~', 1, string.format('%.0f-%.0f', ms, seq + 1), 'i', '')
end
`

// luaPublish publishes one event, or closes a topic. The order is that of the rules: closed? known key? then the id,
// the event, the last id, the key; the frame last. The first write is refused when Redis is full, and nothing is done.
// Expiries are renewed when the first @DIGITS@ digits of the id have changed, a fraction of their time.
//
//	KEYS: clock, born, last, stream (also the channel's name), key of idempotency (may be absent)
//	ARGV: floor, block, "c" to close (else absent)
//	last: the topic's last id, after a "c" if that is its close
const luaPublish = luaIDs + `
local last = call('GET', KEYS[3])
if last and byte(last) == 99 then
  last = sub(last, 2)
  local now = call('TIME')
  if now[1] * 1000 < parts(last) + @CLOSETTL@ then
    if ARGV[3] then return last end
    return 'closed'
  end
end
if KEYS[5] then
  local known = call('GET', KEYS[5])
  if known then return known end
end
local floor, born = ARGV[1], nil
if not last then
  born = call('GET', KEYS[2])
  if not born then
    born = nextid(KEYS[1], floor)
    call('SET', KEYS[2], born)
    call('@PUBLISH@', sub(KEYS[2], 1, -5) .. 'control', 'b' .. born)
    floor = born
  end
end
local id = nextid(KEYS[1], floor, last)
local prev = last
if not prev then
  prev = string.format('%.0f-0', math.max(parts(id) - @RETENTION@, 0))
  if less(prev, born) then prev = born end
end
if @SIZE@ > 0 then
  if ARGV[3] then
    call('XADD', KEYS[4], 'MAXLEN', '~', @SIZE@, id, 'p', prev, 'f', ARGV[2], 'c', '1')
  else
    call('XADD', KEYS[4], 'MAXLEN', '~', @SIZE@, id, 'p', prev, 'f', ARGV[2])
  end
end
local kind = ARGV[3] or ''
if not last or sub(id, 1, @DIGITS@) ~= sub(last, 1, @DIGITS@) then
  call('PEXPIRE', KEYS[4], @TTL@)
  call('SET', KEYS[3], kind .. id, 'PX', @RETENTION@)
else
  call('SET', KEYS[3], kind .. id, 'KEEPTTL')
end
if KEYS[5] then call('SET', KEYS[5], id, 'PX', @KEYTTL@) end
call('@PUBLISH@', KEYS[4], (ARGV[3] or 'e') .. id .. ' ' .. prev .. ' ' .. ARGV[2])
return id
`

// luaMark sends a mark (see Broker.Mark). Unless the clock has to be set it writes nothing, and so works when Redis is full.
//
//	KEYS: clock, born
//	ARGV: floor, the born that is no longer true ("" otherwise), control channel, the replica's channel, seq
const luaMark = luaIDs + `
local top = call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local head = top[1] and top[1][1]
local born = call('GET', KEYS[2])
if not head or not born or less(head, ARGV[1]) or born == ARGV[2] then
  head = nextid(KEYS[1], ARGV[1])
  born = head
  call('SET', KEYS[2], born)
  call('@PUBLISH@', ARGV[3], 'b' .. born)
end
call('@PUBLISH@', ARGV[4], 'm' .. ARGV[5] .. ' ' .. head .. ' ' .. born)
return head
`

// scripts are the Lua scripts with the broker's settings put in.
type scripts struct {
	publish, mark *redis.Script
}

// publishCommand sends to the channels that a feed subscribes to.
func publishCommand(cluster bool) string {
	if cluster {
		return "SPUBLISH"
	}
	return "PUBLISH"
}

func newScripts(opts RedisOptions, cluster bool) scripts {
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	// Of the 13 digits of ms, those that change within an eighth of the history's time don't renew expiries.
	digits, lag := 13, time.Millisecond
	for lag*10 <= opts.HistoryTTL/8 {
		digits, lag = digits-1, lag*10
	}
	settings := strings.NewReplacer(
		"@PUBLISH@", publishCommand(cluster),
		"@SIZE@", strconv.Itoa(opts.HistorySize),
		"@DIGITS@", strconv.Itoa(digits),
		"@TTL@", ms(opts.HistoryTTL+lag),
		"@RETENTION@", ms(retention(opts.HistoryTTL)+lag),
		"@CLOSETTL@", ms(closeTTL(opts.HistoryTTL)),
		"@KEYTTL@", ms(keyTTL),
	)
	return scripts{
		publish: redis.NewScript(settings.Replace(luaPublish)),
		mark:    redis.NewScript(settings.Replace(luaMark)),
	}
}

// publishArgs is the command that publishes op.
func (s *scripts) publishArgs(sp *space, op *Op) []any {
	keys := "4"
	if op.Key != "" {
		keys = "5"
	}
	args := make([]any, 0, 11)
	args = append(args, "EVALSHA", s.publish.Hash(), keys, sp.clock, sp.born, sp.last(op.Topic), sp.stream(op.Topic))
	if op.Key != "" {
		args = append(args, sp.key(op.Key))
	}
	args = append(args, op.Floor.String(), op.Block)
	if op.Close {
		args = append(args, "c")
	}
	return args
}
