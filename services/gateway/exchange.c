#include "exchange.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "gateway_metrics.h"
#include "gateway_settings.h"

/* Headers, target, and the tree of a body of at most a megabyte. */
#define SCRATCH_MAX ((size_t)32 << 20)

struct exchange *exchange_new(struct MHD_Connection *connection, struct connection *peer, const char *text)
{
	struct exchange *exchange = must_zalloc(sizeof(*exchange));

	exchange->holders = 1;
	exchange->connection = connection;
	exchange->peer = peer;
	exchange->client = peer->peer;
	exchange->began_us = clock_us();
	scratch_init(&exchange->scratch, SCRATCH_MAX);
	exchange->target_text = scratch_strdup(&exchange->scratch, text);
	return exchange;
}

void exchange_hold(struct exchange *exchange)
{
	atomic_fetch_add(&exchange->holders, 1);
}

void exchange_release(struct exchange *exchange)
{
	if (atomic_fetch_sub(&exchange->holders, 1) > 1)
		return;
	exchange_drop_body(exchange);
	text_release(&exchange->reply);
	scratch_release(&exchange->scratch);
	free(exchange);
}

const char *exchange_trace_id(const struct exchange *exchange)
{
	return exchange->traceparent + TRACE_ID_AT;
}

bool exchange_add_body(struct exchange *exchange, const char *bytes, size_t len)
{
	struct metric *held = &gateway_metrics[BODY_BYTES_HELD];

	if (metric_get(held) + (int64_t)len > gateway_settings.max_body_memory)
		return false;
	metric_add(held, (int64_t)len);
	text_add(&exchange->body, bytes, len);
	return true;
}

void exchange_drop_body(struct exchange *exchange)
{
	metric_add(&gateway_metrics[BODY_BYTES_HELD], -(int64_t)exchange->body.len);
	text_release(&exchange->body);
	exchange->body = (struct text){ 0 };
}
