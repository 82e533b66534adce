/* A struct with a member of every kind, and the table that describes it; for the tests of fields and for the fuzzer. */
#ifndef GARRISON_EVERY_KIND_H
#define GARRISON_EVERY_KIND_H

#include "field.h"

struct word {
	const char *text;
};
struct pair {
	int64_t left;
	struct opt_int right;
};
struct score {
	int64_t id;
	int64_t points;
};
struct group {
	const char *name;
	struct pair pair;
	struct list words; /* of struct word */
};
struct mark {
	struct uuid id;
	bool on;
};
struct every_kind {
	bool flag;
	int64_t count;
	struct opt_int maybe;
	double ratio;
	const char *name;
	const char *password;
	int colour;
	struct uuid id;
	struct timestamp at;
	struct json_text extra;
	struct list words;  /* of struct word */
	struct list pairs;  /* of struct pair */
	struct map scores;  /* of struct score, bare */
	struct map groups;  /* of struct group */
	struct map marks;   /* of struct mark, bare */
	struct pair inner;  /* embedded */
	struct pair *other; /* pointer */
	struct word *alone; /* pointer to a struct as large as a pointer */
};

static const char *const colours[] = { "red", "green", "blue" };

static const struct field word_fields[] = {
	FIELD(struct word, text, .as = "", .min = 1, .max = 8),
};
static const struct schema word_schema = SCHEMA(struct word, word_fields);

static const struct field pair_fields[] = {
	FIELD(struct pair, left, .required = true, .help = "the left one"),
	FIELD(struct pair, right, .nullable = true, .min = -5, .max = 5),
};
static const struct schema pair_schema = SCHEMA(struct pair, pair_fields);

static const struct field score_fields[] = {
	FIELD(struct score, id, .min = 1, .help = "a character"),
	FIELD(struct score, points, .as = "", .max = 1000),
};
static const struct schema score_schema = SCHEMA(struct score, score_fields);

static const struct field group_fields[] = {
	FIELD(struct group, name, .min = 1, .max = 16),
	FIELD(struct group, pair, .required = true, .of = &pair_schema),
	FIELD(struct group, words, .of = &word_schema, .max = 4),
};
static const struct schema group_schema = SCHEMA(struct group, group_fields);

static const struct field mark_fields[] = {
	FIELD(struct mark, id),
	FIELD(struct mark, on, .as = ""),
};
static const struct schema mark_schema = SCHEMA(struct mark, mark_fields);

static const struct field inner_fields[] = {
	FIELD(struct pair, left, .preset = "7"),
	FIELD(struct pair, right),
};
static const struct schema inner_schema = SCHEMA(struct pair, inner_fields);

static const struct field every_fields[] = {
	FIELD(struct every_kind, flag, .preset = "on"),
	FIELD(struct every_kind, count, .required = true, .min = 1, .max = 64, .help = "how many"),
	FIELD(struct every_kind, maybe, .min = 1),
	FIELD(struct every_kind, ratio),
	FIELD(struct every_kind, name, .min = 3, .max = 8, .preset = "nobody"),
	FIELD(struct every_kind, password, .secret = true, .max = 128),
	FIELD(struct every_kind, colour, .choices = colours, .n_choices = ARRAY_LEN(colours), .preset = "green"),
	FIELD(struct every_kind, id, .nullable = true),
	FIELD(struct every_kind, at),
	FIELD(struct every_kind, extra),
	FIELD(struct every_kind, words, .of = &word_schema, .max = 4),
	FIELD(struct every_kind, pairs, .of = &pair_schema),
	FIELD(struct every_kind, scores, .of = &score_schema, .min = 0, .max = 64),
	FIELD(struct every_kind, groups, .of = &group_schema),
	FIELD(struct every_kind, marks, .of = &mark_schema),
	FIELD(struct every_kind, inner, .of = &inner_schema),
	FIELD(struct every_kind, other, .of = &pair_schema, .nullable = true),
	FIELD(struct every_kind, alone, .of = &word_schema),
};
static const struct schema every_schema = SCHEMA(struct every_kind, every_fields, .name = "every kind");

#endif
