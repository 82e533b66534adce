#include <stdio.h>
#include <string.h>

#include "describe.h"
#include "describe_facts.h"
#include "duration.h"
#include "field_rules.h"

#define WIDTH 98
#define MIB ((size_t)1 << 20)
/* Wider first columns get a line of their own. */
#define NAME_WIDTH_MAX 34

static void spaces(struct text *out, size_t n)
{
	text_printf(out, "%*s", (int)n, "");
}

/* Words from this column on, wrapped to it; the line so far reaches to `reached`. */
static void wrapped(struct text *out, size_t reached, size_t column, const char *words)
{
	size_t at = column;

	if (reached >= column && reached > 0) {
		text_char(out, '\n');
		reached = 0;
	}
	spaces(out, column - reached);
	for (words += strspn(words, " "); *words; words += strspn(words, " ")) {
		size_t len = strcspn(words, " "), width = 0;

		for (size_t i = 0; i < len; i++)
			width += ((unsigned char)words[i] & 0xc0) != 0x80;
		if (at > column && at + 1 + width > WIDTH) {
			text_char(out, '\n');
			spaces(out, column);
			at = column;
		}
		if (at > column) {
			text_char(out, ' ');
			at++;
		}
		text_add(out, words, len);
		words += len;
		at += width;
	}
	text_char(out, '\n');
}

/* Kinds in words --------------------------------------------------------------------------------------------------- */

static void limits_in_words(const struct field *field, const char *unit, struct text *out)
{
	char low[DURATION_TEXT_MAX], high[DURATION_TEXT_MAX];
	int64_t min, max;

	if (!field->min && !field->max)
		return;
	text_str_add(out, field->of ? "; " : ", ");
	field_limits(field, &min, &max);
	if (field->unit == UNIT_MS) {
		duration_format(min, low);
		duration_format(max, high);
	} else {
		snprintf(low, sizeof(low), "%lld", (long long)min);
		snprintf(high, sizeof(high), "%lld", (long long)max);
	}
	if (min == max)
		text_printf(out, "%s%s", low, unit);
	else if (max == INT_LIMIT)
		text_printf(out, "%s or more%s", low, unit);
	else if (!min && *unit)
		text_printf(out, "up to %s%s", high, unit);
	else
		text_printf(out, "%s to %s%s", low, high, unit);
}

static void choices_in_words(const struct field *field, struct text *out)
{
	for (size_t i = 0; i < field->n_choices; i++)
		text_printf(out, "%s%s", !i ? "" : i + 1 < field->n_choices ? ", " : " or ", field->choices[i]);
}

static void kind_in_words(const struct field *field, bool setting, struct text *out);

/* What a list or map holds, where that is a bare value. */
static void entries_in_words(const struct schema *of, size_t from, bool setting, struct text *out)
{
	const struct field *bare = schema_bare(of, from);

	if (!bare) {
		text_str_add(out, "object");
		return;
	}
	kind_in_words(bare, setting, out);
}

static void kind_in_words(const struct field *field, bool setting, struct text *out)
{
	switch (field->kind) {
	case FIELD_BOOL:
		text_str_add(out, setting ? "on or off" : "true or false");
		return;
	case FIELD_INT:
	case FIELD_OPT_INT:
		text_str_add(out, setting && field->unit == UNIT_MS ? "duration" : "integer");
		limits_in_words(field, "", out);
		if (setting && field->unit == UNIT_OFF)
			text_str_add(out, ", or off");
		return;
	case FIELD_NUMBER:
		text_str_add(out, "number");
		limits_in_words(field, "", out);
		return;
	case FIELD_STRING:
		text_str_add(out, "text");
		limits_in_words(field, " characters", out);
		return;
	case FIELD_ENUM:
		choices_in_words(field, out);
		return;
	case FIELD_UUID:
		text_str_add(out, "UUID");
		return;
	case FIELD_TIME:
		text_str_add(out, "RFC 3339 time");
		return;
	case FIELD_JSON:
		text_str_add(out, "any JSON");
		return;
	case FIELD_LIST:
		text_str_add(out, setting ? "comma-separated list of " : "list of ");
		entries_in_words(field->of, 0, setting, out);
		limits_in_words(field, " entries", out);
		return;
	case FIELD_MAP:
		text_printf(out, "map %s → ", field_name(&field->of->fields[0]));
		entries_in_words(field->of, 1, setting, out);
		limits_in_words(field, " entries", out);
		return;
	case FIELD_OBJECT:
		entries_in_words(field->of, 0, setting, out);
		return;
	}
}

/* Commands --------------------------------------------------------------------------------------------------------- */

/* The fields below a row are shown indented under it; this is where they begin, NULL for a row without any. */
static const struct schema *below(const struct field *field, size_t *from)
{
	const struct field *bare;

	*from = field->kind == FIELD_MAP ? 1 : 0;
	bare = field->of ? schema_bare(field->of, *from) : NULL;
	if (!bare)
		return field->of;
	*from = 0;
	return bare->kind == FIELD_OBJECT ? bare->of : NULL;
}

static size_t widest_name(const struct schema *schema, size_t from, size_t indent)
{
	size_t widest = 0;

	for (size_t i = from; i < schema->n_fields; i++) {
		const struct field *field = &schema->fields[i];
		size_t under, width = indent + strlen(field_name(field));
		const struct schema *of = below(field, &under);

		if (of) {
			size_t nested = widest_name(of, under, indent + 2);

			width = nested > width ? nested : width;
		}
		widest = width > widest ? width : widest;
	}
	return widest < NAME_WIDTH_MAX ? widest : NAME_WIDTH_MAX;
}

static void field_rows(
	const struct schema *schema, size_t from, size_t indent, size_t column, bool request, struct text *out)
{
	for (size_t i = from; i < schema->n_fields; i++) {
		const struct field *field = &schema->fields[i];
		CLEANUP(text_release) struct text words = { 0 };
		const struct schema *of;
		size_t under;

		kind_in_words(field, false, &words);
		if (field->nullable)
			text_str_add(&words, " or null");
		if (request && field->preset)
			text_printf(&words, ", default %s", field->preset);
		else if (request)
			text_str_add(&words, field->required ? ", required" : ", optional");
		if (field->help)
			text_printf(&words, ": %s", field->help);
		spaces(out, indent);
		text_str_add(out, field_name(field));
		wrapped(out, indent + strlen(field_name(field)), column, text_str(&words));
		of = below(field, &under);
		if (of)
			field_rows(of, under, indent + 2, column, request, out);
	}
}

static void fields_help(const char *title, const struct schema *schema, bool request, struct text *out)
{
	size_t indent = 6;

	text_printf(out, "    %s\n", title);
	field_rows(schema, 0, indent, widest_name(schema, 0, indent) + 2, request, out);
}

static void command_help(
	const struct command *command, const struct settings_group *groups, size_t n_groups, struct text *out)
{
	struct command_facts facts = command_facts(command, groups, n_groups);
	char timeout[DURATION_TEXT_MAX];

	text_printf(out, "\n  %s  (%s%s%s", command->name, facts.durable ? "game.commands" : "",
		facts.durable && facts.rpc ? ", " : "", facts.rpc ? "game.rpc" : "");
	text_printf(out, "; within %s", duration_format(facts.timeout_ms, timeout));
	if (facts.durable)
		text_printf(out, "; %lld attempts", (long long)facts.max_attempts);
	if (facts.body_max % MIB)
		text_printf(out, "; body up to %zu KiB)\n", facts.body_max / 1024);
	else
		text_printf(out, "; body up to %zu MiB)\n", facts.body_max / MIB);
	if (command->help)
		wrapped(out, 0, 4, command->help);
	if (command->request->n_fields)
		fields_help("takes", command->request, true, out);
	if (command->result->n_fields)
		fields_help("answers", command->result, false, out);
}

/* Settings --------------------------------------------------------------------------------------------------------- */

void setting_in_words(const struct field *field, struct text *out)
{
	kind_in_words(field, true, out);
}

static void setting_help(const struct field *field, size_t name_width, size_t preset_width, struct text *out)
{
	CLEANUP(text_release) struct text words = { 0 };
	const char *name = field_name(field), *preset = field->preset ? field->preset : "-";
	size_t column = 2 + name_width + 2 + preset_width + 2;

	if (field->help)
		text_str_add(&words, field->help);
	text_str_add(&words, words.len ? " (" : "(");
	kind_in_words(field, true, &words);
	text_printf(&words, "%s%s)", field->required ? "; required" : "", field->secret ? "; secret" : "");
	text_printf(out, "  %-*s  %s", (int)name_width, name, preset);
	wrapped(out, 2 + name_width + 2 + strlen(preset), column, text_str(&words));
}

static void settings_help(const struct settings_group *groups, size_t n_groups, struct text *out)
{
	size_t name_width = 0, preset_width = 7;

	for (size_t g = 0; g < n_groups; g++) {
		for (size_t i = 0; i < groups[g].schema->n_fields; i++) {
			const struct field *field = &groups[g].schema->fields[i];
			size_t width = field->preset ? strlen(field->preset) : 0;

			if (strlen(field_name(field)) > name_width)
				name_width = strlen(field_name(field));
			if (width > preset_width && width <= 16)
				preset_width = width;
		}
	}
	text_printf(out, "\nSettings (environment; NAME_FILE for a file that holds the value; NAME=value overrides)\n");
	text_printf(out, "  %-*s  %-*s  %s\n", (int)name_width, "name", (int)preset_width, "default", "meaning");
	for (size_t g = 0; g < n_groups; g++)
		for (size_t i = 0; i < groups[g].schema->n_fields; i++)
			setting_help(&groups[g].schema->fields[i], name_width, preset_width, out);
}

static void event_help(const struct service_event *event, struct text *out)
{
	text_printf(out, "\n  %s\n", event->name);
	wrapped(out, 0, 4, event->help);
	fields_help("tells", event->body, false, out);
}

void describe_help(
	const struct service *service, const struct settings_group *groups, size_t n_groups, struct text *out)
{
	text_printf(out, "garrison-%s: ", service->name);
	text_printf(out, "%s\n\n", service->summary);
	text_printf(out, "Usage: garrison-%s [NAME=value ...]\n", service->name);
	text_printf(out, "       garrison-%s --help | --describe | --version", service->name);
	if (service->front && service->front->option)
		text_printf(out, " | %s", service->front->option);
	text_printf(out, "\n       garrison-%s --healthcheck [NAME=value ...]\n", service->name);
	if (service->n_commands)
		text_printf(out, "\nCommands (routing key %s.<command>)\n", service->name);
	for (size_t i = 0; i < service->n_commands; i++)
		command_help(&service->commands[i], groups, n_groups, out);
	if (service->n_events)
		text_printf(out, "\nEvents (exchange game.events, routing key %s.<event>)\n", service->name);
	for (size_t i = 0; i < service->n_events; i++)
		event_help(&service->events[i], out);
	if (service->n_timers)
		text_str_add(out, "\nBy itself\n");
	for (size_t i = 0; i < service->n_timers; i++) {
		text_printf(out, "  %s", service->timers[i].name);
		wrapped(out, 2 + strlen(service->timers[i].name), 24,
			service->timers[i].help ? service->timers[i].help : "");
	}
	settings_help(groups, n_groups, out);
	text_str_add(out,
		"\nExit codes: 0 clean stop; 64 bad usage or setting; 69 a server out of reach at start, or not\n"
		"prepared; 70 internal fault\n");
}
