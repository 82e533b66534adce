#include "forward.h"

#include <string.h>

#include "answer.h"
#include "command_body.h"
#include "crash.h"
#include "flights.h"
#include "publisher.h"
#include "uuid.h"

/* The publisher keeps a request's time; ours is a net below, should it be stuck in a write. */
#define NET_MS 500

/* ---- there ---- */

static void replied(void *arg, enum code code, const char *body, size_t body_len, const char *message)
{
	struct exchange *exchange = arg;

	crash_point("gateway_reply_received");
	flight_end(exchange, code, body, body_len, message);
	exchange_release(exchange);
}

static void published(void *arg, bool confirmed)
{
	struct exchange *exchange = arg;

	crash_point("gateway_confirmed");
	flight_end(exchange, confirmed ? CODE_OK : CODE_UNAVAILABLE, NULL, 0,
		"the broker did not take the command, or was lost before it said so");
	exchange_release(exchange);
}

static void ask(struct exchange *exchange, const struct text *body)
{
	char client[ADDRESS_TEXT_MAX];
	const struct rpc_request request = {
		.routing_key = exchange->routing_key,
		.body = body->bytes,
		.body_len = body->len,
		.message_id = *exchange->message_id ? exchange->message_id : NULL,
		.traceparent = exchange->traceparent,
		.client = address_format(&exchange->client, client),
		.timeout_ms = exchange->timeout_ms,
	};

	publisher_request(service_publisher(), &request, replied, exchange);
}

static void publish(struct exchange *exchange, const struct text *body)
{
	const char *key = exchange->routing_key;
	size_t room = strlen(key) + strlen(exchange->message_id) + TRACEPARENT_LEN + body->len + 4;
	struct outgoing *out = outgoing_new(room, 1);

	out->promise = PROMISE_ONCE;
	out->mandatory = true;
	out->exchange = EXCHANGE_COMMANDS;
	out->routing_key = outgoing_text(out, key);
	out->type = name_command_of(out->routing_key);
	out->message_id = outgoing_text(out, exchange->message_id);
	outgoing_header(out, "traceparent", exchange->traceparent, 0);
	out->body = outgoing_bytes(out, body->bytes, body->len);
	out->body_len = body->len;
	out->done = published;
	out->arg = exchange;
	publisher_send(service_publisher(), out);
}

static void name_message(struct exchange *exchange)
{
	struct uuid id;

	if (exchange->headers.idempotency_key) {
		snprintf(exchange->message_id, sizeof(exchange->message_id), "%s", exchange->headers.idempotency_key);
	} else if (exchange->durable) {
		id = uuid_random();
		uuid_format(&id, exchange->message_id);
	}
}

enum MHD_Result forward_command(struct exchange *exchange)
{
	const struct command_parts parts = {
		.route = exchange->match.route,
		.command = exchange->command,
		.target = &exchange->target,
		.caller = &exchange->caller,
		.bearer = request_headers_bearer(&exchange->headers),
		.body = text_str(&exchange->body),
		.body_len = exchange->body.len,
	};
	CLEANUP(text_release) struct text body = { 0 };
	struct error err;

	if (command_body(&parts, &body, &exchange->refusal.field, &exchange->scratch, &err))
		return answer_error(exchange, &err);
	exchange_drop_body(exchange);
	name_message(exchange);
	if (!flight_begin(exchange, exchange->timeout_ms + NET_MS)) {
		error_set(&err, CODE_UNAVAILABLE, "too many requests in flight");
		return answer_error(exchange, &err);
	}
	atomic_store(&exchange->peer->deadline_ms, CONNECTION_PATIENT);
	exchange->state = EXCHANGE_WAITING;
	exchange_hold(exchange);
	crash_point("gateway_accepted");
	if (exchange->durable)
		publish(exchange, &body);
	else
		ask(exchange, &body);
	crash_point("gateway_sent");
	return MHD_YES;
}

/* ---- and back ---- */

static enum MHD_Result answer_accepted(struct exchange *exchange)
{
	CLEANUP(text_release) struct text body = { 0 };

	json_open(&body, '{');
	json_key_string(&body, "message_id", exchange->message_id);
	json_close(&body, '}');
	return answer_body(exchange, MHD_HTTP_ACCEPTED, TYPE_JSON, &body);
}

static unsigned success_status(const struct route *route, const cJSON *result)
{
	if (!route->command || !route->status)
		return MHD_HTTP_OK;
	if (route->status_if && !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(result, route->status_if)))
		return MHD_HTTP_OK;
	return route->status;
}

static enum MHD_Result answer_reply(struct exchange *exchange)
{
	CLEANUP(text_release) struct text body = { 0 };
	struct error err;
	const cJSON *reply = json_parse(text_str(&exchange->reply), exchange->reply.len, &exchange->scratch, &err);
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(reply, "error");
	const cJSON *result = cJSON_GetObjectItemCaseSensitive(reply, "result");

	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply, "ok")) && result) {
		json_write(&body, result);
		return answer_body(exchange, success_status(exchange->match.route, result), TYPE_JSON, &body);
	}
	if (cJSON_IsObject(error)) {
		unsigned status = problem_write_reply(error, exchange_trace_id(exchange), &body);

		return answer_body(exchange, status, TYPE_PROBLEM, &body);
	}
	error_set(&err, CODE_INTERNAL, "the service's reply is no reply");
	return answer_error(exchange, &err);
}

enum MHD_Result forward_answer(struct exchange *exchange)
{
	struct error err;

	crash_point("gateway_before_answer");
	if (exchange->code != CODE_OK) {
		error_set(&err, exchange->code, "%s", exchange->message);
		return answer_error(exchange, &err);
	}
	return exchange->durable ? answer_accepted(exchange) : answer_reply(exchange);
}
