#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "body.h"
#include "broker.h"
#include "catalogue.h"
#include "clock.h"
#include "ctl.h"
#include "json.h"
#include "naming.h"
#include "uuid.h"
#include "verbs.h"

#define DIRECT_REPLIES "amq.rabbitmq.reply-to"

struct call_options {
	const char *message_id;
	int64_t timeout_ms;
};

static const struct field option_fields[] = {
	FIELD(struct call_options, message_id, .as = "message-id", .min = 1, .max = 255,
		.help = "the message's id, by which a repeat is known (default: a new UUID)"),
	FIELD(struct call_options, timeout_ms, .as = "timeout", .unit = UNIT_MS, .preset = "10s", .min = 1,
		.max = 3600 * 1000, .help = "how long to wait for the reply"),
};
const struct schema call_options = SCHEMA(struct call_options, option_fields, .name = "call");

void call_more_help(void)
{
	catalogue_print();
}

/* A request that nobody takes would only be waited for: ask first whether a worker consumes there. */
static int check_consumers(struct bus *bus, const char *service, int64_t deadline_ms, struct error *err)
{
	char queue[BROKER_NAME_MAX];
	struct bus_event event;

	if (bus_ask_queue(bus, name_rpc_queue(service, queue)) < 0)
		return error_down(err, STORE_BROKER, "RabbitMQ at %s: connection lost", bus_host(bus));
	do {
		if (broker_next(bus, &event, deadline_ms, err))
			return -1;
		if (event.kind == BUS_NO_QUEUE)
			return error_set(err, CODE_UNAVAILABLE,
				"there is no queue %s: is the topology applied? (garrisonctl topology apply)", queue);
	} while (event.kind != BUS_QUEUE_INFO);
	if (event.consumers == 0)
		return error_set(
			err, CODE_UNAVAILABLE, "no worker of %s is running: nobody consumes %s", service, queue);
	return 0;
}

static int wait_for_reply(
	struct bus *bus, const char *correlation_id, int64_t deadline_ms, struct bus_event *event, struct error *err)
{
	for (;;) {
		if (broker_next(bus, event, deadline_ms, err)) {
			if (err->code == CODE_TIMEOUT)
				return error_set(err, CODE_TIMEOUT, "no reply in time (--timeout)");
			return -1;
		}
		if (event->kind == BUS_RETURNED)
			return error_set(err, CODE_UNAVAILABLE,
				"no queue takes the request: is the topology applied? (garrisonctl topology apply)");
		if (event->kind == BUS_DELIVERY && event->delivery.correlation_id &&
			strcmp(event->delivery.correlation_id, correlation_id) == 0)
			return 0;
	}
}

static int print_reply(struct invocation *in, const struct bus_delivery *delivery, struct error *err)
{
	struct error wrong;
	const cJSON *reply = json_parse(delivery->body, delivery->body_len, &in->scratch, &wrong);
	const cJSON *error, *code, *message;

	if (!reply) {
		error_set(err, CODE_INTERNAL, "the reply is not JSON: %s", wrong.text);
		return CTL_FAILED;
	}
	printf("%s\n", delivery->body);
	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply, "ok")))
		return CTL_DONE;
	error = cJSON_GetObjectItemCaseSensitive(reply, "error");
	code = cJSON_GetObjectItemCaseSensitive(error, "code");
	message = cJSON_GetObjectItemCaseSensitive(error, "message");
	error_set(err, CODE_INTERNAL, "%s: %s", cJSON_IsString(code) ? code->valuestring : "not ok",
		cJSON_IsString(message) ? message->valuestring : "no reason given");
	return CTL_FAILED;
}

static int exchange(struct bus *bus, const struct bus_publication *request, const char *service, int64_t timeout_ms,
	struct bus_event *event, struct error *err)
{
	int64_t deadline_ms = clock_ms() + timeout_ms;
	const struct bus_header deadline = { "g-deadline", NULL, clock_real_us() / 1000 + timeout_ms };
	struct bus_publication limited = *request;
	char expiration[24];

	snprintf(expiration, sizeof(expiration), "%" PRId64, timeout_ms);
	limited.expiration = expiration;
	limited.headers = &deadline;
	limited.n_headers = 1;
	if (check_consumers(bus, service, deadline_ms, err) ||
		bus_consume(bus, BUS_MAIN, DIRECT_REPLIES, "reply", 1, true, err) ||
		bus_publish(bus, BUS_MAIN, &limited, NULL, err))
		return -1;
	return wait_for_reply(bus, request->correlation_id, deadline_ms, event, err);
}

int call_run(struct invocation *in, struct error *err)
{
	const struct call_options *options = in->options;
	const char *routing_key = in->args[0];
	struct uuid id = uuid_random();
	char id_text[UUID_TEXT_MAX];
	struct bus_event event;

	if (!catalogue_find(routing_key, &in->scratch, err))
		return ctl_failed(err);
	struct bus_publication request = {
		.exchange = EXCHANGE_RPC,
		.routing_key = routing_key,
		.type = name_command_of(routing_key),
		.correlation_id = uuid_format(&id, id_text),
		.message_id = options->message_id ? options->message_id : id_text,
		.reply_to = DIRECT_REPLIES,
		.mandatory = true,
	};

	request.body = body_read(in->args[1], &in->scratch, &request.body_len, err);
	if (!request.body)
		return ctl_failed(err);
	const char *service = scratch_memdup(&in->scratch, routing_key, strcspn(routing_key, "."));
	CLEANUP(bus_drop) struct bus *bus = broker_connect(false, err);

	if (!bus || exchange(bus, &request, service, options->timeout_ms, &event, err))
		return ctl_failed(err);
	return print_reply(in, &event.delivery, err);
}
