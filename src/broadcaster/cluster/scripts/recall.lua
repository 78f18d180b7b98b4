-- Tell what was said on a topic after an id.
-- KEYS: the history, its latest id
-- ARGV: the id, or nothing; for how many seconds entries are kept, and the latest id is known
-- Returns the latest id; and the entries, or nothing where some may be missing.

local id, keep, known = ARGV[1], ARGV[2], ARGV[3]
local newest = latest(keep, known)
redis.call('EXPIRE', KEYS[2], known)
trim(keep)
if id == '' or #redis.call('XRANGE', KEYS[1], id, id) == 0 then
  return {newest, false}
end
return {newest, redis.call('XRANGE', KEYS[1], '(' .. id, '+')}
