-- Give a node a lease.
-- KEYS: leases; then the tombstone of each name that it had before
-- ARGV: node, milliseconds
-- Returns 1 when one of the names that it had was buried by another node.

local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2], ARGV[1])
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    return 1
  end
end
return 0
