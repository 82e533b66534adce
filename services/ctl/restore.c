#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker.h"
#include "clock.h"
#include "ctl.h"
#include "json.h"
#include "naming.h"
#include "stores.h"
#include "uuid.h"
#include "verbs.h"

#define SERVICE "state-backup"
#define COMMAND_KEY SERVICE ".restore_page"
#define DIRECT_REPLIES "amq.rabbitmq.reply-to"
#define DATABASE_TIMEOUT_MS 60000
/* Pages under way: enough for every worker's threads. */
#define WINDOW 8
#define FAILURES_SHOWN 5

struct restore_options {
	bool all;
	int64_t page;
	int64_t timeout_ms;
};

static const struct field option_fields[] = {
	FIELD(struct restore_options, all, .help = "every character of the database; live caches stay as they are"),
	FIELD(struct restore_options, page, .preset = "500", .min = 1, .max = 1000,
		.help = "characters in one command"),
	FIELD(struct restore_options, timeout_ms, .as = "timeout", .unit = UNIT_MS, .preset = "60s", .min = 1,
		.max = 3600 * 1000, .help = "how long to wait for any page to be answered"),
};
const struct schema restore_options = SCHEMA(struct restore_options, option_fields, .name = "restore");

struct restoring {
	struct invocation *in;
	struct bus *bus;
	struct pg *pg;
	int64_t last_id; /* of the page sent last */
	bool all_sent;
	size_t under_way;
	int64_t restored, live, failed;
	struct text failures; /* JSON of all of them */
	struct text shown;    /* some of them, for people */
};

static int check_workers(struct restoring *r, int64_t deadline_ms, struct error *err)
{
	char queue[BROKER_NAME_MAX];
	struct bus_event event;

	if (bus_ask_queue(r->bus, name_queue(SERVICE, queue)) < 0)
		return error_down(err, STORE_BROKER, "RabbitMQ at %s: connection lost", bus_host(r->bus));
	do {
		if (broker_next(r->bus, &event, deadline_ms, err))
			return -1;
		if (event.kind == BUS_NO_QUEUE)
			return error_set(err, CODE_UNAVAILABLE,
				"there is no queue %s: is the topology applied? (garrisonctl topology apply)", queue);
	} while (event.kind != BUS_QUEUE_INFO);
	if (event.consumers == 0)
		return error_set(
			err, CODE_UNAVAILABLE, "no worker of " SERVICE " is running: nobody consumes %s", queue);
	return 0;
}

/* The next page's ids as a command's body; "" when there are no more. */
static int read_page(struct restoring *r, int64_t size, struct text *body, struct error *err)
{
	static const struct pg_statement next_ids = { "restore_page_ids",
		"SELECT id FROM characters WHERE id > $1 ORDER BY id LIMIT $2" };
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };

	pg_add_int8(&params, r->last_id);
	pg_add_int8(&params, size);
	pg_set_deadline(r->pg, clock_ms() + DATABASE_TIMEOUT_MS);
	if (pg_query(r->pg, &next_ids, &params, &rows, err))
		return -1;
	r->all_sent = rows.n < size;
	if (!rows.n)
		return 0;
	json_open(body, '{');
	json_key(body, "char_ids");
	json_open(body, '[');
	for (int row = 0; row < rows.n; row++)
		json_int(body, pg_int(&rows, row, 0));
	json_close(body, ']');
	json_close(body, '}');
	r->last_id = pg_int(&rows, rows.n - 1, 0);
	return 0;
}

static int send_page(struct restoring *r, int64_t size, struct error *err)
{
	CLEANUP(text_release) struct text body = { 0 };
	const struct uuid id = uuid_random();
	char id_text[UUID_TEXT_MAX];

	if (read_page(r, size, &body, err))
		return -1;
	if (!body.len)
		return 0;
	const struct bus_publication publication = {
		.exchange = EXCHANGE_COMMANDS,
		.routing_key = COMMAND_KEY,
		.type = name_command_of(COMMAND_KEY),
		.message_id = uuid_format(&id, id_text),
		.correlation_id = id_text,
		.reply_to = DIRECT_REPLIES,
		.body = body.bytes,
		.body_len = body.len,
		.persistent = true,
		.mandatory = true,
	};

	r->under_way++;
	return bus_publish(r->bus, BUS_MAIN, &publication, NULL, err);
}

static int64_t number_of(const cJSON *object, const char *member)
{
	const cJSON *number = cJSON_GetObjectItemCaseSensitive(object, member);

	return cJSON_IsNumber(number) ? (int64_t)number->valuedouble : 0;
}

static void add_failure(struct restoring *r, const cJSON *failure)
{
	const cJSON *problem = cJSON_GetObjectItemCaseSensitive(failure, "problem");

	json_write(&r->failures, failure);
	text_char(&r->failures, ',');
	if (r->failed++ < FAILURES_SHOWN)
		text_printf(&r->shown, "%s%" PRId64 ": %s", r->shown.len ? "; " : "", number_of(failure, "char_id"),
			cJSON_IsString(problem) ? problem->valuestring : "no reason given");
}

static int take_reply(struct restoring *r, const struct bus_delivery *delivery, struct error *err)
{
	CLEANUP(scratch_release) struct scratch scratch;

	scratch_init(&scratch, (size_t)64 << 20);
	const cJSON *reply = json_parse(delivery->body, delivery->body_len, &scratch, err);
	const cJSON *result = cJSON_GetObjectItemCaseSensitive(reply, "result");
	const cJSON *failure, *message;

	if (!reply)
		return -1;
	r->under_way--;
	if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply, "ok"))) {
		message = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(reply, "error"), "message");
		return error_set(err, CODE_CONFLICT, "a page was not restored: %s",
			cJSON_IsString(message) ? message->valuestring : "no reason given");
	}
	r->restored += number_of(result, "restored");
	r->live += number_of(result, "live");
	cJSON_ArrayForEach(failure, cJSON_GetObjectItemCaseSensitive(result, "failed")) add_failure(r, failure);
	return 0;
}

static int take_event(struct restoring *r, const struct bus_event *event, struct error *err)
{
	switch (event->kind) {
	case BUS_DELIVERY:
		return take_reply(r, &event->delivery, err);
	case BUS_REJECTED:
		return error_set(
			err, CODE_UNAVAILABLE, "the broker refused a command: game." SERVICE " is full or down");
	case BUS_RETURNED:
		return error_set(err, CODE_NOT_FOUND,
			"no queue takes " COMMAND_KEY ": is the topology applied? (garrisonctl topology check)");
	default:
		return 0;
	}
}

static int restore_all(struct restoring *r, const struct restore_options *options, struct error *err)
{
	struct bus_event event;

	if (check_workers(r, clock_ms() + options->timeout_ms, err) ||
		bus_consume(r->bus, BUS_MAIN, DIRECT_REPLIES, "reply", 1, true, err))
		return -1;
	while (!r->all_sent || r->under_way) {
		if (!r->all_sent && r->under_way < WINDOW) {
			if (send_page(r, options->page, err))
				return -1;
			continue;
		}
		if (broker_next(r->bus, &event, clock_ms() + options->timeout_ms, err)) {
			if (err->code != CODE_TIMEOUT)
				return -1;
			return error_set(err, CODE_TIMEOUT,
				"%zu pages have not been answered in time (--timeout); they are still queued",
				r->under_way);
		}
		if (take_event(r, &event, err))
			return -1;
	}
	return 0;
}

static void tell(struct restoring *r)
{
	if (r->failures.len)
		r->failures.bytes[--r->failures.len] = '\0'; /* the comma behind the last */
	if (r->in->json)
		printf("{\"restored\":%" PRId64 ",\"live\":%" PRId64 ",\"failed\":[%s]}\n", r->restored, r->live,
			text_str(&r->failures));
	else
		printf("restored %" PRId64 ", live already %" PRId64 ", failed %" PRId64 "\n", r->restored, r->live,
			r->failed);
}

int restore_run(struct invocation *in, struct error *err)
{
	const struct restore_options *options = in->options;

	if (!options->all) {
		error_set(err, CODE_INVALID_PAYLOAD,
			"say --all; for one character: garrisonctl call " SERVICE
			".restore_full_state '{\"char_id\": …}'");
		return CTL_USAGE;
	}
	CLEANUP(pg_drop) struct pg *pg = stores_database(DATABASE_TIMEOUT_MS);

	if (stores_wait_for_tables(pg, DATABASE_TIMEOUT_MS, err))
		return ctl_failed(err);
	CLEANUP(bus_drop) struct bus *bus = broker_connect(true, err);

	if (!bus)
		return ctl_failed(err);
	struct restoring restoring = { .in = in, .bus = bus, .pg = pg, .last_id = 0 };
	int failed = restore_all(&restoring, options, err);

	tell(&restoring);
	if (!failed && restoring.failed) {
		error_set(err, CODE_CONFLICT, "%" PRId64 " characters were not restored: %s", restoring.failed,
			text_str(&restoring.shown));
		failed = -1;
	}
	text_release(&restoring.failures);
	text_release(&restoring.shown);
	return failed ? ctl_failed(err) : CTL_DONE;
}
