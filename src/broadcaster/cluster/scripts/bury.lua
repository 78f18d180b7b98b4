-- Take what a node has from some of its places, and then the node itself.
-- KEYS: leases, places of the node, farewells, its tombstone
-- ARGV: node, whether its lease may still run, the most places to take, prefix of the keys, seconds of the tombstone
-- Returns how many places are left.

local node, prefix = ARGV[1], ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = redis.call('ZSCORE', KEYS[1], node)
if lease and tonumber(lease) >= now and ARGV[2] == '' then
  return 0
end

local function leaves(what)
  redis.call('ZADD', KEYS[3], now, what)
end

for _, place in ipairs(redis.call('SRANDMEMBER', KEYS[2], ARGV[3])) do
  -- In the same slot as the others, by the tag in the prefix.
  local counts, members = prefix .. 'count:' .. place, prefix .. 'member:' .. place
  local app, name = string.match(place, '^([^/]*)/(.*)$')
  local is_user = string.sub(name, 1, 6) == '#user-'
  local held = redis.call('HGETALL', members)
  for i = 1, #held, 2 do
    local nodes = cjson.decode(held[i + 1])
    if nodes[node] then
      nodes[node] = nil
      if next(nodes) then
        redis.call('HSET', members, held[i], cjson.encode(nodes))
      else
        redis.call('HDEL', members, held[i])
        leaves(place .. '\n' .. held[i])
      end
    end
  end
  if redis.call('HDEL', counts, node) == 1 and redis.call('EXISTS', counts) == 0 then
    redis.call('SREM', prefix .. (is_user and 'users:' or 'channels:') .. app, place)
    if not is_user then
      leaves(place)
    end
  end
  redis.call('SREM', KEYS[2], place)
end
local left = redis.call('SCARD', KEYS[2])
if left == 0 then
  redis.call('ZREM', KEYS[1], node)
  if ARGV[2] == '' then
    redis.call('SET', KEYS[4], '1', 'EX', ARGV[5])
  end
end
return left
