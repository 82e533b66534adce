#include "snapshot.h"

#include <string.h>

#include "clock.h"
#include "json.h"

const char *const cache_field_names[CACHE_FIELDS] = {
	"state",
	"location",
	"bio",
	"stats",
	"vitals",
	"last_combat_session_id",
};

bool cache_is_empty(const struct cache *cache)
{
	for (size_t i = 0; i < CACHE_FIELDS; i++)
		if (cache->fields[i].at)
			return false;
	for (size_t i = 0; i < n_session_kinds; i++)
		if (cache->sessions[i].at)
			return false;
	return true;
}

bool cache_is_live(const struct cache *cache)
{
	return cache->fields[CACHE_STATE].at && cache->fields[CACHE_BIO].at;
}

/* One reading: where to put what is kept, and the first thing found wrong. */
struct reading {
	struct scratch *keep, *work;
	const char *problem;
};

static void wrong(struct reading *r, const char *field, const char *member, const char *what)
{
	if (!r->problem)
		r->problem = scratch_printf(r->keep, "%s%s%s %s", field, member ? "." : "", member ? member : "", what);
}

static const cJSON *read_json(struct reading *r, enum cache_field field, const struct bytes *value, bool object)
{
	struct error err;
	const cJSON *json = json_parse(value->at, value->len, r->work, &err);
	if (!json)
		wrong(r, cache_field_names[field], NULL,
			err.code == CODE_INVALID_JSON ? "is not JSON" : "is JSON that cannot be stored");
	else if (object && !cJSON_IsObject(json))
		wrong(r, cache_field_names[field], NULL, "is not an object");
	else
		return json;
	return NULL;
}

/* A member that is a string; *out is untouched when it is absent, NULL when it is null. True when it is there. */
static bool read_member(
	struct reading *r, enum cache_field field, const cJSON *object, const char *member, const char **out)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, member);
	if (!value)
		return false;
	if (cJSON_IsNull(value))
		*out = NULL;
	else if (cJSON_IsString(value) && strlen(value->valuestring) > CACHE_STRING_MAX)
		wrong(r, cache_field_names[field], member, "is too long");
	else if (cJSON_IsString(value))
		*out = scratch_strdup(r->keep, value->valuestring);
	else
		wrong(r, cache_field_names[field], member, "is not a string");
	return true;
}

bool cache_is_text(const struct bytes *value)
{
	return value->len && value->len <= CACHE_STRING_MAX && strlen(value->at) == value->len &&
	       utf8_valid(value->at, value->len);
}

static void read_state(struct reading *r, const struct bytes *value, struct snapshot *out)
{
	if (!value->at)
		return;
	if (!cache_is_text(value))
		wrong(r, cache_field_names[CACHE_STATE], NULL, "is not text");
	else
		out->state = value->at;
}

static void read_location(struct reading *r, const struct bytes *value, struct snapshot *out)
{
	const cJSON *json = value->at ? read_json(r, CACHE_LOCATION, value, true) : NULL;
	if (!json)
		return;
	out->has_current = read_member(r, CACHE_LOCATION, json, "current", &out->current);
	out->has_prev = read_member(r, CACHE_LOCATION, json, "prev", &out->prev);
}

static void read_bio(struct reading *r, const struct bytes *value, struct snapshot *out)
{
	const cJSON *json = value->at ? read_json(r, CACHE_BIO, value, true) : NULL;
	if (!json)
		return;
	read_member(r, CACHE_BIO, json, "name", &out->name);
	read_member(r, CACHE_BIO, json, "gender", &out->gender);
	/* The database has a time of its own: one that cannot be read is no reason not to save the rest. */
	const cJSON *created_at = cJSON_GetObjectItemCaseSensitive(json, "created_at");
	if (cJSON_IsString(created_at) && clock_parse(created_at->valuestring, &out->created_at_us))
		out->created_at_us = 0;
}

static void read_document(
	struct reading *r, enum cache_field field, const struct bytes *value, bool object, struct bytes *out)
{
	if (value->at && read_json(r, field, value, object))
		*out = *value;
}

static void read_uuid(struct reading *r, const char *field, const struct bytes *value, struct uuid *out)
{
	if (!value->at || !value->len)
		return; /* some clear the field by an empty one */
	if (strlen(value->at) != value->len || uuid_parse(value->at, out))
		wrong(r, field, NULL, "is not a UUID");
}

const char *snapshot_read(
	int64_t char_id, const struct cache *cache, struct scratch *keep, struct scratch *work, struct snapshot *out)
{
	struct reading r = { .keep = keep, .work = work };
	struct snapshot found = { .char_id = char_id, .live = cache_is_live(cache) };
	read_state(&r, &cache->fields[CACHE_STATE], &found);
	read_location(&r, &cache->fields[CACHE_LOCATION], &found);
	read_bio(&r, &cache->fields[CACHE_BIO], &found);
	read_document(&r, CACHE_STATS, &cache->fields[CACHE_STATS], false, &found.stats);
	read_document(&r, CACHE_VITALS, &cache->fields[CACHE_VITALS], true, &found.vitals);
	const char *last_combat = cache->fields[CACHE_LAST_COMBAT].at;
	if (last_combat && uuid_parse(last_combat, &found.last_combat))
		found.last_combat = (struct uuid){ { 0 } }; /* only ever a hint: the database knows */
	for (size_t kind = 0; kind < n_session_kinds; kind++)
		read_uuid(&r, session_kinds[kind]->field, &cache->sessions[kind], &found.sessions[kind]);
	if (!r.problem)
		*out = found;
	return r.problem;
}

void snapshot_write_location(struct text *out, const char *current, const char *prev)
{
	json_open(out, '{');
	json_key_string(out, "current", current);
	json_key_string(out, "prev", prev);
	json_close(out, '}');
}

void snapshot_write_bio(struct text *out, const char *name, const char *gender, int64_t created_at_us)
{
	char created_at[CLOCK_TEXT_MAX];
	json_open(out, '{');
	json_key_string(out, "name", name);
	json_key_string(out, "gender", gender);
	json_key_string(out, "created_at", clock_format(created_at_us, created_at));
	json_close(out, '}');
}
