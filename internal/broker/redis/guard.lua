-- Makes sure that ids were lost if they were, after the publish that would have seen it was refused and others after it
-- were not. An id stays in the clock for a while; where it is gone the loss cannot be ruled out.
--
--   KEYS: clock, born
--   ARGV: an id that was given out
if not call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1] then birth(KEYS[1], KEYS[2], ARGV[1]) end
return 1
