#include "dead.h"

#include <stdio.h>
#include <string.h>

#include "broker.h"
#include "json.h"
#include "topology/topology.h"

#define CLOSE_TIMEOUT_MS 10000
#define BODY_SCRATCH_MAX ((size_t)512 << 20)

static const char *service_name(const void *context, size_t i)
{
	(void)context;
	return topology_services[i];
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
	scan->wanted = scan->options->limit ? scan->options->limit : -1;
	scan->bus = broker_connect(false, err);
	if (!scan->bus)
		return -1;
	if (bus_check_queue(scan->bus, scan->queue, &scan->left, err) == 0)
		return 0;
	if (err->code == CODE_NOT_FOUND)
		error_set(err, CODE_NOT_FOUND,
			"there is no queue %s: is the topology applied? (garrisonctl topology apply)", scan->queue);
	dead_close(scan);
	return -1;
}

void dead_close(struct dead_scan *scan)
{
	if (scan->bus)
		bus_close(scan->bus, CLOSE_TIMEOUT_MS);
	bus_free(TAKE(scan->bus));
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

static void read_letter(struct dead_letter *letter)
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
}

static bool is_wanted(const struct dead_options *options, const struct dead_letter *letter)
{
	if (options->code && strcmp(options->code, letter->code) != 0)
		return false;
	return !options->id || (letter->delivery.message_id && strcmp(options->id, letter->delivery.message_id) == 0);
}

int dead_next(struct dead_scan *scan, struct dead_letter *letter, struct error *err)
{
	while (scan->left && scan->wanted) {
		int got = bus_get(scan->bus, scan->queue, &letter->delivery, err);

		if (got <= 0)
			return got;
		scan->left--;
		read_letter(letter);
		if (is_wanted(scan->options, letter)) {
			scan->wanted -= scan->wanted > 0;
			return 1;
		}
	}
	return 0;
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
		write_body(&letter->delivery, out);
	}
	json_close(out, '}');
}

void dead_print_line(const struct dead_letter *letter)
{
	printf("%s  %s  %s%s%s\n", letter->delivery.message_id ? letter->delivery.message_id : "(no message_id)",
		letter->command, letter->code, letter->error ? ": " : "", letter->error ? letter->error : "");
}
