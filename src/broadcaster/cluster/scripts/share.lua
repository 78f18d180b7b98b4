-- Note what a node has at a place, and tell what of it is new on all nodes.
-- KEYS: leases, counts of the place, members of the place, places of the node, places of the application, farewells, clock
-- ARGV: node, place, connections, whether to be quiet that it is occupied, milliseconds until a farewell is news;
--       then for each user: id, info or nothing for who is gone, whether to be quiet that it came
-- Returns nothing when the node has no lease; or the time on the clock, whether the place was empty, who came.

local node, place, count, quiet, pause = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = redis.call('ZSCORE', KEYS[1], node)
if not lease or tonumber(lease) < now then
  return false
end

-- After a flush it starts above everything that it was.
if redis.call('EXISTS', KEYS[7]) == 0 then
  redis.call('SET', KEYS[7], string.format('%d%06d', time[1], time[2]))
end
local clock = redis.call('INCR', KEYS[7])

local function leaves(what)
  if pause > 0 then
    redis.call('ZADD', KEYS[6], now + pause, what)
  end
end

-- Who comes back before its farewell was told has never been away.
local function comes(what)
  return redis.call('ZREM', KEYS[6], what) == 0 and pause > 0
end

local occupied = redis.call('EXISTS', KEYS[2]) == 1
local came = {}
for i = 6, #ARGV, 3 do
  local user, info = ARGV[i], ARGV[i + 1]
  local held = redis.call('HGET', KEYS[3], user)
  local nodes = held and cjson.decode(held) or {}
  nodes[node] = info ~= '' and info or nil
  if next(nodes) then
    redis.call('HSET', KEYS[3], user, cjson.encode(nodes))
    if not held and comes(place .. '\n' .. user) and ARGV[i + 2] == '' then
      came[#came + 1] = user
    end
  elseif redis.call('HDEL', KEYS[3], user) == 1 then
    leaves(place .. '\n' .. user)
  end
end

if count > 0 then
  redis.call('HSET', KEYS[2], node, string.format('%d %.0f', count, clock))
  redis.call('SADD', KEYS[4], place)
  redis.call('SADD', KEYS[5], place)
  local is_news = not occupied and comes(place) and quiet == ''
  return {clock, is_news and 1 or 0, unpack(came)}
end
redis.call('HDEL', KEYS[2], node)
redis.call('SREM', KEYS[4], place)
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('SREM', KEYS[5], place)
  if occupied then
    leaves(place)
  end
end
return {clock, 0, unpack(came)}
