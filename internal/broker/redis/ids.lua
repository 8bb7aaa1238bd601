-- What the scripts know of ids, put before each of them.
--
-- The clock is a stream, of which only the last entry counts: Redis makes ids that rise also when its time steps back,
-- and keeps the last one through a restart.
local call, sub, byte = redis.call, string.sub, string.byte
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
-- less compares ids. Those of 13 digits of ms, as all are until the year 2286, are compared as text first:
-- '1763870000123-' is the first 14 bytes of one, and 45 is the '-'.
local function less(a, b)
  if byte(a, 14) == 45 and byte(b, 14) == 45 then
    local ams, bms = sub(a, 1, 13), sub(b, 1, 13)
    if ams ~= bms then return ams < bms end
  end
  local ams, aseq = parts(a)
  local bms, bseq = parts(b)
  return ams < bms or (ams == bms and aseq < bseq)
end

-- nextid gives out an id above floor, and above last if there is one (rule 2).
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

-- birth notes that events were lost before the id that it gives out, above floor, and tells every replica (see
-- Mark.Born, and rule 22).
local function birth(clock, born, floor)
  local id = nextid(clock, floor)
  call('SET', born, id)
  call(PUBLISH, channel(sub(born, 1, -5) .. 'control'), 'b' .. id)
  return id
end
