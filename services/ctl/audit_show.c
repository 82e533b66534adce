#include <stdio.h>

#include "audit.h"

#define RED "31"
#define GREEN "32"
#define SHOWN_MAX 20 /* of each section, for people */

int64_t audit_total(const struct audit *audit)
{
	int64_t total = 0;

	for (size_t i = 0; i < audit->n; i++)
		total += audit->results[i].report.total;
	return total;
}

/* ---- JSON ---- */

static void write_finding(const struct finding *finding, struct text *out)
{
	char session[UUID_TEXT_MAX];

	json_open(out, '{');
	json_key_string(out, "kind", finding->kind);
	if (finding->char_id)
		json_key_int(out, "char_id", finding->char_id);
	if (!uuid_is_nil(&finding->session_id))
		json_key_string(out, "session_id", uuid_format(&finding->session_id, session));
	json_key_string(out, "text", finding->text);
	json_close(out, '}');
}

static void write_result(const struct audit_result *result, struct text *out)
{
	const struct audit_report *report = &result->report;

	json_open(out, '{');
	json_key_string(out, "section", result->section->name);
	json_key_bool(out, "ok", report->total == 0);
	json_key_int(out, "found", report->total);
	json_key(out, "discrepancies");
	json_open(out, '[');
	for (size_t i = 0; i < report->n; i++)
		write_finding(&report->items[i], out);
	json_close(out, ']');
	json_key(out, "seen");
	json_open(out, '{');
	for (size_t i = 0; i < report->n_numbers; i++)
		json_key_int(out, report->numbers[i].name, report->numbers[i].value);
	json_close(out, '}');
	json_key_int(out, "took_ms", result->took_ms);
	json_close(out, '}');
}

void audit_write(const struct audit *audit, struct text *out)
{
	json_open(out, '{');
	json_key_bool(out, "ok", audit_total(audit) == 0);
	json_key_int(out, "found", audit_total(audit));
	json_key(out, "sections");
	json_open(out, '[');
	for (size_t i = 0; i < audit->n; i++)
		write_result(&audit->results[i], out);
	json_close(out, ']');
	json_close(out, '}');
}

/* ---- lines ---- */

static void show_verdict(int64_t total, bool colour, struct text *out)
{
	char words[40];

	snprintf(words, sizeof(words), total ? "%lld wrong" : "ok", (long long)total);
	if (colour)
		text_printf(out, "\033[%sm%-10s\033[0m", total ? RED : GREEN, words);
	else
		text_printf(out, "%-10s", words);
}

static void show_result(const struct audit_result *result, bool colour, struct text *out)
{
	const struct audit_report *report = &result->report;
	size_t shown = report->n < SHOWN_MAX ? report->n : SHOWN_MAX;

	text_printf(out, "%-12s", result->section->name);
	show_verdict(report->total, colour, out);
	for (size_t i = 0; i < report->n_numbers; i++)
		text_printf(
			out, "%s%lld %s", i ? ", " : "", (long long)report->numbers[i].value, report->numbers[i].name);
	text_printf(out, " (%.1f s)\n", (double)result->took_ms / 1000);
	for (size_t i = 0; i < shown; i++)
		text_printf(out, "    %s\n", report->items[i].text);
	if (report->total > (int64_t)shown)
		text_printf(out, "    and %lld more (--json names up to --limit)\n",
			(long long)report->total - (long long)shown);
}

void audit_show(const struct audit *audit, bool colour, struct text *out)
{
	for (size_t i = 0; i < audit->n; i++)
		show_result(&audit->results[i], colour, out);
}
