-- Every change of the arena's state in Redis: one operation a call, each of them one atomic step.
--
-- ARGV: operation, character, mode, then the operation's own words; which keys a claim touches is known only inside, so none
-- are declared in KEYS. All checks of an operation come before its first write. Time is this server's alone.
--
--   arena:queue:<mode>          zset   waiting characters by gear score
--   arena:wait:<mode>:<score>   zset   those of one score by arrival: the longest waiting among equals in O(log n)
--   arena:overdue:<mode>        zset   those past their patience, by gear score: served before nearer ones
--   arena:request:<char>        hash   the active request
--   arena:last:<char>           hash   how the last one ended (left, expired, matched), and when the character last left a mode
--   arena:battle:<session>      string "<mode> <char> <score> <char> <score> <matched_us>", while the match counts
--   arena:expiry                zset   "<char> <mode>" by the time the request expires (ms)
--   arena:announce              zset   what is still to be told to the world, by the time it may be (next) taken (ms)

local call, floor, ceil = redis.call, math.floor, math.ceil
local op, char, mode = ARGV[1], ARGV[2], ARGV[3]

-- Scores and times stay the text that Redis gives and takes: to format a number costs half as much as a command does. The
-- milliseconds of a time are its microseconds without their last three digits.
local time = call('TIME')
local now = string.format('%s%06d', time[1], time[2])
local now_ms, now_us = string.sub(now, 1, -4), tonumber(now)

-- The rules, the same ARGV in every operation that needs them.
local percent, widen, widen_cap = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local patience_us, battle_ttl_ms, memory_ms = ARGV[7] * 1000, ARGV[8], ARGV[9]

local GHOSTS_MAX = 200    -- dead entries removed by one call at most, so that no call holds the server for long
local OVERDUE_MAX = '50'  -- overdue requests looked at by one call at most
local ENTRY_MAX = 1000    -- bytes of what is to be told; a longer one is not ours
local GUARD_MS = 60000    -- a request's hash outlives its expiry until the sweep; this guards against no sweep at all

-- Requests ------------------------------------------------------------------------------------------------------------

-- Other programs can write here too. What none of these operations has written is as good as absent, and makes way: one player's
-- unreadable hash must not keep others from their match, nor him for ever.
local function read_hash(key, ...)
	local h = redis.pcall('HMGET', key, ...)
	if h.err then
		call('DEL', key)
		return {}
	end
	return h
end

local function digits(text)
	return text and #text <= 16 and string.match(text, '^%d+$')
end

-- The request in a hash, dead or alive; nil when there is none.
local function load_request(id)
	if not string.match(id, '^[1-9]%d*$') then
		return nil
	end
	local h = read_hash('arena:request:' .. id, 'mode', 'gear_score', 'created_us', 'expires_us', 'join_id', 'traceparent')
	if not (h[1] and digits(h[2]) and digits(h[3]) and digits(h[4])) then
		return nil
	end
	return {id = id, mode = h[1], score = h[2], created_us = h[3], expires_us = h[4],
		join_id = h[5] or '', traceparent = h[6] or '', queued = true}
end

local function is_alive(request)
	return request and tonumber(request.expires_us) > now_us
end

local function is_overdue(request)
	return now_us - request.created_us > patience_us
end

local function remove_entry(id, request_mode, score)
	call('ZREM', 'arena:queue:' .. request_mode, id)
	call('ZREM', 'arena:wait:' .. request_mode .. ':' .. score, id)
end

local function add_entry(request)
	call('ZADD', 'arena:queue:' .. mode, request.score, request.id)
	call('ZADD', 'arena:wait:' .. mode .. ':' .. request.score, request.created_us, request.id)
end

-- Ends a request: out of every index, its hash kept as arena:last.
local function finish(request, how, ended_us, ...)
	local last = 'arena:last:' .. request.id
	if request.queued then
		remove_entry(request.id, request.mode, request.score)
		if is_overdue(request) then
			call('ZREM', 'arena:overdue:' .. request.mode, request.id)
		end
		call('ZREM', 'arena:expiry', request.id .. ' ' .. request.mode)
		call('RENAME', 'arena:request:' .. request.id, last)
		call('HSET', last, 'ended', how, 'ended_us', ended_us, ...)
	else
		call('HSET', last, 'ended', how, 'ended_us', ended_us, 'mode', request.mode, 'gear_score', request.score,
			'created_us', request.created_us, 'expires_us', request.expires_us, 'join_id', request.join_id,
			'traceparent', request.traceparent, ...)
	end
	call('PEXPIRE', last, memory_ms)
end

local function expire(request)
	finish(request, 'expired', request.expires_us)
	call('ZADD', 'arena:announce', now_ms, 'expired ' .. request.id .. ' ' .. request.mode .. ' ' .. request.expires_us)
end

-- Who fits ------------------------------------------------------------------------------------------------------------

local function percent_of(request)
	if widen == 0 then
		return percent
	end
	return math.max(percent, math.min(widen_cap, percent + floor(widen * (now_us - request.created_us) / 1000000)))
end

-- The scores that fit: theirs within own_percent of mine, or mine within their_percent (not more than own_percent) of theirs.
local function range(score, own_percent, their_percent)
	local low = ceil(score * (100 - own_percent) / 100)
	if their_percent >= 100 then
		return low, '+inf'
	end
	return low, math.max(floor(score * (100 + own_percent) / 100), floor(score * 100 / (100 - their_percent)))
end

-- The longest waiting request, past its patience, that fits. Without it a request between two crowded scores could see nearer
-- ones served ahead of it for ever.
local function find_overdue(me)
	local key = 'arena:overdue:' .. mode
	if call('EXISTS', key) == 0 then
		return nil
	end
	local low, high = range(me.score, widen_cap, widen_cap)
	local best, best_since
	for _, id in ipairs(call('ZRANGEBYSCORE', key, low, high, 'LIMIT', '0', OVERDUE_MAX)) do
		local other = load_request(id)
		if not is_alive(other) or other.mode ~= mode then
			call('ZREM', key, id)
		elseif id ~= me.id then
			local gap, since = math.abs(me.score - other.score) * 100, tonumber(other.created_us)
			local fits = gap <= me.score * percent_of(me) or gap <= other.score * percent_of(other)
			if fits and (not best or since < best_since) then
				best, best_since = other, since
			end
		end
	end
	return best
end

-- The longest waiting of a score, but not me: id and arrival.
local function head(score, me)
	local first = call('ZRANGE', 'arena:wait:' .. mode .. ':' .. score, '0', '1', 'WITHSCORES')
	if first[1] == me.id then
		return first[3], tonumber(first[4])
	end
	return first[1], tonumber(first[2])
end

-- The nearest entry of the queue in my range, the longest waiting among equals: id and score; it may be a ghost.
local function nearest_entry(me, low, high)
	local queue = 'arena:queue:' .. mode
	local up = call('ZRANGEBYSCORE', queue, me.score, high, 'WITHSCORES', 'LIMIT', '0', '2')
	local up_id, up_score = up[1], up[2]
	if up_id == me.id then
		up_id, up_score = up[3], up[4]
	end
	if up_score == me.score then
		return head(me.score, me) or up_id, up_score
	end
	local down = call('ZREVRANGEBYSCORE', queue, '(' .. me.score, low, 'WITHSCORES', 'LIMIT', '0', '1')
	local down_id, down_score = down[1], down[2]
	local gap_up = up_id and up_score - me.score or math.huge
	local gap_down = down_id and me.score - down_score or math.huge
	if gap_up < gap_down then
		return head(up_score, me) or up_id, up_score
	elseif gap_down < gap_up then
		return head(down_score, me) or down_id, down_score
	elseif not up_id then
		return nil
	end
	local up_head, up_since = head(up_score, me)
	local down_head, down_since = head(down_score, me)
	if (up_since or 0) <= (down_since or 0) then
		return up_head or up_id, up_score
	end
	return down_head or down_id, down_score
end

-- The request to match me with, or nil. Entries without a living request behind them are removed on the way.
local function find(me)
	local overdue = find_overdue(me)
	if overdue then
		return overdue
	end
	local low, high = range(me.score, percent_of(me), percent)
	for _ = 1, GHOSTS_MAX do
		local id, score = nearest_entry(me, low, high)
		if not id then
			return nil
		end
		local other = load_request(id)
		if not is_alive(other) or other.mode ~= mode then
			remove_entry(id, mode, score)
		elseif other.score ~= score then
			remove_entry(id, mode, score)
			add_entry(other)
		else
			return other
		end
	end
	return nil
end

-- Both requests are alive and unclaimed: this is the claim.
local function claim(me, other, session)
	local battle = mode .. ' ' .. other.id .. ' ' .. other.score .. ' ' .. me.id .. ' ' .. me.score .. ' ' .. now
	call('SET', 'arena:battle:' .. session, battle, 'PX', battle_ttl_ms)
	finish(me, 'matched', now, 'session_id', session, 'traceparent', me.traceparent)
	finish(other, 'matched', now, 'session_id', session)
	call('ZADD', 'arena:announce', now_ms, 'battle ' .. session .. ' ' .. battle)
	return battle
end

local function answer(request)
	return {'request', request.mode, request.score, request.created_us, request.expires_us, now}
end

-- The operations ------------------------------------------------------------------------------------------------------
--
-- Written out, not functions: whatever stands before the operation that was asked for is created anew at each call.

-- join: gear score, time to live (ms), sender's message id or '', time of the first attempt (µs) or 0, a session known to be settled
-- or '', the session id to use for a match, traceparent.
-- -> request … | newer (a later change stands) | busy MODE | match … SESSION (not known to be settled; … the request that led to
-- it, where its join had no message id)
if op == 'join' then
	local score, ttl_ms, join_id, first_at_us = ARGV[10], tonumber(ARGV[11]), ARGV[12], tonumber(ARGV[13])
	local request = call('EXISTS', 'arena:request:' .. char) == 1 and load_request(char) -- mostly there is none
	if is_alive(request) then
		if request.mode == mode then
			return answer(request)
		end
		return first_at_us > 0 and tonumber(request.created_us) > first_at_us and {'newer'} or {'busy', request.mode}
	end
	if request then
		expire(request)
	end
	local h = read_hash('arena:last:' .. char, 'ended_us', 'join_id', 'session_id', 'left:' .. mode, 'mode', 'gear_score',
		'created_us', 'expires_us')
	local ended_us, last_join_id, session, left_us = tonumber(h[1] or 0), h[2], h[3], tonumber(h[4] or 0)
	if join_id ~= '' and last_join_id == join_id and h[5] and h[6] and h[7] and h[8] then
		return {'request', h[5], h[6], h[7], h[8], now}
	end
	if first_at_us > 0 and ((ended_us or 0) > first_at_us or (left_us or 0) > first_at_us) then
		return {'newer'}
	end
	if session and call('EXISTS', 'arena:battle:' .. session) == 1 then
		if session ~= ARGV[14] and call('EXISTS', 'combat:result_cache:' .. session) == 0 then
			local led = last_join_id == '' and h[5] and h[6] and h[7] and h[8]
			return {'match', led and h[5] or '', led and h[6] or 0, led and h[7] or 0, led and h[8] or 0,
				now, session}
		end
		call('DEL', 'arena:battle:' .. session)
	end
	local me = {id = char, mode = mode, score = score, created_us = now, join_id = join_id, traceparent = ARGV[16],
		expires_us = string.format('%d000', now_ms + ttl_ms), queued = false}
	local other = find(me)
	if other then
		claim(me, other, ARGV[15])
		return answer(me)
	end

	local day, date -- most often both times are of one day
	local function rfc3339(ms)
		if day ~= floor(ms / 86400000) then
			day = floor(ms / 86400000)
			local z = day + 719468 -- days since 0000-03-01, so that leap days come last
			local era, doe = floor(z / 146097), z % 146097
			local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
			local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
			local mp = floor((5 * doy + 2) / 153)
			local month = mp < 10 and mp + 3 or mp - 9
			date = string.format('%04d-%02d-%02d', yoe + era * 400 + (month <= 2 and 1 or 0), month,
				doy - floor((153 * mp + 2) / 5) + 1)
		end
		local left = ms % 86400000
		return string.format('%sT%02d:%02d:%02d.%03dZ', date, left / 3600000, left / 60000 % 60, left / 1000 % 60,
			left % 1000) -- %d drops the fraction
	end
	local key, expires_ms = 'arena:request:' .. char, string.sub(me.expires_us, 1, -4)
	call('HSET', key, 'mode', mode, 'gear_score', score, 'created_at', rfc3339(now_ms), 'expires_at', rfc3339(expires_ms),
		'created_us', now, 'expires_us', me.expires_us, 'join_id', join_id, 'traceparent', me.traceparent)
	call('PEXPIRE', key, ttl_ms + GUARD_MS)
	add_entry(me)
	call('ZADD', 'arena:expiry', expires_ms, char .. ' ' .. mode)
	return answer(me)
end

-- leave: sender's message id or '', time of the first attempt (µs) or 0. -> 1 when a request was ended, else 0
if op == 'leave' then
	local leave_id, first_at_us = ARGV[10], tonumber(ARGV[11])
	local last = 'arena:last:' .. char
	if leave_id ~= '' then
		local done = read_hash(last, 'leave_id', 'left')
		if done[1] == leave_id then
			return tonumber(done[2] or 0)
		end
	end
	local request = load_request(char)
	local left = is_alive(request) and request.mode == mode
	if left and first_at_us > 0 and tonumber(request.created_us) > first_at_us then
		return 0
	end
	if left then
		finish(request, 'left', now)
	end
	-- Also when there was nothing to leave: a join that is retried later must see that the player left since.
	read_hash(last, 'left')
	call('HSET', last, 'left:' .. mode, now, 'leave_id', leave_id, 'left', left and 1 or 0)
	call('PEXPIRE', last, memory_ms)
	return left and 1 or 0
end

-- match: how long a timeout is told (ms), the session id to use, traceparent or '' when nobody asked. -> matched SESSION BATTLE | waiting | timeout | none
if op == 'match' then
	local request = load_request(char)
	if is_alive(request) then
		if request.mode ~= mode then
			return {'none'}
		end
		local other = find(request)
		if other then
			request.traceparent = ARGV[12] ~= '' and ARGV[12] or request.traceparent
			return {'matched', ARGV[11], claim(request, other, ARGV[11])}
		end
		if is_overdue(request) then
			call('ZADD', 'arena:overdue:' .. mode, request.score, char)
		end
		return {'waiting'}
	end
	local h = read_hash('arena:last:' .. char, 'ended', 'mode', 'session_id', 'expires_us')
	local ended, last_mode, session, expires_us = h[1], h[2], h[3], digits(h[4]) and h[4] or 0
	if request then
		ended, last_mode, expires_us = 'expired', request.mode, request.expires_us
	end
	if last_mode ~= mode then
		return {'none'}
	end
	if ended == 'matched' then
		local battle = session and redis.pcall('GET', 'arena:battle:' .. session)
		return type(battle) == 'string' and {'matched', session, battle} or {'none'}
	end
	return ended == 'expired' and now_us < expires_us + ARGV[10] * 1000 and {'timeout'} or {'none'}
end

-- status -> request … of the active request | none
if op == 'status' then
	local request = load_request(char)
	return is_alive(request) and answer(request) or {'none'}
end

-- expire: how many at most. Ends the requests whose time is over, oldest first. -> how many were looked at
if op == 'expire' then
	local due = call('ZRANGEBYSCORE', 'arena:expiry', '-inf', now_ms, 'WITHSCORES', 'LIMIT', 0, ARGV[10])
	for i = 1, #due, 2 do
		local id, entry_mode = string.match(due[i], '^([1-9]%d*) (%S+)$')
		local request = id and load_request(id)
		if request and request.mode == entry_mode and not is_alive(request) then
			expire(request)
		else
			call('ZREM', 'arena:expiry', due[i])
		end
		if id and not request then -- Redis lost the hash: the entry knows enough to end it
			local score = call('ZSCORE', 'arena:queue:' .. entry_mode, id) or '0'
			remove_entry(id, entry_mode, score)
			read_hash('arena:last:' .. id, 'ended')
			expire({id = id, mode = entry_mode, score = score, created_us = '0',
				expires_us = string.format('%.0f', due[i + 1] * 1000), join_id = '', traceparent = '', queued = false})
		end
	end
	return #due / 2
end

-- The traceparent of the command that an entry of arena:announce comes from; '' where its character has gone on since.
local function trace_of(entry)
	local session, claimer = string.match(entry, '^battle (%S+) %S+ %d+ %d+ (%d+) ')
	local expired, expires_us = string.match(entry, '^expired (%d+) %S+ (%d+)$')
	if not (claimer or expired) then
		return ''
	end
	local h = read_hash('arena:last:' .. (claimer or expired), 'session_id', 'expires_us', 'traceparent')
	local is_last = claimer and h[1] == session or expired and h[2] == expires_us
	return is_last and h[3] or ''
end

-- take: how many at most, lease (ms). What is due to be announced, oldest first; nobody else is given it before the lease is over.
-- -> entry, its traceparent or '', entry, …
if op == 'take' then
	local taken = {}
	for _, entry in ipairs(call('ZRANGEBYSCORE', 'arena:announce', '-inf', now_ms, 'LIMIT', 0, ARGV[10])) do
		if #entry > ENTRY_MAX then
			call('ZREM', 'arena:announce', entry)
		else
			call('ZADD', 'arena:announce', now_ms + ARGV[11], entry)
			taken[#taken + 1] = entry
			taken[#taken + 1] = trace_of(entry)
		end
	end
	return taken
end

error('no operation ' .. op)
