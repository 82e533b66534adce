-- Failed passwords, counted for one or two subjects (a login at an address, the address), three keys each: the failures of the last
-- window by time, the attempts under way by time, and what blocks it. What is begun and not yet ended may fail: it counts as well,
-- so that no more than the limit fail however many come at once.
-- ARGV: "begin", id, window, longest attempt (ms), limits... -> 0 go on, -1 ask again soon, > 0 blocked for so many ms
-- ARGV: "end", id, window, failed (0 or 1), limits... -> 0
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local id, window = ARGV[2], tonumber(ARGV[3])
local subjects = #KEYS / 3

local function keys_of(subject)
	return KEYS[subject * 3 - 2], KEYS[subject * 3 - 1], KEYS[subject * 3], tonumber(ARGV[subject + 4])
end

if ARGV[1] == 'begin' then
	local longest = tonumber(ARGV[4])
	local blocked, full = 0, false
	for subject = 1, subjects do
		local failed, trying, block, limit = keys_of(subject)
		redis.call('ZREMRANGEBYSCORE', failed, '-inf', now - window)
		redis.call('ZREMRANGEBYSCORE', trying, '-inf', now - longest)
		blocked = math.max(blocked, redis.call('PTTL', block))
		full = full or redis.call('ZCARD', failed) + redis.call('ZCARD', trying) >= limit
	end
	if blocked > 0 then
		return blocked
	end
	if full then
		return -1
	end
	for subject = 1, subjects do
		local _, trying = keys_of(subject)
		redis.call('ZADD', trying, now, id)
		redis.call('PEXPIRE', trying, longest)
	end
	return 0
end

for subject = 1, subjects do
	local failed, trying, block, limit = keys_of(subject)
	redis.call('ZREM', trying, id)
	if ARGV[4] == '1' then
		redis.call('ZREMRANGEBYSCORE', failed, '-inf', now - window)
		redis.call('ZADD', failed, now, id)
		redis.call('PEXPIRE', failed, window)
		if redis.call('ZCARD', failed) >= limit then
			redis.call('SET', block, 1, 'PX', window)
			redis.call('DEL', failed)
		end
	end
end
return 0
