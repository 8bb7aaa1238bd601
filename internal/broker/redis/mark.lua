-- Sends a mark (see Broker.Mark). It writes only for a birth, or where nothing has been published for so long that
-- the clock has to be moved on (rule 23; see Retention.QuietLag).
--
-- When Redis is full the clock can't be moved on: the mark then tells the old head, which is as true, and the next
-- one tries again. A head that is not written down could be told sooner, but after a failover, or a step back of the
-- time, an event could come at or below it.
--
--   KEYS: clock, born
--   ARGV: floor, the born that is no longer true ("" otherwise), the replica's channel, seq
--   returns the clock's last id
local top = call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local head, born = top and top[1], call('GET', KEYS[2])
if not head or not born or less(head, ARGV[1]) or (ARGV[2] ~= '' and not less(ARGV[2], born)) then
  head = birth(KEYS[1], KEYS[2], ARGV[1])
  born = head
else
  local now = call('TIME')
  if parts(head) + QUIET_LAG < now[1] * 1000 + math.floor(now[2] / 1000) then
    local moved = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', 1, '*', 'i', '')
    if type(moved) == 'string' then head = moved end
  end
end
call(PUBLISH, ARGV[3], 'm' .. ARGV[4] .. ' ' .. head .. ' ' .. born)
return head
