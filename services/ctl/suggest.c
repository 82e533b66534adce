#include <string.h>

#include "cleanup.h"
#include "ctl.h"

#define SUGGESTIONS_MAX 3

static size_t smallest(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Levenshtein's distance by one row of the matrix. */
static size_t edits_between(const char *a, const char *b)
{
	size_t len = strlen(b);
	CLEANUP(release_memory) size_t *row = must_zalloc((len + 1) * sizeof(*row));

	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= len; j++) {
			size_t above = row[j];

			row[j] = smallest(row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[len];
}

/* A name that holds the word is as good as the word. */
static size_t distance(const char *word, const char *name)
{
	return strstr(name, word) ? 0 : edits_between(word, name);
}

const char *ctl_suggest(const char *word, const char *(*name)(const void *context, size_t i), const void *context,
	size_t n, struct scratch *scratch)
{
	CLEANUP(text_release) struct text said = { 0 };
	size_t near_enough = strlen(word) / 3 + 1;
	int found = 0;

	for (size_t i = 0; i < n; i++) {
		size_t edits = distance(word, name(context, i));

		near_enough = edits < near_enough ? edits : near_enough;
	}
	for (size_t i = 0; *word && i < n && found < SUGGESTIONS_MAX; i++) {
		if (distance(word, name(context, i)) > near_enough)
			continue;
		text_printf(&said, "%s%s", found ? " or " : "; did you mean ", name(context, i));
		found++;
	}
	if (found)
		text_char(&said, '?');
	return scratch_strdup(scratch, text_str(&said));
}
