-- Add what was said on a topic to its history, or a hole where nobody knows what, and tell whoever hears the topic.
-- KEYS: the history, its latest id, that it was said
-- ARGV: what was said, or nothing for a hole; how to publish, and where; entries to keep, and for how many seconds;
--       for how many seconds the latest id is known, and that it was said
-- Returns the id, or nothing for what was said before.

local said, keep, known = ARGV[1], ARGV[5], ARGV[6]
if said ~= '' and not redis.call('SET', KEYS[3], '', 'NX', 'EX', ARGV[7]) then
  return false
end
local after = latest(keep, known)
local id = redis.call('XADD', KEYS[1], '*', '', said)
redis.call('XTRIM', KEYS[1], 'MAXLEN', said == '' and 1 or ARGV[4] + 1)
trim(keep)
redis.call('EXPIRE', KEYS[1], keep)
redis.call('SET', KEYS[2], id, 'EX', known)
local rest = said == '' and '"hole":true}' or string.sub(said, 2)
redis.call(ARGV[2], ARGV[3], '{"at":"' .. id .. '","after":"' .. after .. '",' .. rest)
return id
