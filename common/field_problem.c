#include "field_problem.h"

#include <stdio.h>
#include <string.h>

#include "field_rules.h"
#include "utf8.h"

#define PATH_MAX_LEN 256
#define NAME_MAX_LEN 80

static size_t path_of(const struct place *at, char *to, size_t size)
{
	size_t len;
	int added;

	if (!at->up)
		return 0;
	len = path_of(at->up, to, size);
	if (len + 1 >= size)
		return len;
	if (at->name)
		added = snprintf(to + len, size - len, "%s%.*s", len ? "." : "", (int)utf8_cut(at->name, NAME_MAX_LEN),
			at->name);
	else
		added = snprintf(to + len, size - len, "%s%zu", len ? "." : "", at->index);
	return (size_t)added < size - len ? len + (size_t)added : utf8_cut(to, size - 1);
}

static const char *copy_text(struct reader *reader, const char *text, const char *otherwise)
{
	size_t size = strlen(text) + 1;
	char *copy = scratch_try(reader->scratch, size);

	return copy ? memcpy(copy, text, size) : otherwise;
}

void problem_add(struct reader *reader, const struct place *at, const char *text)
{
	char path[PATH_MAX_LEN] = "";
	struct problem *problem;

	if (reader->full)
		return;
	if (reader->problems->n < PROBLEMS_MAX) {
		problem = &reader->problems->items[reader->problems->n];
		path_of(at, path, sizeof(path));
		problem->field = copy_text(reader, path, "");
		problem->problem = copy_text(reader, text, "is wrong, and the message too large to say more");
	}
	reader->problems->n++;
}

void *problem_memory(struct reader *reader, const struct place *at, size_t n, size_t size)
{
	size_t bytes;
	void *memory = __builtin_mul_overflow(n, size, &bytes) ? NULL : scratch_try(reader->scratch, bytes);

	if (!memory) {
		problem_add(reader, at, "message too large");
		reader->full = true;
	}
	return memory;
}

void problem_type(struct reader *reader, const struct place *at, const char *wanted, const cJSON *json)
{
	const char *is = cJSON_IsNull(json)	? "null"
			 : cJSON_IsBool(json)	? "true or false"
			 : cJSON_IsNumber(json) ? "a number"
			 : cJSON_IsString(json) ? "a string"
			 : cJSON_IsArray(json)	? "an array"
						: "an object";
	char text[REASON_MAX + 32];

	snprintf(text, sizeof(text), "%s, not %s", wanted, is);
	problem_add(reader, at, text);
}
