#include "audit_context.h"

#include <string.h>

#include "clock.h"
#include "json.h"
#include "utf8.h"

const char *const context_fields[CONTEXT_FIELDS] = { "state", "location", "bio", "stats", "vitals",
	"combat_session_id" };

static void unreadable(struct context *context, const char *what)
{
	if (!context->unreadable)
		context->unreadable = what;
}

static const cJSON *read_object(
	const struct kv_answer *field, const char *name, struct scratch *scratch, struct context *context)
{
	struct error wrong;
	size_t len;
	const char *text = kv_string(field, &len);
	const cJSON *json = text ? json_parse(text, len, scratch, &wrong) : NULL;

	if (text && !cJSON_IsObject(json)) {
		unreadable(context, name);
		return NULL;
	}
	return json;
}

/* True when the member is there; null is a value. */
static bool read_member(
	const cJSON *object, const char *member, const char *path, const char **out, struct context *context)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, member);

	if (!value || (!cJSON_IsString(value) && !cJSON_IsNull(value))) {
		if (value)
			unreadable(context, path);
		return false;
	}
	*out = cJSON_IsString(value) ? value->valuestring : NULL;
	return true;
}

static void read_state(const struct kv_answer *field, struct context *context)
{
	size_t len;
	const char *text = kv_string(field, &len);

	if (text && (!len || strlen(text) != len || !utf8_valid(text, len)))
		unreadable(context, "state");
	else
		context->state = text;
}

static void read_stats(const struct kv_answer *field, struct scratch *scratch, struct context *context)
{
	struct error wrong;
	size_t len;
	const char *text = kv_string(field, &len);

	if (!text)
		return;
	if (json_parse(text, len, scratch, &wrong)) {
		context->stats = text;
		context->stats_len = len;
	} else {
		unreadable(context, "stats");
	}
}

static void read_combat(const struct kv_answer *field, struct context *context)
{
	const char *text = kv_string(field, NULL);

	if (text && *text && uuid_parse(text, &context->combat))
		unreadable(context, "combat_session_id");
}

void context_read(const struct kv_answer *answer, struct scratch *scratch, struct context *out)
{
	const cJSON *location, *bio, *created_at;

	if (kv_kind(answer) == KV_ERROR) {
		unreadable(out, "the whole key");
		return;
	}
	read_state(kv_item(answer, CONTEXT_STATE), out);
	location = read_object(kv_item(answer, CONTEXT_LOCATION), "location", scratch, out);
	out->has_current = read_member(location, "current", "location.current", &out->current, out);
	out->has_prev = read_member(location, "prev", "location.prev", &out->prev, out);
	bio = read_object(kv_item(answer, CONTEXT_BIO), "bio", scratch, out);
	read_member(bio, "name", "bio.name", &out->name, out);
	read_member(bio, "gender", "bio.gender", &out->gender, out);
	created_at = cJSON_GetObjectItemCaseSensitive(bio, "created_at");
	if (cJSON_IsString(created_at))
		clock_parse(created_at->valuestring, &out->created_at_us);
	read_stats(kv_item(answer, CONTEXT_STATS), scratch, out);
	if (read_object(kv_item(answer, CONTEXT_VITALS), "vitals", scratch, out))
		out->vitals = kv_string(kv_item(answer, CONTEXT_VITALS), &out->vitals_len);
	read_combat(kv_item(answer, CONTEXT_COMBAT), out);
}
