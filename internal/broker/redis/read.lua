-- Reads a part of a stream up to a bound in bytes, which XRANGE cannot do: in steps, of which the next is sized by what
-- the entries so far weighed. It writes nothing, and stands alone, without ids.lua.
--
--   KEYS: stream
--   ARGV: command (XRANGE or XREVRANGE), first id, last id, limit, bytes
--   returns the entries, and 1 if it ended at a bound
local limit, bytes = tonumber(ARGV[4]), tonumber(ARGV[5])
local from, entries, n, size, step = ARGV[2], {}, 0, 0, 2
while n < limit do
  local count = math.min(step, limit - n)
  local some = redis.call(ARGV[1], KEYS[1], from, ARGV[3], 'COUNT', count)
  for _, entry in ipairs(some) do
    for _, text in ipairs(entry[2]) do size = size + #text end
    if n > 0 and size > bytes then return {entries, 1} end
    n = n + 1
    entries[n] = entry
  end
  if #some < count then return {entries, 0} end
  from = '(' .. entries[n][1]
  step = math.max(1, math.min(4 * n, math.floor((bytes - size) * n / size)))
end
return {entries, 1}
