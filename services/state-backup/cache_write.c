#include "cache_write.h"

#include <string.h>

#include "cache_store.h"

#define REPEAT_MS 600000
#define DIRTY_KEY "dirty_accounts"
#define REPEAT_PREFIX "restore:done:"
#define SCRATCH_CAP ((size_t)256 << 20)

extern const char cache_write_lua[];
static const struct kv_script write_caches = { .name = "write_caches", .lua = cache_write_lua };

#define FIXED_MAX (5 + 2 * SESSION_KINDS_MAX)
#define PER_CHARACTER_MAX (4 + 2 * CACHE_FIELDS + 2 * SESSION_KINDS_MAX)

struct arguments {
	struct scratch *scratch;
	const char **at;
	size_t *lens;
	size_t n;
};

static void add_bytes(struct arguments *arguments, const char *bytes, size_t len)
{
	arguments->at[arguments->n] = bytes;
	arguments->lens[arguments->n++] = len;
}

static void add(struct arguments *arguments, const char *string)
{
	add_bytes(arguments, string, strlen(string));
}

static void add_number(struct arguments *arguments, int64_t number)
{
	add(arguments, scratch_printf(arguments->scratch, "%lld", (long long)number));
}

static void add_field(struct arguments *arguments, enum cache_field field, const char *bytes, size_t len)
{
	add(arguments, cache_field_names[field]);
	add_bytes(arguments, bytes, len);
}

static void add_written(struct arguments *arguments, enum cache_field field, const struct text *text)
{
	add_field(arguments, field, scratch_memdup(arguments->scratch, text->bytes, text->len), text->len);
}

static void add_fields(struct arguments *arguments, const struct character *row)
{
	CLEANUP(text_release) struct text location = { 0 };
	CLEANUP(text_release) struct text bio = { 0 };
	char *last_combat = scratch_alloc(arguments->scratch, UUID_TEXT_MAX);
	add(arguments, row->has_last_combat ? "6" : "5");
	add_field(arguments, CACHE_STATE, row->game_stage, strlen(row->game_stage));
	snapshot_write_location(&location, row->location_id, row->prev_location_id);
	add_written(arguments, CACHE_LOCATION, &location);
	snapshot_write_bio(&bio, row->name, row->gender, row->created_at_us);
	add_written(arguments, CACHE_BIO, &bio);
	add_field(arguments, CACHE_STATS, row->stats.at ? row->stats.at : "{}", row->stats.at ? row->stats.len : 2);
	add_field(arguments, CACHE_VITALS, row->vitals.at, row->vitals.len);
	if (row->has_last_combat)
		add_field(arguments, CACHE_LAST_COMBAT, uuid_format(&row->last_combat, last_combat), UUID_TEXT_MAX - 1);
}

static void add_character(struct arguments *arguments, const struct cache_write *write)
{
	add_number(arguments, write->row->id);
	add(arguments, write->force ? "1" : "0");
	add_fields(arguments, write->row);
	for (size_t kind = 0; kind < n_session_kinds; kind++) {
		const struct session *session = write->sessions[kind];
		add(arguments, session ? cache_session_id(session, arguments->scratch) : "");
		add(arguments, session && session->there ? "1" : "0");
	}
}

const char *cache_session_id(const struct session *session, struct scratch *scratch)
{
	if (session->key_id)
		return scratch_strdup(scratch, session->key_id);
	return uuid_format(&session->id, scratch_alloc(scratch, UUID_TEXT_MAX));
}

void cache_queue_writes(
	struct kv *kv, const char *ticket_key, const char *repeat_id, const struct cache_write *writes, size_t n)
{
	CLEANUP(scratch_release) struct scratch scratch;
	scratch_init(&scratch, SCRATCH_CAP);
	const size_t max = FIXED_MAX + n * PER_CHARACTER_MAX;
	struct arguments arguments = {
		.scratch = &scratch,
		.at = scratch_array(&scratch, max, sizeof(char *)),
		.lens = scratch_array(&scratch, max, sizeof(size_t)),
	};
	add(&arguments, ticket_key);
	add(&arguments, DIRTY_KEY);
	add(&arguments, scratch_printf(&scratch, REPEAT_PREFIX "%s", repeat_id ? repeat_id : ""));
	for (size_t i = 0; i < n; i++)
		add(&arguments, cache_key(writes[i].row->id, scratch_alloc(&scratch, CACHE_KEY_MAX)));
	const size_t n_keys = arguments.n;
	add_number(&arguments, repeat_id ? REPEAT_MS : 0);
	add_number(&arguments, (int64_t)n_session_kinds);
	for (size_t kind = 0; kind < n_session_kinds; kind++) {
		add(&arguments, session_kinds[kind]->name);
		add(&arguments, session_kinds[kind]->field);
	}
	for (size_t i = 0; i < n; i++)
		add_character(&arguments, &writes[i]);
	kv_queue_script(kv, &write_caches, n_keys, arguments.n, arguments.at, arguments.lens);
}

void cache_queue_repeated(struct kv *kv, const char *repeat_id, int64_t char_id)
{
	kv_queue(kv, "SISMEMBER " REPEAT_PREFIX "%s %lld", repeat_id, (long long)char_id);
}
