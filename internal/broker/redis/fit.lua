-- Tries every command that the scripts and the gateway use, without a trace: on a key that is not there, in forms that
-- do not make it. What Redis refuses then, it would refuse in the midst of a publish.
--
--   KEYS: a key that is not there
--   ARGV: a channel that nobody listens to
--   returns the refusals, each with its command
local refused = {}
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err and not string.find(answer.err, '^OOM') then
    refused[#refused + 1] = answer.err .. ' (' .. select(1, ...) .. ')'
  end
end
try('GET', KEYS[1])
try('SET', KEYS[1], '', 'XX', 'KEEPTTL')
try('PEXPIRE', KEYS[1], 1)
try('PTTL', KEYS[1])
try('MGET', KEYS[1])
try('XADD', KEYS[1], 'NOMKSTREAM', '*', 'i', '')
try('XTRIM', KEYS[1], 'MAXLEN', '~', 1)
try('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
try('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
try('XLEN', KEYS[1])
try('ZADD', KEYS[1], 'XX', 0, '')
try('ZRANGE', KEYS[1], 0, 0)
try('ZREMRANGEBYSCORE', KEYS[1], 0, 0)
try('TIME')
try(PUBLISH, ARGV[1], '')
return refused
