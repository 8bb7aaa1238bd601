-- Sends a mark (see Broker.Mark). Unless the clock has to be set it writes nothing, and so works when Redis is full.
--
--   KEYS: clock, born
--   ARGV: floor, the born that is no longer true ("" otherwise), control channel, the replica's channel, seq
--   returns the clock's last id
local top = call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local head = top[1] and top[1][1]
local born = call('GET', KEYS[2])
if not head or not born or less(head, ARGV[1]) or born == ARGV[2] then
  head = nextid(KEYS[1], ARGV[1])
  born = head
  call('SET', KEYS[2], born)
  call(PUBLISH, ARGV[3], 'b' .. born)
end
call(PUBLISH, ARGV[4], 'm' .. ARGV[5] .. ' ' .. head .. ' ' .. born)
return head
