-- Renew the lease of a node, and take the farewells that are news by now.
-- KEYS: leases, farewells
-- ARGV: node, milliseconds, the most farewells to take
-- Returns nothing when the lease has ended; or who has one, whose has ended, and the farewells.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not lease or tonumber(lease) < now then
  return false
end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[3])
if #due > 0 then
  redis.call('ZREM', KEYS[2], unpack(due))
end
return {
  redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf'),
  redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now),
  due,
}
