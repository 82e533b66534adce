-- Every change of the arena's state in Redis: one operation a call, each of them one atomic step; joins several a call.
--
-- ARGV: operation, character, mode, the rules, then the operation's own words; which keys a claim touches is known only inside, so
-- none are declared in KEYS. All checks of an operation, and of each join, come before its first write. Time is this server's alone.
--
--   arena:queue:<mode>          zset   waiting characters by gear score
--   arena:wait:<mode>:<score>   zset   those of one score by arrival: the longest waiting among equals in O(log n)
--   arena:overdue:<mode>        zset   those past their patience, by gear score: served before nearer ones
--   arena:request:<char>        hash   the active request
--   arena:last:<char>           string how the last one ended (left, expired, matched): see load_last
--   arena:left:<char>           hash   when the character last left which mode, and by which message
--   arena:battle:<session>      string "<mode> <char> <score> <char> <score> <matched_us>", while the match counts
--   arena:expiry                zset   "<char> <mode>" by the time the request expires (ms)
--   arena:announce              zset   what is still to be told to the world, by the time it may be (next) taken (ms)

local call, floor, ceil = redis.call, math.floor, math.ceil
local op, char, mode = ARGV[1], ARGV[2], ARGV[3] -- a call of several joins sets the last two anew for each

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
local TRACEPARENT_LEN = 55
local GUARD_MS = 60000    -- a request's hash outlives its expiry until the sweep; this guards against no sweep at all

-- Other programs can write here too. What none of these operations has written is as good as absent, and makes way: one player's
-- unreadable hash must not keep others from their match, nor him for ever; nor an index that is none.

-- A command on an index.
local function zset(command, key, ...)
	local result = redis.pcall(command, key, ...)
	if type(result) ~= 'table' or not result.err then
		return result
	end
	if string.find(result.err, 'WRONGTYPE', 1, true) then
		call('DEL', key)
	end
	return call(command, key, ...)
end

local function read_hash(key, ...)
	local h = redis.pcall('HMGET', key, ...)
	if h.err then
		call('DEL', key)
		return {}
	end
	return h
end

-- Requests ------------------------------------------------------------------------------------------------------------

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

-- What became of the last request; without fields when there was none.
local function load_last(id)
	local text = redis.pcall('GET', 'arena:last:' .. id)
	if type(text) == 'table' then
		call('DEL', 'arena:last:' .. id)
		text = ''
	end
	local ended, ended_us, last_mode, score, created_us, expires_us, session, join_id =
		string.match(text or '', '^(%l+) (%d+) (%S+) (%d+) (%d+) (%d+) (%S+) (.*)$')
	return {ended = ended, ended_us = ended_us, mode = last_mode, score = score, created_us = created_us,
		expires_us = expires_us, session = session ~= '-' and session, join_id = join_id}
end

local function is_overdue(request)
	return now_us - request.created_us > patience_us
end

local function remove_entry(id, request_mode, score)
	zset('ZREM', 'arena:queue:' .. request_mode, id)
	zset('ZREM', 'arena:wait:' .. request_mode .. ':' .. score, id)
end

local function add_entry(request)
	zset('ZADD', 'arena:queue:' .. mode, request.score, request.id)
	zset('ZADD', 'arena:wait:' .. mode .. ':' .. request.score, request.created_us, request.id)
end

-- Ends a request: out of every index, what it was kept as arena:last.
local function finish(request, how, ended_us, session)
	if request.queued then
		remove_entry(request.id, request.mode, request.score)
		if is_overdue(request) then
			zset('ZREM', 'arena:overdue:' .. request.mode, request.id)
		end
		zset('ZREM', 'arena:expiry', request.id .. ' ' .. request.mode)
		call('DEL', 'arena:request:' .. request.id)
	end
	call('SET', 'arena:last:' .. request.id, table.concat({how, ended_us, request.mode, request.score, request.created_us,
		request.expires_us, session or '-', request.join_id}, ' '), 'PX', memory_ms)
end

-- Puts a notice up to be told, with the trace that it belongs to, or -.
local function announce(kind, traceparent, what)
	local trace = #traceparent == TRACEPARENT_LEN and string.match(traceparent, '^[%x-]+$') or '-'
	zset('ZADD', 'arena:announce', now_ms, kind .. ' ' .. trace .. ' ' .. what)
end

local function expire(request)
	finish(request, 'expired', request.expires_us)
	announce('expired', request.traceparent, request.id .. ' ' .. request.mode .. ' ' .. request.expires_us)
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

local some_overdue = {} -- by mode: whether there were any when first asked; a join makes none

-- The longest waiting request, past its patience, that fits. Without it a request between two crowded scores could see nearer
-- ones served ahead of it for ever.
local function find_overdue(me)
	local key = 'arena:overdue:' .. mode
	if some_overdue[mode] == nil then
		some_overdue[mode] = call('EXISTS', key) == 1
	end
	if not some_overdue[mode] then
		return nil
	end
	local low, high = range(me.score, widen_cap, widen_cap)
	local best, best_since
	for _, id in ipairs(zset('ZRANGEBYSCORE', key, low, high, 'LIMIT', '0', OVERDUE_MAX)) do
		local other = load_request(id)
		if not is_alive(other) or other.mode ~= mode then
			zset('ZREM', key, id)
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
	local first = zset('ZRANGE', 'arena:wait:' .. mode .. ':' .. score, '0', '1', 'WITHSCORES')
	if first[1] == me.id then
		return first[3], tonumber(first[4])
	end
	return first[1], tonumber(first[2])
end

-- The nearest entry of the queue in my range, the longest waiting among equals: id and score; it may be a ghost.
local function nearest_entry(me, low, high)
	local queue = 'arena:queue:' .. mode
	local up = zset('ZRANGEBYSCORE', queue, me.score, high, 'WITHSCORES', 'LIMIT', '0', '2')
	local up_id, up_score = up[1], up[2]
	if up_id == me.id then
		up_id, up_score = up[3], up[4]
	end
	if up_score == me.score then
		return head(me.score, me) or up_id, up_score
	end
	local down = zset('ZREVRANGEBYSCORE', queue, '(' .. me.score, low, 'WITHSCORES', 'LIMIT', '0', '1')
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
	finish(me, 'matched', now, session)
	finish(other, 'matched', now, session)
	announce('battle', me.traceparent, session .. ' ' .. battle)
	return battle
end

local function answer(request)
	return {'request', request.mode, request.score, request.created_us, request.expires_us, now}
end

-- The operations ------------------------------------------------------------------------------------------------------
--
-- Written out, not functions: whatever stands before the operation that was asked for is created anew at each call.

-- join: time to live (ms); then for each join: character, mode, gear score, sender's message id or '', time of the first attempt
-- (µs) or 0, a session known to be settled or '', the session id to use for a match, traceparent.
-- -> of each: request … | newer (a later change stands) | busy MODE | match … SESSION (not known to be settled; … the request that led
-- to it, where its join had no message id)
if op == 'join' then
	local expires_ms = now_ms + ARGV[10]
	local expires_us = string.format('%d000', expires_ms)

	local function rfc3339(ms)
		local z = floor(ms / 86400000) + 719468 -- days since 0000-03-01, so that leap days come last
		local era, doe = floor(z / 146097), z % 146097
		local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
		local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
		local mp = floor((5 * doy + 2) / 153)
		local month, left = mp < 10 and mp + 3 or mp - 9, ms % 86400000
		return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', yoe + era * 400 + (month <= 2 and 1 or 0), month,
			doy - floor((153 * mp + 2) / 5) + 1, left / 3600000, left / 60000 % 60, left / 1000 % 60,
			left % 1000) -- %d drops the fraction
	end

	local created_at, expires_at -- the same for all of this call
	local function add_request(me)
		local key = 'arena:request:' .. char
		created_at, expires_at = created_at or rfc3339(now_ms), expires_at or rfc3339(expires_ms)
		add_entry(me)
		zset('ZADD', 'arena:expiry', expires_ms, char .. ' ' .. mode)
		call('HSET', key, 'mode', mode, 'gear_score', me.score, 'created_at', created_at, 'expires_at', expires_at,
			'created_us', now, 'expires_us', expires_us, 'join_id', me.join_id, 'traceparent', me.traceparent)
		call('PEXPIRE', key, ARGV[10] + GUARD_MS)
	end

	local function join(score, join_id, first_at_us, settled, new_session, traceparent)
		local request = call('EXISTS', 'arena:request:' .. char) == 1 and load_request(char) -- mostly there is none
		if is_alive(request) then
			if request.mode == mode then
				return answer(request)
			end
			local last = load_last(char)
			if join_id ~= '' and last.join_id == join_id then
				return {'request', last.mode, last.score, last.created_us, last.expires_us, now}
			end
			return first_at_us > 0 and tonumber(request.created_us) > first_at_us and {'newer'} or {'busy', request.mode}
		end
		if request then
			expire(request)
		end
		local last = load_last(char)
		if join_id ~= '' and last.join_id == join_id then
			return {'request', last.mode, last.score, last.created_us, last.expires_us, now}
		end
		if first_at_us > 0 then
			local left_us = read_hash('arena:left:' .. char, 'left:' .. mode)[1]
			if tonumber(last.ended_us or 0) > first_at_us or (tonumber(left_us or 0) or 0) > first_at_us then
				return {'newer'}
			end
		end
		local session = last.session
		if session and call('EXISTS', 'arena:battle:' .. session) == 1 then
			if session ~= settled and call('EXISTS', 'combat:result_cache:' .. session) == 0 then
				local led = last.join_id == ''
				return {'match', led and last.mode or '', led and last.score or 0, led and last.created_us or 0,
					led and last.expires_us or 0, now, session}
			end
			call('DEL', 'arena:battle:' .. session)
		end
		local me = {id = char, mode = mode, score = score, created_us = now, expires_us = expires_us, join_id = join_id,
			traceparent = traceparent, queued = false}
		local other = find(me)
		if other then
			claim(me, other, new_session)
		else
			add_request(me)
		end
		return answer(me)
	end

	local answers = {}
	for at = 11, #ARGV, 8 do
		char, mode = ARGV[at], ARGV[at + 1]
		answers[#answers + 1] = join(ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4]), unpack(ARGV, at + 5, at + 7))
		now_us = now_us + 1 -- they arrive one after another
		now = string.format('%d', now_us)
	end
	return answers
end

-- leave: sender's message id or '', time of the first attempt (µs) or 0. -> 1 when a request was ended, else 0
if op == 'leave' then
	local leave_id, first_at_us = ARGV[10], tonumber(ARGV[11])
	local key = 'arena:left:' .. char
	local done = read_hash(key, 'leave_id', 'left')
	if leave_id ~= '' and done[1] == leave_id then
		return tonumber(done[2] or 0)
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
	call('HSET', key, 'left:' .. mode, now, 'leave_id', leave_id, 'left', left and 1 or 0)
	call('PEXPIRE', key, memory_ms)
	return left and 1 or 0
end

-- match: how long a timeout is told (ms), the session id to use, traceparent or '' when nobody asked.
-- -> matched SESSION BATTLE | waiting | timeout | none
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
			zset('ZADD', 'arena:overdue:' .. mode, request.score, char)
		end
		return {'waiting'}
	end
	local last = load_last(char)
	if request then
		last = {ended = 'expired', mode = request.mode, expires_us = request.expires_us}
	end
	if last.mode ~= mode then
		return {'none'}
	end
	if last.ended == 'matched' then
		local battle = last.session and redis.pcall('GET', 'arena:battle:' .. last.session)
		return type(battle) == 'string' and {'matched', last.session, battle} or {'none'}
	end
	return last.ended == 'expired' and now_us < last.expires_us + ARGV[10] * 1000 and {'timeout'} or {'none'}
end

-- status -> request … of the active request | none
if op == 'status' then
	local request = load_request(char)
	return is_alive(request) and answer(request) or {'none'}
end

-- expire: how many at most. Ends the requests whose time is over, oldest first. -> how many were looked at
if op == 'expire' then
	local due = zset('ZRANGEBYSCORE', 'arena:expiry', '-inf', now_ms, 'WITHSCORES', 'LIMIT', 0, ARGV[10])
	for i = 1, #due, 2 do
		local id, entry_mode = string.match(due[i], '^([1-9]%d*) (%S+)$')
		local request = id and load_request(id)
		if request and request.mode == entry_mode and not is_alive(request) then
			expire(request)
		else
			zset('ZREM', 'arena:expiry', due[i])
		end
		if id and not request then -- Redis lost the hash: the entry knows enough to end it, unless he has been matched since
			local score = zset('ZSCORE', 'arena:queue:' .. entry_mode, id) or '0'
			local session = load_last(id).session
			remove_entry(id, entry_mode, score)
			if not (session and call('EXISTS', 'arena:battle:' .. session) == 1) then
				expire({id = id, mode = entry_mode, score = score, created_us = '0',
					expires_us = string.format('%.0f', due[i + 1] * 1000), join_id = '', traceparent = '', queued = false})
			end
		end
	end
	return #due / 2
end

-- take: how many at most, lease (ms). What is due to be announced, oldest first; nobody else is given it before the lease is over.
-- -> entry, …
if op == 'take' then
	local taken, leased = {}, {}
	for _, entry in ipairs(zset('ZRANGEBYSCORE', 'arena:announce', '-inf', now_ms, 'LIMIT', 0, ARGV[10])) do
		if #entry > ENTRY_MAX then
			zset('ZREM', 'arena:announce', entry)
		else
			taken[#taken + 1] = entry
			leased[#leased + 1] = now_ms + ARGV[11]
			leased[#leased + 1] = entry
		end
	end
	if #taken > 0 then
		zset('ZADD', 'arena:announce', unpack(leased))
	end
	return taken
end

error('no operation ' .. op)
