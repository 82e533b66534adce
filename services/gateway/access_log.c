#include "access_log.h"

#include "clock.h"
#include "gateway_metrics.h"
#include "log.h"

/* The query is left out: nobody knows what is put there. */
void access_log_write(const struct exchange *exchange, bool whole)
{
	int64_t us = clock_us() - exchange->began_us;
	char client[ADDRESS_TEXT_MAX];
	struct text *line = log_begin(LOG_INFO, "request");

	gateway_metrics_request(exchange->match.route, exchange->status, us);
	if (!line)
		return;
	json_key_string(line, "method", exchange->method);
	json_key_string(line, "path", exchange->target.path);
	json_key_int(line, "status", exchange->status);
	json_key(line, "ms");
	json_number(line, (double)us / 1000);
	json_key_string(line, "client", address_format(&exchange->client, client));
	if (*exchange->routing_key)
		json_key_string(line, "command", exchange->routing_key);
	if (*exchange->message_id)
		json_key_string(line, "message_id", exchange->message_id);
	if (exchange->caller.kind == CALLER_SERVICE)
		json_key_string(line, "caller", "service");
	if (exchange->caller.kind == CALLER_PLAYER) {
		json_key_int(line, "account_id", exchange->caller.claims.account_id);
		json_key_int(line, "char_id", exchange->caller.claims.char_id);
	}
	json_key_int(line, "bytes_in", (int64_t)exchange->body_seen);
	json_key_int(line, "bytes_out", (int64_t)exchange->answer_len);
	json_key_string(line, "traceparent", exchange->traceparent);
	if (!whole)
		json_key_bool(line, "cut", true);
	log_end();
	/* This thread waits in libmicrohttpd next, where nobody would flush for it. */
	log_flush();
}
