#include "job.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "crash.h"
#include "dispatch.h"
#include "naming.h"
#include "publisher.h"
#include "utf8.h"

#define COPY_HEADERS 10 /* g-* and traceparent, at most */
#define ERROR_MAX 300
/* Of the sender's headers a copy keeps so many bytes: all of a copy's must fit a frame, and ours come on top. */
#define KEPT_HEADERS_MAX ((size_t)64 << 10)
#define CLIENT_MAX 255
#define LATE_MIN_US 10000
/* RabbitMQ takes no longer expiration. */
#define EXPIRATION_MAX_MS ((int64_t)1 << 32)

const char *worker_name = "";

/* ---- taking a delivery over ---- */

struct builder {
	char *at;
};

static size_t text_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

static const char *keep(struct builder *builder, const char *text)
{
	char *copy = builder->at;

	if (!text)
		return NULL;
	builder->at = stpcpy(copy, text) + 1;
	return copy;
}

/*
 * Of the sender's headers a copy keeps what is neither ours nor the broker's. A copy that kept x-death would be taken for a cycle
 * and stick; one that kept CC or BCC would be delivered twice.
 */
static bool sender_header(const char *name)
{
	return strncmp(name, "g-", 2) != 0 && strncmp(name, "x-", 2) != 0 && strcasecmp(name, "CC") != 0 &&
	       strcasecmp(name, "BCC") != 0 && strcmp(name, "traceparent") != 0;
}

static const struct bus_header *find_header(const struct bus_delivery *delivery, const char *name)
{
	for (size_t i = 0; i < delivery->n_headers; i++)
		if (strcmp(delivery->headers[i].name, name) == 0)
			return &delivery->headers[i];
	return NULL;
}

static const char *header_text(const struct bus_delivery *delivery, const char *name)
{
	const struct bus_header *header = find_header(delivery, name);

	return header ? header->text : NULL;
}

static int64_t header_number(const struct bus_delivery *delivery, const char *name, int64_t absent)
{
	const struct bus_header *header = find_header(delivery, name);

	if (!header)
		return absent;
	/* Clients without integers in headers send digits. */
	return header->text ? strtoll(header->text, NULL, 10) : header->number;
}

/* An address; what is longer is none. */
static const char *client_of(const struct bus_delivery *delivery)
{
	const char *client = header_text(delivery, "g-client");

	return client && strlen(client) <= CLIENT_MAX ? client : NULL;
}

static size_t job_size(const struct bus_delivery *delivery)
{
	size_t size = sizeof(struct job) + delivery->body_len + 1 + text_size(delivery->routing_key) + 1 +
		      text_size(delivery->type) + text_size(delivery->message_id) +
		      text_size(delivery->correlation_id) + text_size(delivery->reply_to);

	for (size_t i = 0; i < delivery->n_headers; i++)
		size += sizeof(struct bus_header) + text_size(delivery->headers[i].name) +
			text_size(delivery->headers[i].text);
	return size;
}

static void read_counters(struct message *message, const struct bus_delivery *delivery)
{
	const char *first_at = header_text(delivery, "g-first-at");
	int64_t attempt = header_number(delivery, "g-attempt", 1), expiration_ms;

	message->attempt = attempt < 1 ? 1 : attempt > INT32_MAX ? INT32_MAX : (int)attempt;
	message->delivery_count = header_number(delivery, "x-delivery-count", 0);
	message->deadline_real_ms = header_number(delivery, "g-deadline", 0);
	expiration_ms = delivery->expiration ? strtoll(delivery->expiration, NULL, 10) : 0;
	if (expiration_ms > 0 && expiration_ms < EXPIRATION_MAX_MS)
		message->expiration_ms = expiration_ms;
	if (first_at)
		clock_parse(first_at, &message->first_at_us);
}

static void keep_headers(struct job *job, const struct bus_delivery *delivery, struct builder *builder)
{
	size_t kept = 0;

	for (size_t i = 0; i < delivery->n_headers; i++) {
		const struct bus_header *header = &delivery->headers[i];
		size_t size = text_size(header->name) + text_size(header->text);

		if (!sender_header(header->name) || kept + size > KEPT_HEADERS_MAX)
			continue;
		kept += size;
		job->headers[job->n_headers++] = (struct bus_header){
			.name = keep(builder, header->name),
			.text = keep(builder, header->text),
			.number = header->number,
		};
	}
}

struct job *job_new(const struct bus_delivery *delivery, enum lane lane, uint64_t epoch)
{
	size_t size = job_size(delivery);
	struct job *job = must_zalloc(size);
	struct builder builder;
	struct message *message = &job->message;
	char *body;

	job->size = size;
	job->epoch = epoch;
	job->tag = delivery->tag;
	job->headers = (struct bus_header *)(job + 1);
	builder.at = (char *)(job->headers + delivery->n_headers);
	keep_headers(job, delivery, &builder);
	message->lane = lane;
	message->routing_key = keep(&builder, delivery->routing_key ? delivery->routing_key : "");
	message->type = keep(&builder, delivery->type);
	message->message_id = keep(&builder, delivery->message_id);
	message->correlation_id = keep(&builder, delivery->correlation_id);
	message->reply_to = keep(&builder, delivery->reply_to);
	message->traceparent = keep(&builder, header_text(delivery, "traceparent"));
	message->client = keep(&builder, client_of(delivery));
	message->redelivered = delivery->redelivered;
	message->received_us = clock_us();
	read_counters(message, delivery);
	body = memcpy(builder.at, delivery->body, delivery->body_len + 1);
	message->body = body;
	message->body_len = delivery->body_len;
	return job;
}

void job_free(struct job *job)
{
	free(job);
}

bool job_expired(const struct job *job)
{
	const struct message *message = &job->message;

	if (message->lane != LANE_RPC)
		return false;
	if (message->deadline_real_ms && clock_real_us() / 1000 >= message->deadline_real_ms)
		return true;
	/* The broker no longer looks at an expiration once a message is in the prefetch. */
	return message->expiration_ms && clock_us() - message->received_us >= message->expiration_ms * 1000;
}

bool job_is_late(const struct job *job)
{
	const struct message *message = &job->message;
	int64_t waited_us = clock_us() - message->received_us, left_us = INT64_MAX;

	if (message->lane != LANE_RPC || waited_us < LATE_MIN_US)
		return false;
	if (message->expiration_ms)
		left_us = message->expiration_ms * 1000 - waited_us;
	if (message->deadline_real_ms && message->deadline_real_ms - clock_real_us() / 1000 < left_us / 1000)
		left_us = message->deadline_real_ms * 1000 - clock_real_us();
	return left_us < waited_us / 3;
}

/* ---- publications ---- */

struct ending {
	struct job *job;
	const struct job_sink *sink;
};

void job_finish(struct job *job, enum verdict verdict, const struct job_sink *sink)
{
	job->verdict = verdict;
	sink->finished(sink->arg, job);
}

static void confirmed_one(void *arg, bool confirmed)
{
	struct ending *ending = arg;
	struct job *job = ending->job;

	if (!confirmed)
		atomic_store(&job->refused, true);
	if (atomic_fetch_sub(&job->pending, 1) > 1)
		return;
	crash_point("publications_confirmed");
	job_finish(job, atomic_load(&job->refused) ? VERDICT_NONE : VERDICT_ACK, ending->sink);
	free(ending);
}

static void send_reply(const struct job *job, const struct call *call)
{
	const struct message *message = &job->message;
	CLEANUP(text_release) struct text body = { 0 };
	struct outgoing *out;
	size_t size;

	if (!message->reply_to || !name_takes_replies(message->reply_to))
		return;
	reply_write(call, &body);
	size = text_size(message->reply_to) + text_size(message->correlation_id) + TRACEPARENT_LEN + 1 + body.len + 1;
	out = outgoing_new(size, 1);
	out->promise = PROMISE_NONE;
	out->exchange = "";
	out->routing_key = outgoing_text(out, message->reply_to);
	out->correlation_id = outgoing_text(out, message->correlation_id);
	outgoing_header(out, "traceparent", call->traceparent, 0);
	out->body = outgoing_bytes(out, body.bytes, body.len);
	out->body_len = body.len;
	publisher_send(service_publisher(), out);
}

/* A service that knows secrets keeps none on its dead queue, not even in a command it does not know. */
static bool body_may_hold_secret(const struct call *call)
{
	const struct service *service = call->service;

	if (call->command)
		return schema_has_secret(call->command->request);
	for (size_t i = 0; i < service->n_commands; i++)
		if (schema_has_secret(service->commands[i].request))
			return true;
	return false;
}

static void blank_body(const struct job *job, const struct call *call, struct text *body)
{
	struct scratch tree;
	const cJSON *json;

	scratch_init(&tree, job->message.body_len * 64 + (1 << 20));
	json = json_parse(job->message.body, job->message.body_len, &tree, NULL);
	if (json && call->command)
		schema_write_blanked(call->command->request, json, body);
	else
		json_null(body);
	scratch_release(&tree);
}

static struct outgoing *make_copy(const struct job *job, const struct call *call, const struct text *body)
{
	const struct message *message = &job->message;
	char now[CLOCK_TEXT_MAX], first[CLOCK_TEXT_MAX], error[ERROR_MAX];
	const char *type = message->type ? message->type : name_command_of(message->routing_key);
	const char *reason = call->reply.message ? call->reply.message : "";
	struct outgoing *out;
	size_t size = 2 * text_size(message->routing_key) + text_size(message->message_id) +
		      text_size(message->correlation_id) + text_size(message->reply_to) + text_size(type) +
		      text_size(worker_name) + text_size(message->client) + BROKER_NAME_MAX + sizeof(now) +
		      sizeof(first) + sizeof(error) + TRACEPARENT_LEN + 64 + body->len + 1;

	for (size_t i = 0; i < job->n_headers; i++)
		size += text_size(job->headers[i].text);
	clock_format(clock_real_us(), now);
	clock_format(message->first_at_us ? message->first_at_us : call->begun_us, first);
	snprintf(error, sizeof(error), "%.*s", (int)utf8_cut(reason, sizeof(error) - 1), reason);
	out = outgoing_new(size, job->n_headers + COPY_HEADERS);
	out->promise = PROMISE_CONFIRM;
	out->mandatory = true;
	out->type = outgoing_text(out, type);
	out->message_id = outgoing_text(out, message->message_id);
	out->correlation_id = outgoing_text(out, message->correlation_id);
	out->reply_to = outgoing_text(out, message->reply_to);
	outgoing_header(out, "g-routing-key", message->routing_key, 0);
	outgoing_header(out, "g-attempt", NULL, message->attempt);
	outgoing_header(out, "g-stage", stage_name(call->stage), 0);
	outgoing_header(out, "g-code", code_name(call->reply.code), 0);
	outgoing_header(out, "g-error", error, 0);
	outgoing_header(out, "g-first-at", first, 0);
	outgoing_header(out, "g-last-at", now, 0);
	outgoing_header(out, "g-worker", worker_name, 0);
	outgoing_header(out, "traceparent", call->traceparent, 0);
	if (message->client)
		outgoing_header(out, "g-client", message->client, 0);
	for (size_t i = 0; i < job->n_headers; i++) {
		/* A header's name lives as long as the job, which waits for the copy's confirm. */
		outgoing_header(out, job->headers[i].name, job->headers[i].text, job->headers[i].number);
	}
	out->body = outgoing_bytes(out, body->bytes, body->len);
	out->body_len = body->len;
	return out;
}

static struct outgoing *dead_copy(const struct job *job, const struct call *call)
{
	CLEANUP(text_release) struct text body = { 0 };
	char routing_key[BROKER_NAME_MAX];
	struct outgoing *out;

	if (body_may_hold_secret(call))
		blank_body(job, call, &body);
	else
		text_add(&body, job->message.body, job->message.body_len);
	out = make_copy(job, call, &body);
	out->exchange = EXCHANGE_DEAD;
	name_routing_key(call->service->name, call->command ? call->command->name : "unknown", routing_key);
	out->routing_key = outgoing_text(out, routing_key);
	return out;
}

static struct outgoing *retried_copy(const struct job *job, const struct call *call)
{
	CLEANUP(text_release) struct text body = { 0 };
	char exchange[BROKER_NAME_MAX];
	struct outgoing *out;

	text_add(&body, job->message.body, job->message.body_len);
	out = make_copy(job, call, &body);
	out->headers[1].number = job->message.attempt + 1;
	name_rung_exchange(retry_delay_ms(job->message.attempt), exchange);
	out->exchange = outgoing_text(out, exchange);
	out->routing_key = outgoing_text(out, job->message.routing_key);
	return out;
}

/* ---- outcomes ---- */

static void publish_then_ack(struct job *job, struct outgoing *list, const struct job_sink *sink)
{
	struct ending *ending;
	int n = 0;

	if (!list) {
		crash_point("done_without_publications");
		job_finish(job, VERDICT_ACK, sink);
		return;
	}
	crash_point("before_publications");
	for (struct outgoing *out = list; out; out = out->next)
		n++;
	ending = must_alloc(sizeof(*ending));
	*ending = (struct ending){ .job = job, .sink = sink };
	atomic_store(&job->pending, n);
	while (list) {
		struct outgoing *out = list;

		list = out->next;
		out->done = confirmed_one;
		out->arg = ending;
		publisher_send(service_publisher(), out);
	}
}

static void settle_durable(struct job *job, struct call *call, const struct job_sink *sink)
{
	struct outgoing *list = NULL;

	if (call->outcome == RETRY && call->down) {
		/* Everybody's messages fail alike while a store is away: no attempt is spent, nothing is copied. */
		job_finish(job, VERDICT_REQUEUE, sink);
		return;
	}
	if (call->outcome == DONE)
		list = TAKE(call->outbox);
	else if (call->outcome == RETRY && job->message.attempt < command_max_attempts(call->command))
		list = retried_copy(job, call);
	else
		list = dead_copy(job, call);
	if (call->outcome != RETRY || job->message.attempt >= command_max_attempts(call->command))
		send_reply(job, call);
	publish_then_ack(job, list, sink);
}

/* A lost connection accuses its store; a deadline that passed, any: a frozen store is silent and nothing more. */
static unsigned suspects_of(const struct call *call)
{
	if (call->outcome != RETRY)
		return 0;
	if (call->down)
		return 1u << call->down;
	return call->reply.code == CODE_TIMEOUT ? 1u << STORE_POSTGRES | 1u << STORE_REDIS : 0;
}

void job_settle(struct job *job, struct call *call, const struct job_sink *sink)
{
	dispatch_account(call, clock_us() - job->message.received_us);
	job->suspects = suspects_of(call);
	if (job->message.lane == LANE_DURABLE) {
		settle_durable(job, call, sink);
		return;
	}
	send_reply(job, call);
	publish_then_ack(job, call->outcome == DONE ? TAKE(call->outbox) : NULL, sink);
}

void job_turn_away(struct job *job, const char *why, const struct job_sink *sink)
{
	struct call call = {
		.message = &job->message,
		.outcome = RETRY,
		.reply = { .code = CODE_UNAVAILABLE, .message = why },
	};

	if (job->message.traceparent)
		snprintf(call.traceparent, sizeof(call.traceparent), "%s", job->message.traceparent);
	send_reply(job, &call);
	job_finish(job, VERDICT_ACK, sink);
}
