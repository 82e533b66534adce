#include <stdio.h>
#include <string.h>

#include "check.h"
#include "every_kind.h"

static struct scratch scratch;
static struct problems problems;

/* Reads JSON into out; the problems as "field: problem" lines, "" when there are none. Valid until the next reading. */
static const char *read_as(const struct schema *schema, const char *json, void *out)
{
	static struct text found;
	struct error err;
	const cJSON *tree;
	int rc;

	scratch_reset(&scratch);
	scratch.cap = 1 << 20;
	problems.n = 0;
	text_reset(&found);
	tree = json_parse(json, strlen(json), &scratch, &err);
	if (!tree)
		return "the test's JSON is wrong";
	rc = schema_read(schema, tree, out, &scratch, &problems);
	CHECK_INT(rc, problems.n ? -1 : 0);
	for (size_t i = 0; i < problems.n && i < PROBLEMS_MAX; i++)
		text_printf(&found, "%s%s: %s", i ? "\n" : "", problems.items[i].field, problems.items[i].problem);
	return text_str(&found);
}

static const char *read_every(const char *json)
{
	static struct every_kind every;

	return read_as(&every_schema, json, &every);
}

/* What is written of what was read. */
static const char *again(const char *json)
{
	static struct text written;
	static struct every_kind every;

	CHECK_STR(read_as(&every_schema, json, &every), "");
	text_reset(&written);
	schema_write(&every_schema, &every, &written);
	return text_str(&written);
}

static void tables_are_sound(void)
{
	schema_check(&every_schema);
}

static void reads_what_is_left_out(void)
{
	struct every_kind every;

	memset(&every, 0xff, sizeof(every));
	CHECK_STR(read_as(&every_schema, "{\"count\":1}", &every), "");
	CHECK(every.flag);
	CHECK_INT(every.count, 1);
	CHECK(!every.maybe.set);
	CHECK_STR(every.name, "nobody");
	CHECK_STR(every.password, NULL);
	CHECK_INT(every.colour, 1);
	CHECK(uuid_is_nil(&every.id));
	CHECK_INT(every.at.us, 0);
	CHECK_STR(every.extra.text, NULL);
	CHECK_INT(every.words.n, 0);
	CHECK_INT(every.inner.left, 7);
	CHECK(!every.inner.right.set);
	CHECK(!every.other);
	CHECK(!every.alone);
}

static void reads_every_kind(void)
{
	struct every_kind every;
	const struct word *words;
	const struct score *scores;
	const struct group *groups;

	CHECK_STR(
		read_as(&every_schema,
			"{\"flag\":false,\"count\":1e1,\"maybe\":2.0,\"ratio\":-0.5,\"name\":"
			"\"\\u0416\xd0\x96\xf0\x9f\x98\x80\","
			"\"colour\":\"blue\",\"id\":\"0B9C0C1E-7A0E-4A53-9F3E-0D5A2F1A6B11\",\"at\":\"1970-01-01T00:00:"
			"01.5Z\","
			"\"extra\":{\"b\": [1, null], \"a\":{}},\"words\":[\"x\",\"yy\"],\"pairs\":[{\"left\":1}],"
			"\"scores\":{\"20\":5,\"3\":0},\"groups\":{\"b\":{\"pair\":{\"left\":2}},"
			"\"a\":{\"pair\":{\"left\":-1,\"right\":null},\"words\":[\"z\"]}},\"marks\":{},"
			"\"inner\":{\"right\":9},\"other\":{\"left\":4,\"right\":-5},\"alone\":\"w\",\"unknown\":[1]}",
			&every),
		"");
	CHECK(!every.flag);
	CHECK_INT(every.count, 10);
	CHECK_INT(every.maybe.value, 2);
	CHECK(every.ratio == -0.5);
	CHECK_STR(every.name, "ЖЖ😀");
	CHECK_INT(every.colour, 2);
	CHECK_INT(every.id.bytes[0], 0x0b);
	CHECK_INT(every.at.us, 1500000);
	CHECK_STR(every.extra.text, "{\"b\":[1,null],\"a\":{}}");
	CHECK_INT(every.extra.len, strlen(every.extra.text));
	CHECK_INT(every.words.n, 2);
	words = every.words.items;
	CHECK_STR(words[1].text, "yy");
	CHECK_INT(every.pairs.n, 1);
	CHECK_INT(every.scores.n, 2);
	scores = every.scores.items;
	CHECK_INT(scores[0].id, 3);
	CHECK_INT(scores[1].points, 5);
	groups = every.groups.items;
	CHECK_STR(groups[0].name, "a");
	CHECK_INT(groups[0].words.n, 1);
	CHECK_INT(groups[1].pair.left, 2);
	CHECK_INT(every.inner.right.value, 9);
	CHECK_INT(every.inner.left, 7);
	CHECK_INT(every.other->right.value, -5);
	CHECK_STR(every.alone->text, "w");
}

static const struct {
	const char *json, *problems;
} wrong[] = {
	{ "{}", "count: is required" },
	{ "[]", ": must be an object, not an array" },
	{ "null", ": must be an object, not null" },
	{ "{\"count\":null}", "count: must be an integer, not null" },
	{ "{\"count\":\"1\"}", "count: must be an integer, not a string" },
	{ "{\"count\":1.5}", "count: must be an integer" },
	{ "{\"count\":0}", "count: must be between 1 and 64" },
	{ "{\"count\":64}", "" },
	{ "{\"count\":65}", "count: must be between 1 and 64" },
	{ "{\"count\":1e300}", "count: must be between 1 and 64" },
	{ "{\"count\":1,\"count\":2}", "count: appears twice" },
	{ "{\"count\":1,\"count\":\"x\",\"count\":3}", "count: appears twice\ncount: appears twice" },
	{ "{\"count\":1,\"c\\u006funt\":2}", "count: appears twice" },
	{ "{\"count\":1,\"maybe\":0}", "maybe: must be at least 1" },
	{ "{\"count\":1,\"maybe\":9007199254740992}", "maybe: must be between 1 and 9007199254740991" },
	{ "{\"count\":1,\"inner\":{\"left\":9007199254740992}}",
		"inner.left: must be between -9007199254740991 and 9007199254740991" },
	{ "{\"count\":1,\"inner\":{\"left\":-9007199254740991}}", "" },
	{ "{\"count\":1,\"ratio\":true}", "ratio: must be a number, not true or false" },
	{ "{\"count\":1,\"name\":\"ab\"}", "name: must be 3 to 8 characters long" },
	{ "{\"count\":1,\"name\":\"\xd0\x96\xd0\x96\xd0\x96\xd0\x96\xd0\x96\xd0\x96\xd0\x96\xd0\x96\"}", "" },
	{ "{\"count\":1,\"name\":null}", "name: must be a string, not null" },
	{ "{\"count\":1,\"colour\":\"pink\"}", "colour: must be one of red, green, blue" },
	{ "{\"count\":1,\"colour\":1}", "colour: must be one of red, green, blue, not a number" },
	{ "{\"count\":1,\"id\":\"x\"}", "id: must be a UUID such as 0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11" },
	{ "{\"count\":1,\"id\":null}", "" },
	{ "{\"count\":1,\"at\":\"2026-02-30T00:00:00Z\"}", "at: must be a time such as 2026-01-31T12:00:00.000Z" },
	{ "{\"count\":1,\"words\":[\"\"]}", "words.0: must not be empty" },
	{ "{\"count\":1,\"words\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}", "words: must have at most 4 entries" },
	{ "{\"count\":1,\"words\":{}}", "words: must be an array, not an object" },
	{ "{\"count\":1,\"pairs\":[{\"left\":1},{\"right\":6},3]}",
		"pairs.1.right: must be between -5 and 5\npairs.1.left: is required\n"
		"pairs.2: must be an object, not a number" },
	{ "{\"count\":1,\"scores\":{\"01\":1}}", "scores.01: the key must be a whole number in decimal" },
	{ "{\"count\":1,\"scores\":{\"-0\":1}}", "scores.-0: the key must be a whole number in decimal" },
	{ "{\"count\":1,\"scores\":{\"+1\":1}}", "scores.+1: the key must be a whole number in decimal" },
	{ "{\"count\":1,\"scores\":{\"\":1}}", "scores.: the key must be a whole number in decimal" },
	{ "{\"count\":1,\"scores\":{\"0\":1}}", "scores.0: the key must be at least 1" },
	{ "{\"count\":1,\"scores\":{\"9007199254740992\":1}}",
		"scores.9007199254740992: the key must be between 1 and 9007199254740991" },
	{ "{\"count\":1,\"scores\":{\"7\":1,\"8\":1,\"7\":2}}", "scores.7: appears twice" },
	{ "{\"count\":1,\"scores\":{\"7\":-1}}", "scores.7: must be between 0 and 1000" },
	{ "{\"count\":1,\"groups\":{\"a\":{\"pair\":{}}}}", "groups.a.pair.left: is required" },
	{ "{\"count\":1,\"groups\":{\"a\":{}}}", "groups.a.pair: is required" },
	{ "{\"count\":1,\"groups\":{\"a\":{\"pair\":{\"left\":1},\"words\":[\"x\",7]}}}",
		"groups.a.words.1: must be a string, not a number" },
	{ "{\"count\":1,\"groups\":{\"\":{\"pair\":{\"left\":1}}}}", "groups.: the key must not be empty" },
	{ "{\"count\":1,\"marks\":{\"x\":true}}", "marks.x: the key must be a UUID" },
	{ "{\"count\":1,\"marks\":{\"0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11\":true,"
	  "\"0B9C0C1E-7A0E-4A53-9F3E-0D5A2F1A6B11\":true}}",
		"marks.0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11: appears twice" },
	{ "{\"count\":1,\"other\":[]}", "other: must be an object, not an array" },
	{ "{\"count\":1,\"alone\":null}", "alone: must be a string, not null" },
	{ "{\"count\":1,\"unknown\":1,\"unknown\":2}", "" },
};

static void names_every_problem(void)
{
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (!CHECK_STR(read_every(wrong[i].json), wrong[i].problems))
			fprintf(stderr, "\tfor %s\n", wrong[i].json);
}

static void keeps_the_first_problems(void)
{
	CLEANUP(text_release) struct text json = { 0 };

	text_str_add(&json, "{\"count\":1,\"pairs\":[");
	for (int i = 0; i < 100; i++)
		text_printf(&json, "%s%d", i ? "," : "", i);
	text_str_add(&json, "]}");
	read_every(text_str(&json));
	CHECK_INT(problems.n, 100);
	CHECK_STR(problems.items[PROBLEMS_MAX - 1].field, "pairs.31");
}

static void cuts_long_names(void)
{
	CLEANUP(text_release) struct text json = { 0 };

	text_str_add(&json, "{\"count\":1,\"scores\":{\"");
	for (int i = 0; i < 10000; i++)
		text_str_add(&json, "Ж");
	text_str_add(&json, "\":1}}");
	read_every(text_str(&json));
	CHECK_INT(problems.n, 1);
	CHECK_INT(strlen(problems.items[0].field), strlen("scores.") + 80);
	CHECK(utf8_valid(problems.items[0].field, strlen(problems.items[0].field)));
}

static void a_message_may_be_too_large(void)
{
	CLEANUP(text_release) struct text json = { 0 };
	struct every_kind every;
	struct error err;
	const cJSON *tree;
	size_t parsed;

	text_str_add(&json, "{\"count\":1,\"pairs\":[{\"left\":1}");
	for (int i = 0; i < 1000; i++)
		text_str_add(&json, ",{\"left\":1}");
	text_str_add(&json, "]}");
	scratch_reset(&scratch);
	scratch.cap = 1 << 20;
	tree = json_parse(json.bytes, json.len, &scratch, &err);
	CHECK(tree != NULL);
	parsed = scratch.used;
	/* Every room from none to enough: a problem each time, never an abort, and in the end success. */
	for (size_t room = 0; room < 64 * 1024; room += 1000) {
		scratch.cap = scratch.used + room;
		problems.n = 0;
		if (!schema_read(&every_schema, tree, &every, &scratch, &problems)) {
			CHECK_INT(every.pairs.n, 1001);
			CHECK(room >= 1001 * sizeof(struct pair));
			return;
		}
		CHECK_INT(problems.n, 1);
		CHECK(scratch.used - parsed <= 64 * 1024 * 32);
	}
	CHECK(!"read at last");
}

static void writes_what_it_read(void)
{
	static const char full[] =
		"{\"flag\":false,\"count\":10,\"maybe\":2,\"ratio\":0.1,\"name\":\"a\\\"b\\n\",\"password\":\"p\","
		"\"colour\":\"red\",\"id\":\"0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11\",\"at\":\"2026-01-31T12:00:00."
		"123Z\","
		"\"extra\":[12345678901234567890],\"words\":[\"x\"],\"pairs\":[{\"left\":1,\"right\":null}],"
		"\"scores\":{\"3\":1},\"groups\":{},\"marks\":{\"0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11\":true},"
		"\"inner\":{\"left\":1,\"right\":2},\"other\":{\"left\":1,\"right\":3},\"alone\":\"w\"}";

	CHECK_STR(again(full), full);
	CHECK_STR(again("{\"count\":1}"),
		"{\"flag\":true,\"count\":1,\"ratio\":0,\"name\":\"nobody\",\"colour\":\"green\",\"id\":null,"
		"\"words\":[],\"pairs\":[],\"scores\":{},\"groups\":{},\"marks\":{},\"inner\":{\"left\":7},"
		"\"other\":null}");
}

static void describes_itself(void)
{
	CLEANUP(text_release) struct text described = { 0 };
	struct error err;

	schema_describe(&every_schema, &described);
	scratch_reset(&scratch);
	CHECK(json_parse(described.bytes, described.len, &scratch, &err) != NULL);
	CHECK_HAS(described.bytes,
		"\"count\":{\"type\":\"integer\",\"description\":\"how many\",\"minimum\":1,\"maximum\":64}");
	CHECK_HAS(described.bytes, "\"maybe\":{\"type\":\"integer\",\"minimum\":1}");
	CHECK_HAS(described.bytes,
		"\"name\":{\"type\":\"string\",\"minLength\":3,\"maxLength\":8,\"default\":\"nobody\"}");
	CHECK_HAS(described.bytes,
		"\"password\":{\"type\":\"string\",\"minLength\":0,\"maxLength\":128,\"writeOnly\":true}");
	CHECK_HAS(described.bytes,
		"\"colour\":{\"type\":\"string\",\"enum\":[\"red\",\"green\",\"blue\"],\"default\":\"green\"}");
	CHECK_HAS(described.bytes, "\"id\":{\"type\":[\"string\",\"null\"],\"format\":\"uuid\"}");
	CHECK_HAS(described.bytes, "\"at\":{\"type\":\"string\",\"format\":\"date-time\"}");
	CHECK_HAS(described.bytes, "\"extra\":{}");
	CHECK_HAS(described.bytes, "\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":8}");
	CHECK_HAS(described.bytes, "\"additionalProperties\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":1000}");
	CHECK_HAS(described.bytes, "\"required\":[\"count\"]");
}

static const struct check_test tests[] = {
	CHECK_TEST(tables_are_sound),
	CHECK_TEST(reads_what_is_left_out),
	CHECK_TEST(reads_every_kind),
	CHECK_TEST(names_every_problem),
	CHECK_TEST(keeps_the_first_problems),
	CHECK_TEST(cuts_long_names),
	CHECK_TEST(a_message_may_be_too_large),
	CHECK_TEST(writes_what_it_read),
	CHECK_TEST(describes_itself),
};

int main(int argc, char **argv)
{
	int rc;

	scratch_init(&scratch, 1 << 20);
	rc = check_main(tests, ARRAY_LEN(tests), argc, argv);
	scratch_release(&scratch);
	return rc;
}
