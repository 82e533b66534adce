-- wrk: one of a thousand characters, spread over all, starts an auto session; another's, started a while ago, ends. POPULATION, TOKEN.
local population, token = tonumber(os.getenv("POPULATION")), os.getenv("TOKEN")
local HALF, LAG = 500, 64 -- each of two threads has its own half; more than the connections of one lie between start and end
local threads, n = 0, 0

function setup(thread)
	thread:set("number", threads)
	threads = threads + 1
end

function request()
	local method, path, at = "POST", "/system/tick/auto-session/start", math.floor(n / 2)
	if n % 2 == 1 then
		method, path, at = "DELETE", "/system/tick/auto-session/delete", at - LAG
	end
	n = n + 1
	local id = 1 + (2 * (at % HALF) + number) * math.floor(population / (2 * HALF))
	return wrk.format(method, path, {["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json"},
		string.format('{"player_id":%d,"active_category":"trade"}', id))
end

function done(summary)
	local errors = summary.errors
	io.write(string.format('{"requests":%d,"errors":%d}\n', summary.requests,
		errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
