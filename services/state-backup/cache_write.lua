-- Makes or fills ac:{id} of some characters from the database's columns.
--
-- KEYS: the ticket; dirty_accounts; the set of those whom this command has restored; then the cache of each character.
-- ARGV: that set's lifetime in ms, 0 to keep none; the number of session kinds; of each kind its state and its field; then of each
-- character his id, 1 to force, the number of fields, field, value, ... (the state first), and of each kind the session or '', 1 if that
-- is live.
--
-- Answers 'stale' when the ticket is gone. Else for each character 0 where the cache was made as asked, 1 where it was and the state had to
-- become idle, or what is there now, {what, 1 for idle, state, session of each kind or ''}: 'restored' where the rest was filled in, 'live'
-- where nothing was done; 'unreadable' alone when the key is no hash.
--
-- The first write is also what fails, before any other, when Redis is out of memory.

if redis.call('EXISTS', KEYS[1]) == 0 then return 'stale' end

local n_kinds = tonumber(ARGV[2])

local function state_of(kind) return ARGV[1 + 2 * kind] end
local function field_of(kind) return ARGV[2 + 2 * kind] end

-- Nothing is there, which is nearly always so: one write does it. The fields are first to last, the sessions follow.
local function make(cache, forced, first, last)
  local fields, idle = {unpack(ARGV, first, last)}, 0
  for kind = 1, n_kinds do
    if ARGV[last + 2 * kind] == '1' then
      fields[#fields + 1] = field_of(kind)
      fields[#fields + 1] = ARGV[last + 2 * kind - 1]
    elseif fields[2] == state_of(kind) then
      fields[2], idle = 'idle', 1
    end
  end
  if forced then redis.call('DEL', cache) end
  redis.call('HSET', cache, unpack(fields))
  return idle
end

local function session_of(cache, kind)
  local id = redis.call('HGET', cache, field_of(kind))
  return id ~= '' and id
end

local function tell(cache, what, idle)
  local answer = {what, idle, redis.call('HGET', cache, 'state')}
  for kind = 1, n_kinds do answer[3 + kind] = session_of(cache, kind) or '' end
  return answer
end

-- A hash that is not live: what it has is kept.
local function fill(cache, first, last)
  local idle = 0
  for f = first, last, 2 do redis.call('HSETNX', cache, ARGV[f], ARGV[f + 1]) end
  for kind = 1, n_kinds do
    local id, live = ARGV[last + 2 * kind - 1], ARGV[last + 2 * kind] == '1'
    local had = session_of(cache, kind)
    if not had and live then redis.call('HSET', cache, field_of(kind), id) end
    if had and had == id and not live then redis.call('HDEL', cache, field_of(kind)) end
    if redis.call('HGET', cache, 'state') == state_of(kind) and not session_of(cache, kind) then
      redis.call('HSET', cache, 'state', 'idle')
      idle = 1
    end
  end
  return tell(cache, 'restored', idle)
end

local answers, restored, dirty = {}, {}, {}
local at = 3 + 2 * n_kinds

for k = 4, #KEYS do
  local cache, id, forced = KEYS[k], ARGV[at], ARGV[at + 1] == '1'
  local first, last = at + 3, at + 2 + 2 * ARGV[at + 2]
  local type = redis.call('TYPE', cache).ok
  local answer
  if type == 'none' or forced then
    answer = make(cache, forced, first, last)
    restored[#restored + 1] = id
    if answer == 1 then dirty[#dirty + 1] = id end
  elseif type ~= 'hash' then
    answer = {'unreadable'}
  elseif redis.call('HEXISTS', cache, 'state') + redis.call('HEXISTS', cache, 'bio') == 2 then
    answer = tell(cache, 'live', 0)
  else
    answer = fill(cache, first, last)
    restored[#restored + 1] = id
    dirty[#dirty + 1] = id
  end
  answers[#answers + 1] = answer
  at = last + 1 + 2 * n_kinds
end

if #dirty > 0 then redis.call('SADD', KEYS[2], unpack(dirty)) end
if #restored > 0 and ARGV[1] ~= '0' then
  redis.call('SADD', KEYS[3], unpack(restored))
  redis.call('PEXPIRE', KEYS[3], ARGV[1])
end
return answers
