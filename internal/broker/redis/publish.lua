-- Publishes one event, or closes a topic.
--
--   KEYS: clock, born, last, stream (also the channel's name), key of idempotency (may be absent)
--   ARGV: floor, block, "c" to close (else absent)
--   last: the topic's last id, after a "c" (byte 99) if that is its close
--   returns the id, or "closed"
--
-- The order is that of the rules: closed? known key? then the id, the event, the last id, the key; the frame last. The
-- first write is refused when Redis is full, and nothing is done. Expiries are renewed when the first DIGITS digits of
-- the id have changed, a fraction of their time.
local last = call('GET', KEYS[3])
if last and byte(last) == 99 then
  last = sub(last, 2)
  local now = call('TIME')
  if now[1] * 1000 < parts(last) + KEEP_CLOSE then
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
    call(PUBLISH, sub(KEYS[2], 1, -5) .. 'control', 'b' .. born)
    floor = born
  end
end
local id = nextid(KEYS[1], floor, last)
local prev = last
if not prev then
  prev = string.format('%.0f-0', math.max(parts(id) - KEEP_LAST, 0))
  if less(prev, born) then prev = born end
end
if SIZE > 0 then
  if ARGV[3] then
    call('XADD', KEYS[4], 'MAXLEN', '~', SIZE, id, 'p', prev, 'f', ARGV[2], 'c', '1')
  else
    call('XADD', KEYS[4], 'MAXLEN', '~', SIZE, id, 'p', prev, 'f', ARGV[2])
  end
end
local kind = ARGV[3] or ''
if not last or sub(id, 1, DIGITS) ~= sub(last, 1, DIGITS) then
  call('PEXPIRE', KEYS[4], TTL)
  call('SET', KEYS[3], kind .. id, 'PX', KEEP_LAST)
else
  call('SET', KEYS[3], kind .. id, 'KEEPTTL')
end
if KEYS[5] then call('SET', KEYS[5], id, 'PX', KEEP_KEY) end
call(PUBLISH, KEYS[4], (ARGV[3] or 'e') .. id .. ' ' .. prev .. ' ' .. ARGV[2])
return id
