#include <stdio.h>
#include <string.h>

#include "ctl_internal.h"
#include "version.h"

#define NAME_COLUMN 22

void ctl_print_version(void)
{
	printf("garrisonctl %s\n", GARRISON_VERSION);
}

static void print_row(const char *name, const char *help)
{
	if (strlen(name) > NAME_COLUMN)
		printf("  %s\n  %*s  %s\n", name, NAME_COLUMN, "", help);
	else
		printf("  %-*s  %s\n", NAME_COLUMN, name, help);
}

static void print_field(const struct field *field, const char *prefix, const char *value)
{
	CLEANUP(text_release) struct text name = { 0 };
	CLEANUP(text_release) struct text help = { 0 };

	text_printf(&name, "%s%s%s", prefix, field_name(field), field->kind == FIELD_BOOL ? "" : value);
	text_str_add(&help, field->help);
	if (field->preset)
		text_printf(&help, " (default %s)", field->preset);
	print_row(text_str(&name), text_str(&help));
}

static void print_settings(void)
{
	printf("\nSettings (environment; NAME_FILE names a file that holds the value; NAME=value arguments "
	       "override):\n");
	for (size_t i = 0; i < ctl_settings_schema.n_fields; i++)
		print_field(&ctl_settings_schema.fields[i], "", "");
}

static void print_verb_line(const struct verb *verb)
{
	CLEANUP(text_release) struct text name = { 0 };

	text_printf(&name, "%s%s%s", verb->name, *verb->arguments ? " " : "", verb->arguments);
	print_row(text_str(&name), verb->help);
}

static void print_verb(const struct verb *verb)
{
	printf("garrisonctl %s%s%s [options] [NAME=value ...]\n%s\n\nOptions:\n", verb->name,
		*verb->arguments ? " " : "", verb->arguments, verb->help);
	for (size_t i = 0; verb->options && i < verb->options->n_fields; i++)
		print_field(&verb->options->fields[i], "--", "=VALUE");
	print_row("--json", "write the result as JSON");
	print_row("--help", "this text");
	if (verb->more_help)
		verb->more_help();
	print_settings();
}

static bool begins_with(const struct verb *verb, const char *word)
{
	size_t len = strlen(word);

	return strncmp(verb->name, word, len) == 0 && (verb->name[len] == ' ' || !verb->name[len]);
}

void ctl_print_help(const struct verb *verb, const struct verb *verbs, size_t n_verbs, const char *word)
{
	bool all = true;

	if (verb) {
		print_verb(verb);
		return;
	}
	for (size_t i = 0; word && i < n_verbs; i++)
		all &= !begins_with(&verbs[i], word);
	printf("garrisonctl VERB [arguments] [options] [NAME=value ...]\n"
	       "Look after a fleet: its topology and schema, its queues, its dead letters. Each verb has --help and "
	       "--json.\n"
	       "Exit codes: 0 done, 1 failed, 64 wrong usage, 69 a server or service is out of reach or not "
	       "prepared, 70 internal fault.\n\n");
	for (size_t i = 0; i < n_verbs; i++)
		if (all || begins_with(&verbs[i], word))
			print_verb_line(&verbs[i]);
	printf("\n");
	print_row("--version", "the version of this build");
	print_row("--describe", "verbs, options and settings as JSON");
	print_settings();
}

static void describe_fields(struct text *out, const struct schema *schema)
{
	json_open(out, '[');
	for (size_t i = 0; schema && i < schema->n_fields; i++) {
		const struct field *field = &schema->fields[i];

		json_open(out, '{');
		json_key_string(out, "name", field_name(field));
		json_key_string(out, "default", field->preset);
		json_key_string(out, "unit", field->unit == UNIT_MS ? "duration" : NULL);
		json_key_string(out, "help", field->help);
		json_key_bool(out, "secret", field->secret);
		json_close(out, '}');
	}
	json_close(out, ']');
}

void ctl_print_description(const struct verb *verbs, size_t n_verbs)
{
	CLEANUP(text_release) struct text out = { 0 };

	json_open(&out, '{');
	json_key_string(&out, "service", "ctl");
	json_key_string(&out, "summary", "Look after a fleet: its topology and schema, its queues, its dead letters");
	json_key_string(&out, "version", GARRISON_VERSION);
	json_key(&out, "settings");
	describe_fields(&out, &ctl_settings_schema);
	json_key(&out, "verbs");
	json_open(&out, '[');
	for (size_t i = 0; i < n_verbs; i++) {
		json_open(&out, '{');
		json_key_string(&out, "name", verbs[i].name);
		json_key_string(&out, "arguments", verbs[i].arguments);
		json_key_string(&out, "help", verbs[i].help);
		json_key(&out, "options");
		describe_fields(&out, verbs[i].options);
		json_close(&out, '}');
	}
	json_close(&out, ']');
	json_close(&out, '}');
	printf("%s\n", text_str(&out));
}
