#include <stdarg.h>
#include <string.h>

#include "audit.h"

#define TEXTS_MAX ((size_t)256 << 20)

void audit_report_init(struct audit_report *report, size_t keep)
{
	memset(report, 0, sizeof(*report));
	scratch_init(&report->scratch, TEXTS_MAX);
	report->keep = keep;
}

void audit_report_release(struct audit_report *report)
{
	free(report->items);
	scratch_release(&report->scratch);
}

static bool is_same(const struct finding *a, const struct finding *b)
{
	return a->kind == b->kind && a->char_id == b->char_id && uuid_compare(&a->session_id, &b->session_id) == 0 &&
	       strcmp(a->text, b->text) == 0;
}

static bool has(const struct audit_report *report, const struct finding *finding)
{
	for (size_t i = 0; i < report->n; i++)
		if (is_same(&report->items[i], finding))
			return true;
	return false;
}

void audit_find(struct audit_report *report, const char *kind, int64_t char_id, const struct uuid *session,
	const char *format, ...)
{
	struct finding finding = { .kind = kind, .char_id = char_id };
	char words[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	finding.text = words;
	if (session)
		finding.session_id = *session;
	/* A scan may show one key twice. */
	if (has(report, &finding))
		return;
	report->total++;
	if (report->n == report->keep)
		return;
	if (report->n == report->room) {
		report->room = report->room ? report->room * 2 : 16;
		report->items = must_realloc(report->items, report->room * sizeof(*report->items));
	}
	finding.text = scratch_strdup(&report->scratch, words);
	report->items[report->n++] = finding;
}

void audit_find_more(struct audit_report *report, int64_t more)
{
	report->total += more;
}

void audit_count(struct audit_report *report, const char *name, int64_t more)
{
	size_t i = 0;

	while (i < report->n_numbers && strcmp(report->numbers[i].name, name) != 0)
		i++;
	if (i == AUDIT_NUMBERS_MAX)
		BUG("a section reports more than %d numbers", AUDIT_NUMBERS_MAX);
	if (i == report->n_numbers)
		report->numbers[report->n_numbers++] = (struct audit_number){ .name = name };
	report->numbers[i].value += more;
}

void audit_report_keep_lasting(struct audit_report *report, const struct audit_report *later)
{
	size_t kept = 0;

	for (size_t i = 0; i < report->n; i++)
		if (has(later, &report->items[i]))
			report->items[kept++] = report->items[i];
	/* Of those that were not kept nobody knows which have lasted. */
	if (report->total > (int64_t)report->n && later->total > (int64_t)later->n)
		report->total = later->total < report->total ? later->total : report->total;
	else
		report->total = (int64_t)kept;
	report->n = kept;
	memcpy(report->numbers, later->numbers, sizeof(report->numbers));
	report->n_numbers = later->n_numbers;
}
