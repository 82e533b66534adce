#include "dead.h"

#include <stdio.h>
#include <string.h>

#include "broker.h"
#include "catalogue.h"
#include "clock.h"
#include "json.h"
#include "plain.h"
#include "topology/topology.h"

#define CLOSE_TIMEOUT_MS 10000
#define ANSWER_TIMEOUT_MS 30000
#define SETTLE_MS 50
#define QUIET_MS 300
/* What the broker may send ahead of us. A reader that keeps to a rate leaves it in the sockets' buffers. */
#define PREFETCH 4096
#define PREFETCH_AT_RATE 128
#define BODY_SCRATCH_MAX ((size_t)512 << 20)

const struct field dead_change_fields[DEAD_CHANGE_FIELDS] = {
	FIELD(struct dead_options, id, .min = 1, .max = 255, .help = "only the message with this message_id"),
	FIELD(struct dead_options, code, .min = 1, .max = 64, .help = "only messages that died of this code"),
	FIELD(struct dead_options, limit, .max = INT32_MAX, .preset = "0", .help = "at most so many; 0: all"),
	FIELD(struct dead_options, rate, .max = 1000000, .preset = "0",
		.help = "at most so many a second; 0: no limit"),
	FIELD(struct dead_options, dry_run, .as = "dry-run",
		.help = "tell which messages it would be, and change nothing"),
};

static const char *service_name(const void *context, size_t i)
{
	(void)context;
	return topology_services[i];
}

/* What an earlier reader held comes back a moment after it has gone: wait while the queue grows. */
static int count_messages(struct dead_scan *scan, struct error *err)
{
	int64_t deadline_ms = clock_ms() + QUIET_MS;
	uint32_t before;

	if (bus_check_queue(scan->bus, scan->queue, &scan->left, err))
		return -1;
	do {
		before = scan->left;
		clock_sleep_ms(SETTLE_MS);
		if (bus_check_queue(scan->bus, scan->queue, &scan->left, err))
			return -1;
	} while (scan->left > before && clock_ms() < deadline_ms);
	return 0;
}

int dead_open(struct dead_scan *scan, const struct invocation *in, struct error *err)
{
	const char *service = topology_find_service(in->args[0]);
	struct scratch scratch;

	*scan = (struct dead_scan){ .options = in->options };
	if (!service) {
		scratch_init(&scratch, BODY_SCRATCH_MAX);
		error_set(err, CODE_INVALID_PAYLOAD, "no such service \"%.64s\"%s", in->args[0],
			ctl_suggest(in->args[0], service_name, NULL, n_topology_services, &scratch));
		scratch_release(&scratch);
		return -1;
	}
	name_dead_queue(service, scan->queue);
	scan->secrets = catalogue_takes_secrets(service);
	scan->wanted = scan->options->limit ? scan->options->limit : -1;
	scan->bus = broker_connect(false, err);
	if (!scan->bus)
		return -1;
	if (count_messages(scan, err) == 0)
		return 0;
	if (err->code == CODE_NOT_FOUND)
		error_set(err, CODE_UNAVAILABLE,
			"there is no queue %s: is the topology applied? (garrisonctl topology apply)", scan->queue);
	dead_close(scan);
	return -1;
}

static const struct bus_header *find_header(const struct bus_delivery *delivery, const char *name)
{
	for (size_t i = 0; i < delivery->n_headers; i++)
		if (strcmp(delivery->headers[i].name, name) == 0)
			return &delivery->headers[i];
	return NULL;
}

static const char *header_text(const struct bus_delivery *delivery, const char *name, const char *otherwise)
{
	const struct bus_header *header = find_header(delivery, name);

	return header && header->text ? header->text : otherwise;
}

static void read_letter(const struct dead_scan *scan, struct dead_letter *letter)
{
	const struct bus_delivery *delivery = &letter->delivery;
	const struct bus_header *attempt = find_header(delivery, "g-attempt");

	letter->routing_key = header_text(
		delivery, "g-routing-key", delivery->routing_key ? delivery->routing_key : "");
	letter->command = name_command_of(letter->routing_key);
	/* What the broker itself put here (expired in the queue) has its reason in a header of the broker's. */
	letter->code = header_text(delivery, "g-code", header_text(delivery, "x-first-death-reason", "unknown"));
	letter->stage = header_text(delivery, "g-stage", NULL);
	letter->error = header_text(delivery, "g-error", NULL);
	letter->first_at = header_text(delivery, "g-first-at", NULL);
	letter->last_at = header_text(delivery, "g-last-at", NULL);
	letter->worker = header_text(delivery, "g-worker", NULL);
	letter->attempt = attempt && !attempt->text ? attempt->number : 0;
	letter->withheld = scan->secrets && !find_header(delivery, "g-code");
}

static bool is_wanted(const struct dead_options *options, const struct dead_letter *letter)
{
	if (options->code && strcmp(options->code, letter->code) != 0)
		return false;
	return !options->id || (letter->delivery.message_id && strcmp(options->id, letter->delivery.message_id) == 0);
}

/*
 * Letters that are not acked fill a consumer's prefetch. Another consumer makes more room: so that a queue of any length can be read
 * whole, while the broker never sends much ahead.
 */
static int make_room(struct dead_scan *scan, struct error *err)
{
	int prefetch = scan->options->rate ? PREFETCH_AT_RATE : PREFETCH;
	char tag[32];

	snprintf(tag, sizeof(tag), "dead-%d", ++scan->consumers);
	if (bus_consume(scan->bus, BUS_MAIN, scan->queue, tag, prefetch, false, err))
		return -1;
	scan->room += (uint32_t)prefetch;
	return 0;
}

/* 1: nothing is left, somebody else took it; 0: there is. */
static int is_drained(struct dead_scan *scan, struct bus_event *event, struct error *err)
{
	int64_t deadline_ms = clock_ms() + ANSWER_TIMEOUT_MS;

	if (bus_ask_queue(scan->bus, scan->queue) < 0)
		return error_down(err, STORE_BROKER, "RabbitMQ at %s: connection lost", bus_host(scan->bus));
	do {
		if (broker_next(scan->bus, event, deadline_ms, err))
			return -1;
	} while (event->kind != BUS_QUEUE_INFO && event->kind != BUS_DELIVERY);
	return event->kind == BUS_QUEUE_INFO && event->messages == 0;
}

/* The next delivery: 1, 0 at the end, -1 failed. */
static int next_delivery(struct dead_scan *scan, struct bus_delivery *delivery, struct error *err)
{
	struct bus_event event;
	int drained = 0;

	if (!scan->left)
		return 0;
	if (scan->held == scan->room && make_room(scan, err))
		return -1;
	do {
		if (broker_next(scan->bus, &event, clock_ms() + QUIET_MS, err)) {
			if (err->code != CODE_TIMEOUT)
				return -1;
			drained = is_drained(scan, &event, err);
		}
		if (drained)
			return drained < 0 ? -1 : 0;
		if (event.kind == BUS_CANCELLED)
			return error_down(err, STORE_BROKER, "the queue %s is gone", scan->queue);
	} while (event.kind != BUS_DELIVERY);
	*delivery = event.delivery;
	scan->left--;
	scan->held++;
	return 1;
}

int dead_next(struct dead_scan *scan, struct dead_letter *letter, struct error *err)
{
	int got;

	while (scan->wanted && (got = next_delivery(scan, &letter->delivery, err)) != 0) {
		if (got < 0)
			return -1;
		read_letter(scan, letter);
		if (is_wanted(scan->options, letter)) {
			scan->wanted -= scan->wanted > 0;
			return 1;
		}
	}
	return 0;
}

int dead_ack(struct dead_scan *scan, uint64_t tag, struct error *err)
{
	if (bus_ack(scan->bus, tag, false))
		return error_down(err, STORE_BROKER, "RabbitMQ at %s: connection lost", bus_host(scan->bus));
	scan->held--;
	scan->acked = true;
	return 0;
}

/*
 * The channel's process in the broker passes some acks of a quorum queue on and keeps the rest back until the queue has answered those;
 * what it still keeps when the channel closes is lost, and the letters come back. To begin a consumer waits for the queue itself: the
 * first time for the acks that were passed on, the second for what was kept back until then. Once more costs a millisecond.
 */
static void wait_for_acks(struct dead_scan *scan)
{
	struct error ignored;

	for (int i = 0; i < 3; i++)
		if (make_room(scan, &ignored))
			return;
}

/* The letters are ready again only a moment after the channel has gone: who looks when we have ended shall find them. */
static void wait_until_back(const struct dead_scan *scan)
{
	int64_t deadline_ms = clock_ms() + QUIET_MS;
	struct error ignored;
	struct bus *bus = broker_connect(false, &ignored);
	uint32_t ready;

	if (!bus)
		return;
	while (bus_check_queue(bus, scan->queue, &ready, &ignored) == 0 && ready < scan->held &&
		clock_ms() < deadline_ms)
		clock_sleep_ms(SETTLE_MS / 10);
	bus_close(bus, CLOSE_TIMEOUT_MS);
	bus_free(bus);
}

void dead_close(struct dead_scan *scan)
{
	if (scan->bus && bus_is_open(scan->bus)) {
		if (scan->acked)
			wait_for_acks(scan);
		bus_close(scan->bus, CLOSE_TIMEOUT_MS);
		if (scan->held)
			wait_until_back(scan);
	}
	bus_free(TAKE(scan->bus));
}

static void write_body(const struct bus_delivery *delivery, struct text *out)
{
	struct scratch scratch;
	struct error err;

	scratch_init(&scratch, BODY_SCRATCH_MAX);
	const cJSON *json = json_parse(delivery->body, delivery->body_len, &scratch, &err);

	json_key(out, json ? "body" : "body_text");
	if (json)
		json_write(out, json);
	else
		json_bytes(out, delivery->body, delivery->body_len);
	scratch_release(&scratch);
}

void dead_write(const struct dead_letter *letter, bool with_body, struct text *out)
{
	json_open(out, '{');
	json_key_string(out, "message_id", letter->delivery.message_id);
	json_key_string(out, "routing_key", letter->routing_key);
	json_key_string(out, "command", letter->command);
	json_key_string(out, "code", letter->code);
	json_key_string(out, "stage", letter->stage);
	json_key_string(out, "error", letter->error);
	json_key_int(out, "attempt", letter->attempt);
	json_key_string(out, "first_at", letter->first_at);
	json_key_string(out, "last_at", letter->last_at);
	json_key_string(out, "worker", letter->worker);
	json_key_int(out, "bytes", (int64_t)letter->delivery.body_len);
	if (with_body) {
		json_key_string(out, "type", letter->delivery.type);
		json_key_string(out, "correlation_id", letter->delivery.correlation_id);
		json_key_string(out, "reply_to", letter->delivery.reply_to);
		json_key_string(out, "traceparent", header_text(&letter->delivery, "traceparent", NULL));
		if (letter->withheld)
			json_key_string(out, "body", NULL);
		else
			write_body(&letter->delivery, out);
	}
	json_close(out, '}');
}

void dead_print_line(const struct dead_letter *letter)
{
	CLEANUP(text_release) struct text out = { 0 };

	text_printf(&out, "%s  %s  %s%s%s\n",
		letter->delivery.message_id ? letter->delivery.message_id : "(no message_id)", letter->command,
		letter->code, letter->error ? ": " : "", letter->error ? letter->error : "");
	plain_print(&out);
}
