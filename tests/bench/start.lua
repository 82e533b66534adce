-- wrk: start an auto session, of another character each time. START_FIRST: the first character; RATE: requests a second in all, or 0.
local first, connections = tonumber(os.getenv("START_FIRST")), tonumber(os.getenv("CONNECTIONS"))
local rate = tonumber(os.getenv("RATE") or "0")
local threads, n = 0, 0

function setup(thread)
	thread:set("number", threads)
	threads = threads + 1
end

function request()
	n = n + 1
	return wrk.format("POST", "/system/tick/auto-session/start", {
		["Authorization"] = "Bearer " .. os.getenv("TOKEN"),
		["Content-Type"] = "application/json",
	}, string.format('{"player_id":%d,"active_category":"trade"}', first + number * 1000000 + n))
end

-- Each connection waits between its requests, spread evenly around what its share of the rate asks for.
if rate > 0 then
	function delay()
		return math.random() * 2000 * connections / rate
	end
end

function done(summary, latency)
	local errors = summary.errors
	io.write(string.format('{"requests":%d,"seconds":%.3f,"p50_ms":%.2f,"p99_ms":%.2f,"max_ms":%.1f,"errors":%d}\n',
		summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000,
		errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
