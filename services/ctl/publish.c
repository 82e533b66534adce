#include <stdio.h>

#include "body.h"
#include "broker.h"
#include "catalogue.h"
#include "clock.h"
#include "ctl.h"
#include "naming.h"
#include "text.h"
#include "uuid.h"
#include "verbs.h"

struct publish_options {
	const char *message_id;
	int64_t timeout_ms;
};

static const struct field option_fields[] = {
	FIELD(struct publish_options, message_id, .as = "message-id", .min = 1, .max = 255,
		.help = "the message's id, by which a repeat is known (default: a new UUID)"),
	FIELD(struct publish_options, timeout_ms, .as = "timeout", .unit = UNIT_MS, .preset = "10s", .min = 1,
		.max = 3600 * 1000, .help = "how long to wait for the broker's confirm"),
};
const struct schema publish_options = SCHEMA(struct publish_options, option_fields, .name = "publish");

void publish_more_help(void)
{
	catalogue_print();
}

static void tell(const struct invocation *in, const char *routing_key, const char *message_id)
{
	CLEANUP(text_release) struct text out = { 0 };

	if (in->json) {
		json_open(&out, '{');
		json_key_string(&out, "routing_key", routing_key);
		json_key_string(&out, "message_id", message_id);
		json_close(&out, '}');
	} else {
		text_printf(&out, "published %s, message_id %s", routing_key, message_id);
	}
	printf("%s\n", text_str(&out));
}

int publish_run(struct invocation *in, struct error *err)
{
	const struct publish_options *options = in->options;
	const char *routing_key = in->args[0];
	const cJSON *command = catalogue_find(routing_key, &in->scratch, err);
	struct uuid fresh = uuid_random();
	char fresh_text[UUID_TEXT_MAX];

	if (!command)
		return ctl_failed(err);
	if (!catalogue_has_lane(command, "durable")) {
		error_set(err, CODE_FORBIDDEN, "%s is not taken from %s: use garrisonctl call", routing_key,
			EXCHANGE_COMMANDS);
		return CTL_USAGE;
	}
	struct bus_publication publication = {
		.exchange = EXCHANGE_COMMANDS,
		.routing_key = routing_key,
		.type = name_command_of(routing_key),
		.message_id = options->message_id ? options->message_id : uuid_format(&fresh, fresh_text),
		.persistent = true,
		.mandatory = true,
	};

	publication.body = body_read(in->args[1], &in->scratch, &publication.body_len, err);
	if (!publication.body)
		return ctl_failed(err);
	CLEANUP(bus_drop) struct bus *bus = broker_connect(true, err);

	if (!bus || broker_publish(bus, &publication, clock_ms() + options->timeout_ms, err))
		return ctl_failed(err);
	tell(in, routing_key, publication.message_id);
	return CTL_DONE;
}
