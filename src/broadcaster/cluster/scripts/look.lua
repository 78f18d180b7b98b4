-- Tell what all nodes have at a place.
-- KEYS: counts of the place, members of the place, its last event, clock
-- Returns the time on the clock; nodes with their counts and times; users with their nodes and infos; the event.

return {
  redis.call('GET', KEYS[4]) or '0',
  redis.call('HGETALL', KEYS[1]),
  redis.call('HGETALL', KEYS[2]),
  redis.call('GET', KEYS[3]),
}
