-- What the scripts of a history have in common. KEYS: the history, its latest id.
-- The first entry of a history is the last one of which nothing is kept but the id, or holds nothing at all.

-- Return an id that none of a history has which was lost within the same millisecond.
local function first()
  local time = redis.call('TIME')
  return string.format('%d%03d-%d', time[1], math.floor(time[2] / 1000), time[2] % 1000 * 1000)
end

-- Return the latest id; a history that is too old to be there goes on where it ended.
local function latest(keep, known)
  local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
  if newest then
    return newest[1]
  end
  local id = redis.call('XADD', KEYS[1], redis.call('GET', KEYS[2]) or first(), '', '')
  redis.call('EXPIRE', KEYS[1], keep)
  redis.call('SET', KEYS[2], id, 'EX', known)
  return id
end

-- Drop what is older than so many seconds.
local function trim(keep)
  local oldest = string.format('%.0f', (redis.call('TIME')[1] - keep) * 1000)
  local last = redis.call('XREVRANGE', KEYS[1], oldest, '-', 'COUNT', 1)[1]
  if last then
    redis.call('XTRIM', KEYS[1], 'MINID', last[1])
  end
end
