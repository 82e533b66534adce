#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "clock.h"
#include "verbs.h"

#define LOOK_AGAIN_MS 1000

/* clang-format off */
const struct audit_section audit_sections[] = {
	{ "fights", "every processed fight and every tick once in xp and gold; last fights, snapshots, stacks", audit_fights },
	{ "tombstones", "short results of fights as the history has them", audit_tombstones },
	{ "ticks", "no due tick forgotten, none credited twice, no queued tick without its session", audit_ticks },
	{ "arena", "no ghost in a queue, nobody in two battles", audit_arena },
	{ "cache", "live characters as the database has them, but for those still to be backed up", audit_cache },
	{ "broker", "exchanges, queues and bindings; dead letters", audit_broker },
};
/* clang-format on */
const size_t n_audit_sections = ARRAY_LEN(audit_sections);

static const char *const section_names[] = { "fights", "tombstones", "ticks", "arena", "cache", "broker" };
_Static_assert(ARRAY_LEN(section_names) == ARRAY_LEN(audit_sections), "a section has no name to choose it by");

static const struct field choice_fields[] = {
	FIELD(struct audit_choice, section, .as = "", .choices = section_names, .n_choices = ARRAY_LEN(section_names)),
};
static const struct schema choice_schema = SCHEMA(struct audit_choice, choice_fields, .name = "section");

static const struct field option_fields[] = {
	FIELD(struct audit_options, sections, .as = "section", .of = &choice_schema, .max = ARRAY_LEN(section_names),
		.help = "only these of fights, tombstones, ticks, arena, cache, broker; comma-separated"),
	FIELD(struct audit_options, patience_ms, .as = "patience", .unit = UNIT_MS, .preset = "5s", .max = 3600 * 1000,
		.help = "how long a difference must last before it is one; the fleet may be at work"),
	FIELD(struct audit_options, keep, .as = "limit", .preset = "1000", .min = 1, .max = 10000,
		.help = "name at most so many in each section"),
};
const struct schema audit_options = SCHEMA(struct audit_options, option_fields, .name = "audit");

void audit_more_help(void)
{
	printf("\nSections:\n");
	for (size_t i = 0; i < n_audit_sections; i++)
		printf("  %-12s%s\n", audit_sections[i].name, audit_sections[i].help);
}

/* What is there at the first look and at every later one. */
static int look_until_sure(const struct audit_sources *sources, const struct audit_options *options,
	struct audit_result *result, struct error *err)
{
	int64_t until_ms = clock_ms() + options->patience_ms;

	if (result->section->look(sources, &result->report, err))
		return -1;
	while (result->report.total && clock_ms() < until_ms) {
		struct audit_report later;
		int left_ms = clock_left_ms(until_ms);

		clock_sleep_ms(left_ms < LOOK_AGAIN_MS ? left_ms : LOOK_AGAIN_MS);
		audit_report_init(&later, (size_t)options->keep);
		int failed = result->section->look(sources, &later, err);

		if (!failed)
			audit_report_keep_lasting(&result->report, &later);
		audit_report_release(&later);
		if (failed)
			return -1;
	}
	return 0;
}

static bool is_chosen(const struct audit_options *options, size_t section)
{
	const struct audit_choice *choices = options->sections.items;

	for (size_t i = 0; i < options->sections.n; i++)
		if ((size_t)choices[i].section == section)
			return true;
	return options->sections.n == 0;
}

int audit_run_all(
	const struct audit_sources *sources, const struct audit_options *options, struct audit *out, struct error *err)
{
	*out = (struct audit){ .results = must_zalloc(n_audit_sections * sizeof(*out->results)) };
	for (size_t i = 0; i < n_audit_sections; i++) {
		if (!is_chosen(options, i))
			continue;
		struct audit_result *result = &out->results[out->n++];
		int64_t began_ms = clock_ms();

		result->section = &audit_sections[i];
		audit_report_init(&result->report, (size_t)options->keep);
		if (look_until_sure(sources, options, result, err))
			return -1;
		result->took_ms = clock_ms() - began_ms;
	}
	return 0;
}

void audit_release(struct audit *audit)
{
	for (size_t i = 0; i < audit->n; i++)
		audit_report_release(&audit->results[i].report);
	free(audit->results);
}

int audit_run(struct invocation *in, struct error *err)
{
	const struct audit_options *options = in->options;
	CLEANUP(audit_release) struct audit audit = { 0 };
	CLEANUP(text_release) struct text out = { 0 };
	CLEANUP(audit_close) struct audit_sources sources = { 0 };

	if (audit_open(&sources, in, err) || audit_run_all(&sources, options, &audit, err))
		return ctl_failed(err);
	if (in->json) {
		audit_write(&audit, &out);
		text_char(&out, '\n');
	} else {
		audit_show(&audit, isatty(STDOUT_FILENO), &out);
	}
	printf("%s", text_str(&out));
	int64_t total = audit_total(&audit);

	if (!total)
		return CTL_DONE;
	error_set(err, CODE_CONFLICT, "broker, cache and database disagree in %lld place%s", (long long)total,
		total == 1 ? "" : "s");
	return CTL_FAILED;
}
