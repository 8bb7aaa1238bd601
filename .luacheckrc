-- luacheck over the scripts in internal/broker/redis. Go puts the settings and ids.lua before each of them.
std = "lua51"
max_line_length = 120
read_globals = {
  "redis", "KEYS", "ARGV",
  "PUBLISH", "SIZE", "DIGITS", "LAG", "TTL", "KEEP_LAST", "RETENTION", "QUIET_LAG", "KEEP_CLOSE", "KEEP_KEY",
  "channel", -- settings
  "call", "sub", "byte", "parts", "less", "nextid", "birth", -- ids.lua
}
files["**/ids.lua"] = { ignore = { "211" } } -- what others use
