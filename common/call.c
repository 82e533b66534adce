#include "call.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "dispatch.h"
#include "naming.h"
#include "publisher.h"
#include "service.h"
#include "utf8.h"

#define SCRATCH_BASE ((size_t)16 << 20)
#define SCRATCH_PER_BYTE 16

/* ---- beginning and end ---- */

static void set_deadline(struct call *call)
{
	const struct message *message = call->message;

	call->deadline_ms = clock_ms() + command_timeout_ms(call->command);
	if (message->lane == LANE_RPC && message->deadline_real_ms) {
		int64_t left_ms = message->deadline_real_ms - clock_real_us() / 1000;

		if (clock_ms() + left_ms < call->deadline_ms)
			call->deadline_ms = clock_ms() + left_ms;
	}
}

/* One that is too long to keep, or no text, is told from all others by its digest as well. An empty one says nothing. */
static void take_message_id(struct call *call, const char *given)
{
	unsigned char digest[24];
	struct uuid made;

	call->idempotency_key = given && *given;
	if (!call->idempotency_key) {
		made = uuid_random();
		uuid_format(&made, call->message_id);
	} else if (strlen(given) < sizeof(call->message_id) && utf8_valid(given, strlen(given))) {
		snprintf(call->message_id, sizeof(call->message_id), "%s", given);
	} else {
		crypto_generichash(digest, sizeof(digest), (const unsigned char *)given, strlen(given), NULL, 0);
		sodium_bin2hex(call->message_id, sizeof(call->message_id), digest, sizeof(digest));
	}
}

void call_init(
	struct call *call, const struct service *service, const struct message *message, struct pg *pg, struct kv *kv)
{
	*call = (struct call){
		.service = service, .message = message, .begun_us = clock_real_us(), .pg = pg, .kv = kv
	};
	scratch_init(&call->scratch, SCRATCH_BASE + message->body_len * SCRATCH_PER_BYTE);
	if (message->routing_key)
		call->command = command_find(
			service, message->type ? message->type : name_command_of(message->routing_key));
	take_message_id(call, message->message_id);
	trace_continue(message->traceparent, call->traceparent);
	set_deadline(call);
}

static void drop_outbox(struct call *call)
{
	while (call->outbox) {
		struct outgoing *out = call->outbox;

		call->outbox = out->next;
		outgoing_free(out);
	}
}

void call_release(struct call *call)
{
	drop_outbox(call);
	text_release(&call->reply.result);
	scratch_release(&call->scratch);
}

/* ---- the outbox ---- */

static void add_to_outbox(struct call *call, const char *exchange, const char *routing_key, const char *message_id,
	enum promise promise, const struct text *body)
{
	const char *type = name_command_of(routing_key);
	size_t text_size = strlen(routing_key) + 1 + strlen(message_id) + 1 + TRACEPARENT_LEN + 1 + body->len + 1;
	struct outgoing *out = outgoing_new(text_size, 1);

	out->promise = promise;
	out->mandatory = true;
	out->exchange = exchange;
	out->routing_key = outgoing_text(out, routing_key);
	out->type = out->routing_key + (type - routing_key);
	out->message_id = outgoing_text(out, message_id);
	outgoing_header(out, "traceparent", call->traceparent, 0);
	out->body = outgoing_bytes(out, body->bytes, body->len);
	out->body_len = body->len;
	if (call->outbox)
		call->outbox_last->next = out;
	else
		call->outbox = out;
	call->outbox_last = out;
}

static bool is_described(const struct service *service, const char *event)
{
	for (size_t i = 0; i < service->n_events; i++)
		if (strcmp(service->events[i].name, event) == 0)
			return true;
	return false;
}

void publish_event_json(struct call *call, const char *event, const char *message_id, const struct text *body)
{
	char routing_key[BROKER_NAME_MAX];

	if (!is_described(call->service, event))
		BUG("the event %s is not in the table of %s", event, call->service->name);
	add_to_outbox(call, EXCHANGE_EVENTS, name_routing_key(call->service->name, event, routing_key), message_id,
		PROMISE_HEARD, body);
}

void publish_event(
	struct call *call, const char *event, const char *message_id, const struct schema *schema, const void *body)
{
	CLEANUP(text_release) struct text text = { 0 };

	schema_write(schema, body, &text);
	publish_event_json(call, event, message_id, &text);
}

void publish_command(struct call *call, const char *routing_key, const char *message_id, const struct text *body)
{
	add_to_outbox(call, EXCHANGE_COMMANDS, routing_key, message_id, PROMISE_CONFIRM, body);
}

/* Shared by the waiting thread and the publisher's: whoever leaves last frees it. */
struct flush {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	size_t pending, refused;
	int holders;
};

static void leave_flush(struct flush *flush)
{
	bool last = --flush->holders == 0;

	pthread_mutex_unlock(&flush->mutex);
	if (!last)
		return;
	pthread_cond_destroy(&flush->changed);
	pthread_mutex_destroy(&flush->mutex);
	free(flush);
}

static void flushed_one(void *arg, bool confirmed)
{
	struct flush *flush = arg;

	pthread_mutex_lock(&flush->mutex);
	flush->pending--;
	flush->refused += !confirmed;
	pthread_cond_signal(&flush->changed);
	leave_flush(flush);
}

static struct flush *send_outbox(struct call *call)
{
	struct flush *flush = must_zalloc(sizeof(*flush));
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&flush->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&flush->mutex, NULL);
	flush->holders = 1;
	pthread_mutex_lock(&flush->mutex);
	while (call->outbox) {
		struct outgoing *out = call->outbox;

		call->outbox = out->next;
		out->done = flushed_one;
		out->arg = flush;
		flush->pending++;
		flush->holders++;
		publisher_send(service_publisher(), out);
	}
	return flush;
}

int publish_flush(struct call *call, struct error *err)
{
	struct flush *flush;
	struct timespec until = { .tv_sec = call->deadline_ms / 1000, .tv_nsec = (call->deadline_ms % 1000) * 1000000 };
	size_t pending, refused;

	if (!call->outbox)
		return 0;
	flush = send_outbox(call);
	while (flush->pending && pthread_cond_timedwait(&flush->changed, &flush->mutex, &until) == 0)
		continue;
	pending = flush->pending;
	refused = flush->refused;
	leave_flush(flush);
	if (pending)
		return error_set(err, CODE_TIMEOUT, "%zu publications were not confirmed in time", pending);
	if (refused)
		return error_down(err, STORE_BROKER, "%zu publications were not confirmed before the end", refused);
	return 0;
}

/* ---- asking another service ---- */

static int read_reply(struct call *call, const char *routing_key, const char *reply, size_t len,
	struct json_text *result, struct error *err)
{
	const cJSON *json = json_parse(reply, len, &call->scratch, err);
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(json, "error");
	CLEANUP(text_release) struct text text = { 0 };
	const char *code, *message;

	if (!json)
		return error_set(err, CODE_INTERNAL, "%s: the reply is not JSON", routing_key);
	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "ok"))) {
		json_write(&text, cJSON_GetObjectItemCaseSensitive(json, "result"));
		*result = (struct json_text){ .text = scratch_memdup(&call->scratch, text.bytes, text.len),
			.len = text.len };
		return 0;
	}
	code = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(error, "code"));
	message = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(error, "message"));
	return error_set(
		err, code ? code_by_name(code) : CODE_INTERNAL, "%s: %s", routing_key, message ? message : "refused");
}

int call_service(struct call *call, const char *routing_key, const struct text *body, int timeout_ms,
	struct json_text *result, struct error *err)
{
	int left_ms = clock_left_ms(call->deadline_ms);
	const struct rpc_request request = {
		.routing_key = routing_key,
		.body = body->bytes,
		.body_len = body->len,
		.traceparent = call->traceparent,
		.timeout_ms = timeout_ms < left_ms ? timeout_ms : left_ms,
	};
	char *reply CLEANUP(release_memory) = NULL;
	size_t len;

	if (left_ms == 0)
		return error_set(err, CODE_TIMEOUT, "%s: no time left to ask", routing_key);
	if (publisher_request_wait(service_publisher(), &request, &reply, &len, err))
		return -1;
	return read_reply(call, routing_key, reply, len, result, err);
}
