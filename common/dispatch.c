#include "dispatch.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "naming.h"
#include "utf8.h"

#define BODY_MAX ((size_t)1 << 20)
/* What a message may take in memory besides its own size: the structs of the largest schema, and what handlers build. */
#define SCRATCH_PER_CALL ((size_t)4 << 20)
#define SCRATCH_PER_BYTE 8
#define TREE_PER_BYTE 64
#define NAME_SHOWN_MAX 100
#define N_LANES 2

struct command_stats {
	_Atomic int64_t outcomes[N_LANES][CODE_COUNT];
	_Atomic int64_t redelivered;
	_Atomic int64_t retried;
	_Atomic int64_t dead;
	struct histogram durations;
};

static const struct service *service_counted;
static struct command_stats *stats; /* one a command, and a last one for unknown names */

/* ---- rows ---- */

const struct command *command_find(const struct service *service, const char *name)
{
	for (size_t i = 0; i < service->n_commands; i++)
		if (strcmp(service->commands[i].name, name) == 0)
			return &service->commands[i];
	return NULL;
}

int64_t command_timeout_ms(const struct command *command)
{
	return command && command->timeout_ms ? command->timeout_ms : common_settings.command_processing_timeout_ms;
}

int command_max_attempts(const struct command *command)
{
	return command && command->max_attempts ? command->max_attempts : (int)common_settings.max_attempts;
}

size_t command_body_max(const struct command *command)
{
	return command && command->body_max ? command->body_max : BODY_MAX;
}

enum lane command_lanes(const struct command *command)
{
	return command && command->lanes ? command->lanes : LANE_BOTH;
}

const char *stage_name(enum stage stage)
{
	static const char *const names[] = {
		[STAGE_PARSE] = "parse",
		[STAGE_UNKNOWN] = "unknown",
		[STAGE_VALIDATE] = "validate",
		[STAGE_HANDLE] = "handle",
		[STAGE_TIMEOUT] = "timeout",
		[STAGE_CRASH] = "crash",
	};

	return names[stage];
}

/* ---- before the handler ---- */

static bool refuse_at(struct call *call, enum stage stage, enum code code, const char *text)
{
	refuse(call, code, "%s", text);
	call->stage = stage;
	return false;
}

/* A body that is no JSON, or JSON that no field could hold. */
static bool refuse_json(struct call *call, const struct error *err)
{
	const char *path;

	if (err->path_len) {
		path = scratch_printf(&call->scratch, "%.*s", err->path_len, err->text);
		refuse_field(call, path, "%s", err->text + err->path_len + 2);
	}
	return refuse_at(call, err->code == CODE_INVALID_JSON ? STAGE_PARSE : STAGE_VALIDATE, err->code, err->text);
}

static bool read_args(struct call *call, const cJSON *json)
{
	const struct schema *schema = call->command->request;
	struct problems problems = { 0 };
	void *args = scratch_alloc(&call->scratch, schema->size);

	if (!cJSON_IsObject(json))
		return refuse_at(call, STAGE_VALIDATE, CODE_INVALID_PAYLOAD, "the body must be a JSON object");
	if (schema_read(schema, json, args, &call->scratch, &problems)) {
		for (size_t i = 0; i < problems.n && i < PROBLEMS_MAX; i++)
			refuse_field(call, problems.items[i].field, "%s", problems.items[i].problem);
		return false;
	}
	call->args = args;
	if (call->command->digest)
		json_digest(json, call->digest);
	return true;
}

static bool check_lane(struct call *call)
{
	if (command_lanes(call->command) & call->message->lane)
		return true;
	return refuse_at(call, STAGE_VALIDATE, CODE_FORBIDDEN,
		call->message->lane == LANE_DURABLE ? "use " EXCHANGE_RPC : "use " EXCHANGE_COMMANDS);
}

static bool refuse_unknown(struct call *call)
{
	const struct message *message = call->message;
	const char *name = message->type ? message->type : name_command_of(message->routing_key);

	return refuse_at(call, STAGE_UNKNOWN, CODE_UNKNOWN_COMMAND,
		scratch_printf(&call->scratch, "%s has no command \"%.*s\"", call->service->name,
			(int)utf8_cut(name, NAME_SHOWN_MAX), name));
}

bool dispatch_prepare(struct call *call, struct scratch *tree)
{
	const struct message *message = call->message;
	struct error err;
	const cJSON *json;

	if (!call->command)
		return refuse_unknown(call);
	if (!check_lane(call))
		return false;
	if (message->body_len > command_body_max(call->command))
		return refuse_at(call, STAGE_VALIDATE, CODE_INVALID_PAYLOAD,
			scratch_printf(&call->scratch, "the body has %zu bytes, at most %zu are taken",
				message->body_len, command_body_max(call->command)));
	scratch_reset(tree);
	tree->cap = SCRATCH_PER_CALL + message->body_len * TREE_PER_BYTE;
	json = json_parse(message->body, message->body_len, tree, &err);
	if (!json)
		return refuse_json(call, &err);
	return read_args(call, json);
}

/* ---- the handler ---- */

static void run_batch(struct call **calls, size_t n, struct scratch *scratch)
{
	struct batch batch = {
		.calls = calls,
		.n = n,
		.pg = calls[0]->pg,
		.kv = calls[0]->kv,
		.scratch = scratch,
		.deadline_ms = calls[0]->deadline_ms,
	};

	for (size_t i = 0; i < n; i++) {
		calls[i]->outcome = RETRY;
		calls[i]->reply.code = CODE_INTERNAL;
		calls[i]->reply.message = "the handler left no outcome";
		if (calls[i]->deadline_ms > batch.deadline_ms)
			batch.deadline_ms = calls[i]->deadline_ms;
	}
	scratch_reset(scratch);
	if (batch.pg)
		pg_set_deadline(batch.pg, batch.deadline_ms);
	if (batch.kv)
		kv_set_deadline(batch.kv, batch.deadline_ms);
	calls[0]->command->handle_batch(&batch);
}

void dispatch_run(struct call **calls, size_t n, struct scratch *scratch)
{
	if (calls[0]->command->handle_batch) {
		run_batch(calls, n, scratch);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct call *call = calls[i];

		if (call->pg)
			pg_set_deadline(call->pg, call->deadline_ms);
		if (call->kv)
			kv_set_deadline(call->kv, call->deadline_ms);
		call->outcome = call->command->handle(call);
	}
}

void dispatch(struct call *call, struct scratch *tree)
{
	struct scratch scratch;

	if (!dispatch_prepare(call, tree))
		return;
	scratch_init(&scratch, tree->cap);
	dispatch_run(&call, 1, &scratch);
	scratch_release(&scratch);
}

/* ---- accounts ---- */

void dispatch_setup(const struct service *service)
{
	service_counted = service;
	stats = must_zalloc((service->n_commands + 1) * sizeof(*stats));
}

static struct command_stats *stats_of(const struct command *command)
{
	return &stats[command ? (size_t)(command - service_counted->commands) : service_counted->n_commands];
}

static const char *outcome_word(const struct call *call)
{
	if (call->outcome == DONE)
		return "done";
	return call->outcome == RETRY ? "retry" : "refused";
}

static void log_call(const struct call *call, int64_t us)
{
	const struct message *message = call->message;
	struct text *line = log_begin(call->outcome == DONE ? LOG_INFO : LOG_WARN, "message");

	if (!line)
		return;
	json_key_string(line, "command", call->command ? call->command->name : "unknown");
	json_key_string(line, "lane", message->lane == LANE_RPC ? "rpc" : "durable");
	json_key_string(line, "message_id", call->idempotency_key ? message->message_id : call->message_id);
	if (message->correlation_id)
		json_key_string(line, "correlation_id", message->correlation_id);
	json_key_string(line, "outcome", outcome_word(call));
	json_key_string(line, "code", code_name(call->reply.code));
	if (call->outcome != DONE)
		json_key_string(line, "error", call->reply.message);
	if (message->attempt > 1)
		json_key_int(line, "attempt", message->attempt);
	if (message->redelivered)
		json_key_bool(line, "redelivered", true);
	json_key(line, "ms");
	json_number(line, (double)us / 1000);
	json_key_string(line, "traceparent", call->traceparent);
	log_end();
}

void dispatch_account(const struct call *call, int64_t us)
{
	struct command_stats *counted = stats_of(call->command);
	bool retried = call->outcome == RETRY && call->message->lane == LANE_DURABLE && !call->down &&
		       call->message->attempt < command_max_attempts(call->command);

	atomic_fetch_add(&counted->outcomes[call->message->lane == LANE_RPC][call->reply.code], 1);
	histogram_add(&counted->durations, us);
	if (call->message->redelivered)
		atomic_fetch_add(&counted->redelivered, 1);
	if (retried)
		atomic_fetch_add(&counted->retried, 1);
	else if (call->outcome != DONE && call->message->lane == LANE_DURABLE && !call->down)
		atomic_fetch_add(&counted->dead, 1);
	log_call(call, us);
}

static const char *stats_name(size_t i)
{
	return i < service_counted->n_commands ? service_counted->commands[i].name : "unknown";
}

static void write_counter(struct text *out, const char *name, const char *help, size_t offset)
{
	metrics_head(out, name, help, "counter");
	for (size_t i = 0; i <= service_counted->n_commands; i++) {
		const char *counted = (const char *)&stats[i] + offset;

		text_printf(out, "garrison_%s{service=\"%s\",command=\"%s\"} %lld\n", name, service_counted->name,
			stats_name(i), (long long)*(const _Atomic int64_t *)counted);
	}
}

static void write_outcomes(struct text *out, size_t i)
{
	for (int lane = 0; lane < N_LANES; lane++)
		for (enum code code = CODE_OK; code < CODE_COUNT; code++) {
			int64_t n = atomic_load(&stats[i].outcomes[lane][code]);

			if (n || (code == CODE_OK && i < service_counted->n_commands))
				text_printf(out,
					"garrison_messages_total{service=\"%s\",command=\"%s\",lane=\"%s\",outcome=\"%"
					"s\"} "
					"%lld\n",
					service_counted->name, stats_name(i), lane ? "rpc" : "durable",
					code == CODE_OK ? "ok" : code_name(code), (long long)n);
		}
}

void dispatch_metrics(struct text *out)
{
	char labels[200];

	if (service_counted->n_commands == 0)
		return;
	metrics_head(out, "messages_total", "Messages handled, by command, lane and outcome", "counter");
	for (size_t i = 0; i <= service_counted->n_commands; i++)
		write_outcomes(out, i);
	write_counter(out, "redeliveries_total", "Messages the broker delivered more than once",
		offsetof(struct command_stats, redelivered));
	write_counter(out, "retries_total", "Messages sent up a retry rung", offsetof(struct command_stats, retried));
	write_counter(
		out, "dead_letters_total", "Messages sent to the dead queue", offsetof(struct command_stats, dead));
	metrics_head(out, "message_duration_seconds", "From taking a message in hand to its outcome", "histogram");
	for (size_t i = 0; i < service_counted->n_commands; i++) {
		snprintf(labels, sizeof(labels), "service=\"%s\",command=\"%s\"", service_counted->name, stats_name(i));
		metrics_histogram(out, "message_duration_seconds", labels, &stats[i].durations);
	}
}
