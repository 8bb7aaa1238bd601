-- Has a loss known that no publish has looked for: the one that was to do it was refused, and others after it were not.
-- An id stays in the clock for a while; where it is gone a loss cannot be ruled out.
--
--   KEYS: clock, born
--   ARGV: an id that was given out
local found = call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
if not found[1] then birth(KEYS[1], KEYS[2], ARGV[1]) end
return 1
