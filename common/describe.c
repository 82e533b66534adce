#include "describe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "describe_facts.h"
#include "duration.h"
#include "naming.h"
#include "version.h"

#define BODY_MAX ((size_t)1 << 20)

const char *setting_preset(const struct settings_group *groups, size_t n_groups, const char *name)
{
	const struct field *field = settings_find(groups, n_groups, name);

	return field ? field->preset : NULL;
}

struct command_facts command_facts(const struct command *command, const struct settings_group *groups, size_t n_groups)
{
	const char *attempts = setting_preset(groups, n_groups, "MAX_ATTEMPTS");
	const char *timeout = setting_preset(groups, n_groups, "COMMAND_PROCESSING_TIMEOUT");
	enum lane lanes = command->lanes ? command->lanes : LANE_BOTH;
	struct command_facts facts = {
		.durable = lanes & LANE_DURABLE,
		.rpc = lanes & LANE_RPC,
		.timeout_ms = command->timeout_ms,
		.max_attempts = command->max_attempts,
		.body_max = command->body_max ? command->body_max : BODY_MAX,
	};

	if (!facts.timeout_ms && timeout)
		duration_parse(timeout, &facts.timeout_ms);
	if (!facts.max_attempts && attempts)
		facts.max_attempts = strtoll(attempts, NULL, 10);
	return facts;
}

static const char *setting_type(const struct field *field)
{
	switch (field->kind) {
	case FIELD_BOOL:
		return "boolean";
	case FIELD_INT:
	case FIELD_OPT_INT:
		return field->unit == UNIT_MS ? "duration" : "integer";
	case FIELD_NUMBER:
		return "number";
	case FIELD_LIST:
		return "list";
	default:
		return "string";
	}
}

/* What a number counts: durations carry their unit in their text. */
static const char *setting_unit(const struct field *field)
{
	const struct field *row = field->kind == FIELD_LIST ? &field->of->fields[0] : field;

	return row->unit == UNIT_MS ? "duration" : NULL;
}

static void setting_json(const struct field *field, struct text *out)
{
	CLEANUP(text_release) struct text accepts = { 0 };

	setting_in_words(field, &accepts);
	json_open(out, '{');
	json_key_string(out, "name", field_name(field));
	json_key_string(out, "type", setting_type(field));
	json_key_string(out, "default", field->preset);
	json_key_string(out, "unit", setting_unit(field));
	json_key_string(out, "accepts", text_str(&accepts));
	if (field->n_choices) {
		json_key(out, "choices");
		json_open(out, '[');
		for (size_t i = 0; i < field->n_choices; i++)
			json_string(out, field->choices[i]);
		json_close(out, ']');
	}
	json_key_string(out, "help", field->help);
	json_key_bool(out, "secret", field->secret);
	json_close(out, '}');
}

static void settings_json(const struct settings_group *groups, size_t n_groups, struct text *out)
{
	json_key(out, "settings");
	json_open(out, '[');
	for (size_t g = 0; g < n_groups; g++)
		for (size_t i = 0; i < groups[g].schema->n_fields; i++)
			setting_json(&groups[g].schema->fields[i], out);
	json_close(out, ']');
}

static void command_json(
	const struct command *command, const struct settings_group *groups, size_t n_groups, struct text *out)
{
	struct command_facts facts = command_facts(command, groups, n_groups);

	json_open(out, '{');
	json_key_string(out, "name", command->name);
	json_key_string(out, "help", command->help);
	json_key(out, "request");
	schema_describe(command->request, out);
	json_key(out, "result");
	schema_describe(command->result, out);
	json_key(out, "lanes");
	json_open(out, '[');
	if (facts.durable)
		json_string(out, "durable");
	if (facts.rpc)
		json_string(out, "rpc");
	json_close(out, ']');
	json_key_int(out, "timeout_ms", facts.timeout_ms);
	json_key_int(out, "max_attempts", facts.max_attempts);
	json_key_int(out, "body_max", (int64_t)facts.body_max);
	json_close(out, '}');
}

static void events_json(const struct service *service, struct text *out)
{
	json_key(out, "events");
	json_open(out, '[');
	for (size_t i = 0; i < service->n_events; i++) {
		json_open(out, '{');
		json_key_string(out, "name", service->events[i].name);
		json_key_string(out, "help", service->events[i].help);
		json_key(out, "body");
		schema_describe(service->events[i].body, out);
		json_close(out, '}');
	}
	json_close(out, ']');
}

static void timers_json(const struct service *service, struct text *out)
{
	json_key(out, "timers");
	json_open(out, '[');
	for (size_t i = 0; i < service->n_timers; i++) {
		json_open(out, '{');
		json_key_string(out, "name", service->timers[i].name);
		json_key_string(out, "help", service->timers[i].help);
		json_close(out, '}');
	}
	json_close(out, ']');
}

static void json_key_part(struct text *out, const char *key, const char *part, size_t len)
{
	CLEANUP(text_release) struct text value = { 0 };

	text_add(&value, part, len);
	json_key_string(out, key, text_str(&value));
}

/* From the "# HELP name text" and "# TYPE name type" lines of a page of metrics, which always come in pairs. */
static void metrics_json(const char *page, struct text *out)
{
	json_key(out, "metrics");
	json_open(out, '[');
	for (const char *line = strstr(page, "# HELP "); line; line = strstr(line, "# HELP ")) {
		const char *name = line + strlen("# HELP "), *help = name + strcspn(name, " ") + 1;
		size_t len = (size_t)(help - 1 - name);
		const char *type = strstr(help, "# TYPE ") + strlen("# TYPE ") + len + 1;

		json_open(out, '{');
		json_key_part(out, "name", name, len);
		json_key_part(out, "type", type, strcspn(type, "\n"));
		json_key_part(out, "help", help, strcspn(help, "\n"));
		json_close(out, '}');
		line = type;
	}
	json_close(out, ']');
}

static void rungs_json(const struct service *service, const char *delays, struct text *out)
{
	char name[BROKER_NAME_MAX], delay[DURATION_TEXT_MAX];
	int64_t delay_ms;

	while (*delays) {
		size_t len = strcspn(delays, ", ");

		snprintf(delay, sizeof(delay), "%.*s", (int)len, delays);
		if (!duration_parse(delay, &delay_ms))
			json_string(out, name_rung_queue(service->name, delay_ms, name));
		delays += len;
		delays += strspn(delays, ", ");
	}
}

static void queues_json(
	const struct service *service, const struct settings_group *groups, size_t n_groups, struct text *out)
{
	const char *delays = setting_preset(groups, n_groups, "RETRY_DELAYS");
	char name[BROKER_NAME_MAX];

	json_key(out, "queues");
	json_open(out, '[');
	if (service->n_commands) {
		json_string(out, name_queue(service->name, name));
		json_string(out, name_rpc_queue(service->name, name));
		json_string(out, name_dead_queue(service->name, name));
		rungs_json(service, delays ? delays : "", out);
	}
	json_close(out, ']');
}

void describe_json(const struct service *service, const struct settings_group *groups, size_t n_groups,
	const char *metrics, struct text *out)
{
	json_open(out, '{');
	json_key_string(out, "service", service->name);
	json_key_string(out, "summary", service->summary);
	json_key_string(out, "version", GARRISON_VERSION);
	settings_json(groups, n_groups, out);
	json_key(out, "commands");
	json_open(out, '[');
	for (size_t i = 0; i < service->n_commands; i++)
		command_json(&service->commands[i], groups, n_groups, out);
	json_close(out, ']');
	events_json(service, out);
	timers_json(service, out);
	metrics_json(metrics, out);
	queues_json(service, groups, n_groups, out);
	json_close(out, '}');
	text_char(out, '\n');
}
