-- The least that a join must do in Redis: take the nearest that fits, or wait. ARGV: character, a number of
-- which the score is made.
local call, id, score = redis.call, ARGV[1], 50 + tonumber(ARGV[2]) % 2000
local found = call('ZRANGEBYSCORE', 'bare:queue', score, math.floor(score * 1.15), 'LIMIT', 0, 1)[1] or
	call('ZREVRANGEBYSCORE', 'bare:queue', score, math.ceil(score * 0.85), 'LIMIT', 0, 1)[1]
if found then
	call('ZREM', 'bare:queue', found)
	call('DEL', 'bare:request:' .. found)
	call('SET', 'bare:battle:' .. id, found, 'PX', 900000)
	return found
end
call('HSET', 'bare:request:' .. id, 'mode', '1v1', 'gear_score', score)
call('ZADD', 'bare:queue', score, id)
return false
