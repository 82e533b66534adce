#include <stdio.h>
#include <string.h>

#include "check.h"
#include "every_kind.h"

static struct scratch scratch;

/* Secrets ---------------------------------------------------------------------------------------------------------- */

struct login {
	const char *login;
	const char *password;
	struct word *note;
	struct list tokens;
};
static const struct field token_fields[] = { FIELD(struct word, text, .as = "", .secret = true) };
static const struct schema token_schema = SCHEMA(struct word, token_fields);
static const struct field login_fields[] = {
	FIELD(struct login, login),
	FIELD(struct login, password, .secret = true),
	FIELD(struct login, note, .of = &word_schema),
	FIELD(struct login, tokens, .of = &token_schema),
};
static const struct schema login_schema = SCHEMA(struct login, login_fields);

static void blanks_secrets(void)
{
	static const struct {
		const char *json, *blanked;
	} cases[] = {
		{ "{\"login\":\"a\",\"password\":\"s3\"}", "{\"login\":\"a\",\"password\":\"[secret]\"}" },
		{ "{\"password\":{\"x\":\"s3\"},\"password\":\"s3\"}",
			"{\"password\":\"[secret]\",\"password\":\"[secret]\"}" },
		{ "{\"login\":{\"password\":\"s3\"},\"note\":7}", "{\"login\":null,\"note\":7}" },
		{ "{\"pasword\":\"s3\"}", "{\"pasword\":null}" },
		{ "[\"s3\"]", "null" },
		{ "\"s3\"", "null" },
		{ "{\"tokens\":[\"s3\",{\"a\":\"s3\"}]}", "{\"tokens\":[\"[secret]\",\"[secret]\"]}" },
		{ "{\"tokens\":\"s3\"}", "{\"tokens\":null}" },
	};

	CHECK(schema_has_secret(&login_schema));
	CHECK(schema_has_secret(&every_schema));
	CHECK(!schema_has_secret(&group_schema));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(text_release) struct text blanked = { 0 };
		struct error err;

		scratch_reset(&scratch);
		schema_write_blanked(
			&login_schema, json_parse(cases[i].json, strlen(cases[i].json), &scratch, &err), &blanked);
		CHECK_STR(text_str(&blanked), cases[i].blanked);
		CHECK(!strstr(text_str(&blanked), "s3"));
	}
}

static void a_schema_without_secrets_is_written_whole(void)
{
	static const char json[] = "{\"left\":1,\"other\":{\"x\":[2]}}";
	CLEANUP(text_release) struct text blanked = { 0 };
	struct error err;

	scratch_reset(&scratch);
	schema_write_blanked(&pair_schema, json_parse(json, strlen(json), &scratch, &err), &blanked);
	CHECK_STR(text_str(&blanked), json);
}

/* Text ------------------------------------------------------------------------------------------------------------- */

struct knobs {
	bool on;
	int64_t number;
	int64_t wait_ms;
	int64_t widen;
	double factor;
	const char *word;
	const char *key;
	int colour;
	struct list delays;
	struct list keys;
};
struct delay {
	int64_t ms;
};
static const struct field delay_fields[] = { FIELD(
	struct delay, ms, .as = "", .unit = UNIT_MS, .min = 1, .max = 600000) };
static const struct schema delay_schema = SCHEMA(struct delay, delay_fields);
static const struct schema key_schema = SCHEMA(struct word, word_fields);
static const struct field knobs_fields[] = {
	FIELD(struct knobs, on),
	FIELD(struct knobs, number, .min = 1, .max = 64),
	FIELD(struct knobs, wait_ms, .unit = UNIT_MS, .min = 1000, .max = 3600000),
	FIELD(struct knobs, widen, .unit = UNIT_OFF, .min = 1, .max = 100),
	FIELD(struct knobs, factor),
	FIELD(struct knobs, word, .min = 2, .max = 4),
	FIELD(struct knobs, key, .secret = true, .max = 4),
	FIELD(struct knobs, colour, .choices = colours, .n_choices = ARRAY_LEN(colours)),
	FIELD(struct knobs, delays, .of = &delay_schema, .min = 1, .max = 3),
	FIELD(struct knobs, keys, .of = &key_schema, .secret = true),
};
static const struct schema knobs_schema = SCHEMA(struct knobs, knobs_fields);

static const char *read_text(struct knobs *knobs, const char *name, const char *text)
{
	static struct error err;

	for (size_t i = 0; i < knobs_schema.n_fields; i++)
		if (!strcmp(knobs_fields[i].name, name))
			return field_read_text(&knobs_fields[i], knobs, text, &scratch, &err) ? err.text : "";
	return "no such field";
}

static void reads_text(void)
{
	struct knobs knobs = { 0 };
	const struct delay *delays;

	schema_check(&knobs_schema);
	scratch_reset(&scratch);
	CHECK_STR(read_text(&knobs, "on", "on"), "");
	CHECK(knobs.on);
	CHECK_STR(read_text(&knobs, "on", "false"), "");
	CHECK(!knobs.on);
	CHECK_STR(read_text(&knobs, "number", "64"), "");
	CHECK_INT(knobs.number, 64);
	CHECK_STR(read_text(&knobs, "wait_ms", "6m"), "");
	CHECK_INT(knobs.wait_ms, 360000);
	CHECK_STR(read_text(&knobs, "widen", "15"), "");
	CHECK_INT(knobs.widen, 15);
	CHECK_STR(read_text(&knobs, "widen", "off"), "");
	CHECK_INT(knobs.widen, 0);
	CHECK_STR(read_text(&knobs, "factor", "-1.5"), "");
	CHECK_STR(read_text(&knobs, "colour", "blue"), "");
	CHECK_INT(knobs.colour, 2);
	CHECK_STR(read_text(&knobs, "delays", "1s, 10s ,10m"), "");
	CHECK_INT(knobs.delays.n, 3);
	delays = knobs.delays.items;
	CHECK_INT(delays[0].ms, 1000);
	CHECK_INT(delays[1].ms, 10000);
	CHECK_INT(delays[2].ms, 600000);
}

static void refuses_text(void)
{
	static const struct {
		const char *name, *text, *reason;
	} cases[] = {
		{ "on", "maybe", "\"maybe\" must be on or off" },
		{ "number", "0", "\"0\" must be between 1 and 64" },
		{ "number", " 1", "\" 1\" is not a whole number" },
		{ "number", "1x", "\"1x\" is not a whole number" },
		{ "number", "", "\"\" is not a whole number" },
		{ "number", "99999999999999999999", "\"99999999999999999999\" is not a whole number" },
		{ "wait_ms", "6x", "\"6x\" is not a duration (a whole number and its unit: 500ms, 10s, 6m, 24h, 30d)" },
		{ "wait_ms", "6", "\"6\" is not a duration (a whole number and its unit: 500ms, 10s, 6m, 24h, 30d)" },
		{ "wait_ms", "0", "\"0\" must be between 1s and 1h" },
		{ "wait_ms", "2d", "\"2d\" must be between 1s and 1h" },
		{ "wait_ms", "9999999999999999999d",
			"\"9999999999999999999d\" is not a duration (a whole number and its unit: 500ms, 10s, 6m, 24h, "
			"30d)" },
		{ "widen", "never", "\"never\" is not a whole number" },
		{ "factor", "nan", "\"nan\" is not a number" },
		{ "word", "x", "\"x\" must be 2 to 4 characters long" },
		{ "word", "\xff\xff", "the value is not valid UTF-8" },
		{ "key", "hunter2", "the value must be at most 4 characters long" },
		{ "keys", "hunter2,correct horse", "the value must be 1 to 8 characters long" },
		{ "keys", "a,,b", "the value has an empty entry" },
		{ "colour", "pink", "\"pink\" must be one of red, green, blue" },
		{ "delays", "", "\"\" must not be empty" },
		{ "delays", "1s,,2s", "\"1s,,2s\" has an empty entry" },
		{ "delays", "1s,2s,3s,4s", "\"1s,2s,3s,4s\" must have 1 to 3 entries" },
		{ "delays", "1s,2", "\"2\" is not a duration (a whole number and its unit: 500ms, 10s, 6m, 24h, 30d)" },
	};
	struct knobs knobs;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		memset(&knobs, 0, sizeof(knobs));
		CHECK_STR(read_text(&knobs, cases[i].name, cases[i].text), cases[i].reason);
		CHECK(!memcmp(&knobs, &(struct knobs){ 0 }, sizeof(knobs)));
	}
}

static const struct check_test tests[] = {
	CHECK_TEST(blanks_secrets),
	CHECK_TEST(a_schema_without_secrets_is_written_whole),
	CHECK_TEST(reads_text),
	CHECK_TEST(refuses_text),
};

int main(int argc, char **argv)
{
	int rc;

	scratch_init(&scratch, 1 << 20);
	rc = check_main(tests, ARRAY_LEN(tests), argc, argv);
	scratch_release(&scratch);
	return rc;
}
