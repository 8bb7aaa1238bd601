-- Publishes one event, or closes or stops a topic.
--
--   KEYS: clock, born, last, stream (its channel too), key of idempotency (may be absent)
--   ARGV: floor, block, flags (absent if there are none): "c" (byte 99) to close, "s" (115) to stop, "f" (102)
--     for the first of a pipeline; behind a "c" the blocks of the events that come before the close
--   last: the topic's last id, after a "c" if that is its close; since a stop "s<ms>:" and the id, if there is one
--   returns the id, or "closed", or "stopped": by this, or before
--
-- The order is that of rule 1: a birth? closed? stopped? known key? then the id, the event, the last id, the key;
-- the frame last. The first write is refused when Redis is full, and nothing is done. Expiries are renewed when the
-- first DIGITS digits of the id have changed, a fraction of their time. Ids also stand still, after the clock was set
-- back, until it has caught up: an event in the same ms as the topic's last looks how long ago they were renewed.
--
-- A clock behind the floor proves that Redis has lost events; the new id would hide it from all who look later. A
-- look at the clock takes a third of the script's time, so only the first publish of a pipeline takes it, with the
-- floor of all: after it the clock is above every floor, whatever becomes of the publish itself. If that one is refused
-- before it runs, guard.lua takes the look after the others.
local floor, flags = ARGV[1], ARGV[3]
local closes, born = flags and byte(flags) == 99, nil
if flags and byte(flags, -1) == 102 then
  local top = call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
  if not top or less(top[1], floor) then born = birth(KEYS[1], KEYS[2], floor) end
end
local last = call('GET', KEYS[3])
local stops = flags and byte(flags) == 115
if stops or last and byte(last) > 57 then -- 57 is the last digit
  local now = call('TIME')
  now = now[1] * 1000 + math.floor(now[2] / 1000)
  if last and byte(last) == 99 then
    last = sub(last, 2)
    if now < parts(last) + KEEP_CLOSE then
      if closes then return last end
      return 'closed'
    end
  elseif last and byte(last) == 115 then
    local since, id = string.match(last, '^s(%d+):(.*)$')
    if not closes and not stops and now < since + KEEP_CLOSE then return 'stopped' end
    last = id ~= '' and id or nil
  end
  if stops then
    local left = call('PTTL', KEYS[3])
    call('SET', KEYS[3], string.format('s%.0f:', now) .. (last or ''), 'PX', math.max(left, KEEP_CLOSE))
    return 'stopped'
  end
end
if KEYS[5] then
  local known = call('GET', KEYS[5])
  if known then return known end
end
if not last then
  born = born or call('GET', KEYS[2]) or birth(KEYS[1], KEYS[2], floor)
end
local id = nextid(KEYS[1], floor, last)
local prev = last -- rule 3
if not prev then
  prev = string.format('%.0f-0', math.max(parts(id) - RETENTION, 0))
  if less(prev, born) then prev = born end
end
local frames = ARGV[4] and {} -- of the events before a close
if frames then
  for at = 4, #ARGV do
    if SIZE > 0 then call('XADD', KEYS[4], 'MAXLEN', '~', SIZE, id, 'p', prev, 'f', ARGV[at]) end
    frames[at - 3] = 'e' .. id .. ' ' .. prev .. ' ' .. ARGV[at]
    prev, id = id, nextid(KEYS[1], floor, id)
  end
end
if SIZE > 0 then
  if closes then
    call('XADD', KEYS[4], 'MAXLEN', '~', SIZE, id, 'p', prev, 'f', ARGV[2], 'c', '1')
  else
    call('XADD', KEYS[4], 'MAXLEN', '~', SIZE, id, 'p', prev, 'f', ARGV[2])
  end
end
local kind = closes and 'c' or ''
local renew = not last or sub(id, 1, DIGITS) ~= sub(last, 1, DIGITS)
if not renew and sub(id, 1, 14) == sub(last, 1, 14) then
  renew = call('PTTL', KEYS[3]) < KEEP_LAST - LAG
end
if renew then
  call('PEXPIRE', KEYS[4], TTL)
  call('SET', KEYS[3], kind .. id, 'PX', KEEP_LAST)
else
  call('SET', KEYS[3], kind .. id, 'KEEPTTL')
end
if KEYS[5] then call('SET', KEYS[5], id, 'PX', KEEP_KEY) end
if frames then
  for _, frame in ipairs(frames) do call(PUBLISH, channel(KEYS[4]), frame) end
end
call(PUBLISH, channel(KEYS[4]), (closes and 'c' or 'e') .. id .. ' ' .. prev .. ' ' .. ARGV[2])
return id
