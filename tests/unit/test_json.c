#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "json.h"
#include "text.h"

static struct scratch scratch;

static const cJSON *parse(const char *json, size_t len, struct error *err)
{
	scratch_reset(&scratch);
	scratch.cap = 1 << 20;
	return json_parse(json, len, &scratch, err);
}

/* What comes out again of what went in, or what is said against it. Valid until the next call. */
static const char *again(const char *json, size_t len)
{
	static struct text written;
	static struct error err;
	/* Memory of exactly this length, so that the sanitizer sees a byte read past it. */
	CLEANUP(release_memory) char *exact = must_alloc(len);
	const cJSON *tree;

	if (len)
		memcpy(exact, json, len);
	tree = parse(exact, len, &err);
	if (!tree)
		return err.text;
	text_reset(&written);
	json_write(&written, tree);
	return text_str(&written);
}

static void takes_json(void)
{
	static const char *const cases[][2] = {
		{ "0", "0" },
		{ "-0", "0" },
		{ "1.0", "1" },
		{ "1e3", "1000" },
		{ "1E-2", "0.01" },
		{ "1e+2", "100" },
		{ "-1.5e0", "-1.5" },
		{ "123456789012345678901234567890", "123456789012345678901234567890" },
		{ "-9007199254740993", "-9007199254740993" },
		{ "0.1", "0.1" },
		{ "1e-400", "0" },
		{ "4.9e-324", "4.94065645841247e-324" },
		{ "1.7976931348623157e308", "1.7976931348623157e+308" },
		{ "true", "true" },
		{ " \t\r\n null \t\r\n ", "null" },
		{ "\"\"", "\"\"" },
		{ "\"\x7f\"", "\"\x7f\"" },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\"" },
		{ "\"\\u00e9\\u20AC\\uD83D\\ude00\"", "\"é€😀\"" },
		{ "\"\\u0001\\u001f\"", "\"\\u0001\\u001f\"" },
		{ "\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"",
			"\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"" },
		{ "\"\xed\x9f\xbf\xee\x80\x80\"", "\"\xed\x9f\xbf\xee\x80\x80\"" },
		{ "[]", "[]" },
		{ "{}", "{}" },
		{ "[[],{},[{}]]", "[[],{},[{}]]" },
		{ "{\"\":0}", "{\"\":0}" },
		{ "{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}" },
		{ "{\"a\" : [ 1 , { \"b\" : null } ] , \"c\" : false }", "{\"a\":[1,{\"b\":null}],\"c\":false}" },
		{ "[1234567890123456,{\"x\":[2]},\"s\",98765432109876543210]",
			"[1234567890123456,{\"x\":[2]},\"s\",98765432109876543210]" },
		{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
			"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		CHECK_STR(again(cases[i][0], strlen(cases[i][0])), cases[i][1]);
}

static void refuses_what_is_not_json(void)
{
	static const char *const cases[] = { "", " ", "\n", "nul", "nulll", "True", "NaN", "Infinity", "-Infinity",
		"+1", "01", "-01", "00", "1.", ".5", "-.5", "1.e1", "1e", "1e+", "1e-", "-", "--1", "0x10", "1_000",
		"1,000", "1 2", "[1 2]", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[,]", "[1}", "[1]]", "[1],", "{", "}",
		"{]", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{\"a\" 1}", "{\"a\",1}", "{a:1}",
		"{1:1}", "{'a':1}", "{\"a\":1 \"b\":2}", "{\"a\":1;}", "{,}", "{:1}", "{\"a\"::1}", "{\"a\":1}}",
		"{null:1}", "\"", "\"a", "\"\\\"", "\"\\", "\"\\\"x", "'a'", "\"\\x41\"", "\"\\a\"", "\"\\U0041\"",
		"\"\\u\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\u 123\"", "\"\\u+123\"", "\"\\ud83d\\u12\"", "\"\n\"",
		"\"\t\"", "\"\x1f\"", "\"\x01\"", "// x\n1", "1 // x", "/* x */ 1", "1#", "\357\273\2771", "\377\3761",
		"\"\x80\"", "\"\xbf\"", "\"\xc0\x80\"", "\"\xc1\xbf\"", "\"\xc2\"", "\"\xc2 \"", "\"\xe0\x80\x80\"",
		"\"\xe0\x9f\xbf\"", "\"\xe2\x82\"", "\"\xed\xa0\x80\"", "\"\xed\xbf\xbf\"", "\"\xf0\x80\x80\x80\"",
		"\"\xf0\x8f\xbf\xbf\"", "\"\xf0\x9f\x98\"", "\"\xf4\x90\x80\x80\"", "\"\xf5\x80\x80\x80\"",
		"\"\xf8\x88\x80\x80\x80\"", "\"\xfe\"", "\"\xff\"", "\302\2401", "\342\200\2501", "1\f", "\v1",
		"[\"a\",\n4\n,1,", "{\"a\":\"b\"}#", "[1\x01]", "a\xc3\xa5", "<html>" };
	struct error err;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(release_memory) char *exact = must_alloc(strlen(cases[i]));

		memcpy(exact, cases[i], strlen(cases[i]));
		if (!CHECK(!parse(exact, strlen(cases[i]), &err)) || !CHECK_STR(code_name(err.code), "invalid_json"))
			fprintf(stderr, "\tfor %s\n", cases[i]);
	}
	CHECK(!parse("1\0", 2, &err));
	CHECK(!parse("\"a\0b\"", 5, &err));
	CHECK_STR(code_name(err.code), "invalid_json");
}

static void refuses_what_cannot_be_taken(void)
{
	static const char *const cases[][2] = {
		{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
			"0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0: nested too deep: more than "
			"32 "
			"levels" },
		{ "{\"a\":{\"b\":[1,\"x\\u0000y\"]}}", "a.b.1: must not contain U+0000" },
		{ "{\"a\\u0000\":1}", "must not contain U+0000" },
		{ "{\"o\":{\"a\\u0000\":1}}", "o: must not contain U+0000" },
		{ "\"\\ud800\"", "must not contain half a surrogate pair" },
		{ "[\"\\udc00\"]", "0: must not contain half a surrogate pair" },
		{ "[\"\\ud800\\ud800\"]", "0: must not contain half a surrogate pair" },
		{ "[\"\\ud800\\n\"]", "0: must not contain half a surrogate pair" },
		{ "{\"n\":1e309}", "n: the number is too large" },
		{ "{\"n\":-1e999999}", "n: the number is too large" },
		{ "{\"n\":1234567890123456789012345678901234567890123456789012345678901}",
			"n: a number must not be longer than 60 characters" },
	};
	struct error err;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (!CHECK(!parse(cases[i][0], strlen(cases[i][0]), &err)))
			continue;
		CHECK_STR(err.text, cases[i][1]);
		CHECK_STR(code_name(err.code), "invalid_payload");
	}
}

static void says_where(void)
{
	CHECK_STR(again("{\"a\":1,}", 8), "at byte 8: expected a name in quotes");
	CHECK_STR(again("[1, tru]", 8), "at byte 5: expected a value");
	CHECK_STR(again("[1", 2), "the text ends early, at byte 2: expected a comma or ]");
	CHECK_STR(again("1 x", 3), "at byte 3: only one value may be there");
}

static void a_nesting_bomb_is_harmless(void)
{
	CLEANUP(release_memory) char *bomb = must_alloc(1 << 20);
	struct error err;

	memset(bomb, '[', 1 << 20);
	CHECK(!parse(bomb, 1 << 20, &err));
	for (size_t i = 0; i + 5 <= 1 << 20; i += 5)
		memcpy(bomb + i, "{\"\":", 5);
	CHECK(!parse(bomb, 1 << 20, &err));
}

static void memory_is_bounded_by_the_scratch(void)
{
	CLEANUP(text_release) struct text zeros = { 0 };
	struct error err;

	text_str_add(&zeros, "[0");
	for (int i = 0; i < 100000; i++)
		text_str_add(&zeros, ",0");
	text_str_add(&zeros, "]");
	CHECK(!parse(zeros.bytes, zeros.len, &err));
	CHECK_STR(code_name(err.code), "invalid_payload");
	CHECK_STR(err.text, "message too large");
	CHECK(scratch.used <= 1 << 20);
	/* The thread parses again as if nothing had been. */
	CHECK_STR(again("[1]", 3), "[1]");
	/* Every other room, from none to enough, either fails in words or succeeds. */
	for (size_t cap = 0;; cap += 16) {
		scratch_reset(&scratch);
		scratch.cap = cap;
		if (json_parse("{\"a\":[12345678901234567890,\"x\"]}", 32, &scratch, &err))
			break;
		if (!CHECK_STR(err.text, cap < 48 ? err.text : "message too large") || !CHECK(cap < 4096))
			break;
	}
}

/* The digest ------------------------------------------------------------------------------------------------------ */

static const char *digest_of(const char *json)
{
	static char hex[2 * JSON_DIGEST_LEN + 1];
	unsigned char digest[JSON_DIGEST_LEN];
	struct error err;
	const cJSON *tree = parse(json, strlen(json), &err);

	if (!CHECK(tree != NULL))
		return "";
	json_digest(tree, digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	return hex;
}

static void digest_is_of_the_canonical_text(void)
{
	/* printf '%s' '{"a":[1,2.5,"é\n"],"b":null}' | b2sum -l 256 */
	CHECK_STR(digest_of(" { \"b\" : null , \"a\" : [ 1.0 , 25e-1 , \"\\u00e9\\n\" ] } "),
		"d17fe50981cf5e7bbc2791fcf4b2a56319bb67756089eda9536e6f5d0731b04b");
}

static void spellings_of_one_document_agree(void)
{
	static const char *const pairs[][2] = {
		{ "{\"a\":1,\"b\":2}", "{ \"b\":2.0,\n\"a\":1e0 }" },
		{ "100000000000000000000", "1e20" },
		{ "[0]", "[-0.0]" },
		{ "\"\\u0041\\/\"", "\"A/\"" },
		{ "{\"x\":{\"é\":1,\"z\":2,\"\":3}}", "{\"x\":{\"\":3,\"z\":2,\"\\u00e9\":1}}" },
		{ "{\"a\":1,\"a\":2,\"0\":0}", "{\"0\":0,\"a\":1,\"a\":2}" },
	};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		char first[80];

		snprintf(first, sizeof(first), "%s", digest_of(pairs[i][0]));
		CHECK_STR(digest_of(pairs[i][1]), first);
	}
}

static void different_documents_differ(void)
{
	static const char *const all[] = { "null", "false", "true", "0", "1", "\"\"", "\"0\"", "\"null\"", "[]", "{}",
		"[[]]", "[[],[]]", "[{}]", "[0]", "[0,0]", "[\"0\"]", "{\"a\":0}", "{\"a\":[0]}", "{\"a\":\"0\"}",
		"{\"b\":0}", "{\"a\":0,\"b\":0}", "{\"a\":1,\"a\":2}", "{\"a\":2,\"a\":1}", "[1,2]", "[2,1]", "[12]",
		"[\"a\",\"b\"]", "[\"a,b\"]", "[\"a\\\",\\\"b\"]", "0.1", "0.10000000000000002" };
	char digests[ARRAY_LEN(all)][80];

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		snprintf(digests[i], sizeof(digests[i]), "%s", digest_of(all[i]));
		for (size_t j = 0; j < i; j++)
			if (!CHECK(strcmp(digests[i], digests[j]) != 0))
				fprintf(stderr, "\tfor %s and %s\n", all[i], all[j]);
	}
}

static void large_objects_are_sorted_too(void)
{
	CLEANUP(text_release) struct text up = { 0 };
	CLEANUP(text_release) struct text down = { 0 };
	char first[80];

	json_open(&up, '{');
	json_open(&down, '{');
	for (int i = 0; i < 1000; i++) {
		char key[32];

		snprintf(key, sizeof(key), "key %d", i);
		json_key_int(&up, key, i);
		snprintf(key, sizeof(key), "key %d", 999 - i);
		json_key_int(&down, key, 999 - i);
	}
	json_close(&up, '}');
	json_close(&down, '}');
	snprintf(first, sizeof(first), "%s", digest_of(text_str(&up)));
	CHECK_STR(digest_of(text_str(&down)), first);
}

/* Threads --------------------------------------------------------------------------------------------------------- */

static void *parse_much(void *unused)
{
	CLEANUP(scratch_release) struct scratch own;

	(void)unused;
	scratch_init(&own, 1 << 16);
	for (int i = 0; i < 2000; i++) {
		static const char json[] = "{\"a\":[1,2,{\"b\":\"text\"}],\"c\":12345678901234567890}";
		unsigned char digest[JSON_DIGEST_LEN];
		struct error err;
		const cJSON *tree = json_parse(json, sizeof(json) - 1, &own, &err);

		if (!CHECK(tree != NULL))
			break;
		json_digest(tree, digest);
		scratch_reset(&own);
	}
	return NULL;
}

static void threads_do_not_meet(void)
{
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		CHECK_INT(pthread_create(&threads[i], NULL, parse_much, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
}

static const struct check_test tests[] = {
	CHECK_TEST(takes_json),
	CHECK_TEST(refuses_what_is_not_json),
	CHECK_TEST(refuses_what_cannot_be_taken),
	CHECK_TEST(says_where),
	CHECK_TEST(a_nesting_bomb_is_harmless),
	CHECK_TEST(memory_is_bounded_by_the_scratch),
	CHECK_TEST(digest_is_of_the_canonical_text),
	CHECK_TEST(spellings_of_one_document_agree),
	CHECK_TEST(different_documents_differ),
	CHECK_TEST(large_objects_are_sorted_too),
	CHECK_TEST(threads_do_not_meet),
};

int main(int argc, char **argv)
{
	int rc;

	scratch_init(&scratch, 1 << 20);
	rc = check_main(tests, ARRAY_LEN(tests), argc, argv);
	scratch_release(&scratch);
	return rc;
}
