/* link: services/state-backup/snapshot.c services/state-backup/session_kinds.c services/state-backup/combat_session.c services/state-backup/inventory_session.c services/state-backup/scenario_session.c */
#include "services/state-backup/snapshot.h"

#include <string.h>

#include "tests/unit/check.h"

#define CHAR_ID 101
#define SOME_UUID "0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11"

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){ text, strlen(text) };
}

/* Reads a cache with one field; the problem, or NULL. */
static const char *read_one(enum cache_field field, struct bytes value, struct scratch *scratch, struct snapshot *out)
{
	struct cache cache = { .fields = { [CACHE_STATE] = { NULL, 0 } } };

	cache.fields[field] = value;
	return snapshot_read(CHAR_ID, &cache, scratch, scratch, out);
}

static void a_whole_cache_is_read(void)
{
	struct scratch scratch;
	struct snapshot s;
	struct cache cache = { .fields = {
				       [CACHE_STATE] = bytes_of("combat"),
				       [CACHE_LOCATION] = bytes_of("{\"current\":\"forest\",\"prev\":null}"),
				       [CACHE_BIO] = bytes_of("{\"name\":\"Анна\",\"gender\":\"female\","
							      "\"created_at\":\"2025-01-02T03:04:05.678Z\"}"),
				       [CACHE_STATS] = bytes_of("[1]"),
				       [CACHE_VITALS] = bytes_of("{\"hp\":{}}"),
				       [CACHE_LAST_COMBAT] = bytes_of(SOME_UUID),
			       } };

	scratch_init(&scratch, 1 << 20);
	cache.sessions[0] = bytes_of(SOME_UUID);
	CHECK(cache_is_live(&cache));
	CHECK_STR(snapshot_read(CHAR_ID, &cache, &scratch, &scratch, &s), NULL);
	CHECK_INT(s.char_id, CHAR_ID);
	CHECK(s.live);
	CHECK_STR(s.state, "combat");
	CHECK(s.has_current && s.has_prev);
	CHECK_STR(s.current, "forest");
	CHECK_STR(s.prev, NULL);
	CHECK_STR(s.name, "Анна");
	CHECK_STR(s.gender, "female");
	CHECK_INT(s.created_at_us, 1735787045678000);
	CHECK_STR(s.stats.at, "[1]");
	CHECK_INT((int64_t)s.vitals.len, 9);
	CHECK(!uuid_is_nil(&s.last_combat) && !uuid_is_nil(&s.sessions[0]) && uuid_is_nil(&s.sessions[1]));
	scratch_release(&scratch);
}

static void what_is_absent_is_left_alone(void)
{
	struct scratch scratch;
	struct snapshot s;

	scratch_init(&scratch, 1 << 20);
	CHECK_STR(read_one(CACHE_BIO, bytes_of("{\"gender\":null}"), &scratch, &s), NULL);
	CHECK(!s.live && !s.state && !s.has_current && !s.has_prev && !s.name && !s.gender && !s.created_at_us);
	CHECK(!s.stats.at && !s.vitals.at && uuid_is_nil(&s.sessions[0]));
	CHECK_STR(read_one(CACHE_LOCATION, bytes_of("{\"prev\":\"x\"}"), &scratch, &s), NULL);
	CHECK(!s.has_current && s.has_prev);
	scratch_release(&scratch);
}

static void emptiness_and_life(void)
{
	struct cache cache = { .fields = { [CACHE_STATE] = { NULL, 0 } } };

	CHECK(cache_is_empty(&cache));
	cache.sessions[2] = bytes_of("");
	CHECK(!cache_is_empty(&cache) && !cache_is_live(&cache));
	cache.fields[CACHE_STATE] = bytes_of("idle");
	CHECK(!cache_is_live(&cache));
	cache.fields[CACHE_BIO] = bytes_of("");
	CHECK(cache_is_live(&cache));
}

static void what_cannot_be_read_is_named(void)
{
	static const struct {
		enum cache_field field;
		const char *value, *problem;
	} cases[] = {
		{ CACHE_STATE, "", "state is not text" },
		{ CACHE_STATE, "\xff", "state is not text" },
		{ CACHE_LOCATION, "forest", "location is not JSON" },
		{ CACHE_LOCATION, "[]", "location is not an object" },
		{ CACHE_LOCATION, "{\"current\":5}", "location.current is not a string" },
		{ CACHE_BIO, "{\"name\":{}}", "bio.name is not a string" },
		{ CACHE_BIO, "", "bio is not JSON" },
		{ CACHE_STATS, "{\"a\":01}", "stats is not JSON" },
		{ CACHE_STATS, "\"\\u0000\"", "stats is JSON that cannot be stored" },
		{ CACHE_VITALS, "100", "vitals is not an object" },
	};
	struct scratch scratch;
	struct snapshot s = { .char_id = 7 };

	scratch_init(&scratch, 1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		CHECK_STR(read_one(cases[i].field, bytes_of(cases[i].value), &scratch, &s), cases[i].problem);
	CHECK_STR(read_one(CACHE_STATE, (struct bytes){ "a\0b", 3 }, &scratch, &s), "state is not text");
	CHECK_INT(s.char_id, 7); /* untouched */
	scratch_release(&scratch);
}

static void a_long_string_is_refused(void)
{
	static char bio[CACHE_STRING_MAX + 32];
	struct scratch scratch;
	struct snapshot s;
	size_t n = (size_t)snprintf(bio, sizeof(bio), "{\"name\":\"");

	scratch_init(&scratch, 1 << 20);
	memset(bio + n, 'x', CACHE_STRING_MAX);
	memcpy(bio + n + CACHE_STRING_MAX, "\"}", 3);
	CHECK_STR(read_one(CACHE_BIO, bytes_of(bio), &scratch, &s), NULL);
	memcpy(bio + n + CACHE_STRING_MAX, "x\"}", 4);
	CHECK_STR(read_one(CACHE_BIO, bytes_of(bio), &scratch, &s), "bio.name is too long");
	scratch_release(&scratch);
}

static void session_ids(void)
{
	struct scratch scratch;
	struct snapshot s;
	struct cache cache = { .fields = { [CACHE_STATE] = bytes_of("idle") } };

	scratch_init(&scratch, 1 << 20);
	cache.sessions[1] = bytes_of(""); /* cleared */
	CHECK_STR(snapshot_read(CHAR_ID, &cache, &scratch, &scratch, &s), NULL);
	CHECK(uuid_is_nil(&s.sessions[1]));
	cache.sessions[1] = bytes_of("12");
	CHECK_STR(snapshot_read(CHAR_ID, &cache, &scratch, &scratch, &s), "inventory_session_id is not a UUID");
	cache.sessions[1] = (struct bytes){ SOME_UUID "\0", 37 };
	CHECK_STR(snapshot_read(CHAR_ID, &cache, &scratch, &scratch, &s), "inventory_session_id is not a UUID");
	scratch_release(&scratch);
}

static void fields_are_written_as_read(void)
{
	struct text text = { 0 };

	snapshot_write_location(&text, "a\"b", NULL);
	CHECK_STR(text_str(&text), "{\"current\":\"a\\\"b\",\"prev\":null}");
	text_reset(&text);
	snapshot_write_bio(&text, "Анна", "other", 1735787045678901);
	CHECK_STR(text_str(&text),
		"{\"name\":\"Анна\",\"gender\":\"other\",\"created_at\":\"2025-01-02T03:04:05.678Z\"}");
	text_release(&text);
}

static void prefixes_are_the_kinds_own(void)
{
	CHECK_STR(session_key_prefix(session_kinds[0], "cs:"), "cs:");
	CHECK_STR(session_key_prefix(session_kinds[0], NULL), "combat:session:");
	CHECK_STR(session_key_prefix(session_kinds[1], "cs:"), "inventory:session:");
}

static const struct check_test tests[] = {
	CHECK_TEST(a_whole_cache_is_read),
	CHECK_TEST(what_is_absent_is_left_alone),
	CHECK_TEST(emptiness_and_life),
	CHECK_TEST(what_cannot_be_read_is_named),
	CHECK_TEST(a_long_string_is_refused),
	CHECK_TEST(session_ids),
	CHECK_TEST(fields_are_written_as_read),
	CHECK_TEST(prefixes_are_the_kinds_own),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
