/* What the reader of fields finds wrong, and where. Used by field_*.c alone. */
#ifndef GARRISON_FIELD_PROBLEM_H
#define GARRISON_FIELD_PROBLEM_H

#include "field.h"

struct reader {
	struct scratch *scratch;
	struct problems *problems;
	bool full; /* the scratch is: said once, for what follows is its consequence */
};

/* Where the reader stands: a name, or an index where that is NULL, and what holds it. The outermost has neither. */
struct place {
	const struct place *up;
	const char *name;
	size_t index;
};

/* Adds a problem at this place, with texts in the scratch. One thread. */
void problem_add(struct reader *reader, const struct place *at, const char *text);
/* Adds "must be an integer, not a string": what was wanted, as told, and what json is instead. One thread. */
void problem_type(struct reader *reader, const struct place *at, const char *wanted, const cJSON *json);
/* n × size bytes of the scratch; NULL, and that is the problem, when it has no more. One thread. */
void *problem_memory(struct reader *reader, const struct place *at, size_t n, size_t size);

#endif
