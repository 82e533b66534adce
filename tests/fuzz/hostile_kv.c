#include "hostile_kv.h"

#include <stdlib.h>
#include <string.h>

#include "kv_internal.h"

#define CALLS_MAX 256
#define TEXT_MAX 600
#define ITEMS_MAX 6

/*
 * A shape: s a string or nil, S a string, i an integer, c a count, t Redis's own time, N nil or the shape behind it, [..] an array of these,
 * *x any number of x, n as many s as the command asks for fields, | an alternative.
 */
struct shape {
	const char *command;
	const char *shape;
};
static const struct shape shapes[] = {
	{ "GET", "s" },
	{ "SET", "s" },
	{ "LINDEX", "s" },
	{ "LLEN", "c" },
	{ "DEL", "c" },
	{ "EXISTS", "c" },
	{ "ZCARD", "c" },
	{ "SREM", "c" },
	{ "ZREM", "c" },
	{ "HMGET", "n" },
	{ "HGETALL", "[*S]" },
	{ "ZRANGE", "[*S]" },
	{ "tick_push", "i" },
	{ "tick_take", "[q[*S]]" },
	{ "take_marks", "[itt[*S]]" },
	{ "set_marks_aside", "i" },
	{ "tell_marks_clean", "i" },
	{ "watch_marks", "[iiii]" },
	{ "match", "[MSS]" },
	{ "status", "[RSSSSS]" },
	{ "join", "[RSSSSS]" },
	{ "take", "[*S]" },
	{ "leave", "c" },
	{ "expire", "c" },
};

struct kv {
	struct source *source;
	const char *shapes[CALLS_MAX];
	size_t fields[CALLS_MAX];
	size_t n;
};

static const char *const likely[] = { "idle", "combat", "{}", "1", "-1", "0", "101:1700000000000000:1700000000000000",
	"0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11", "1v1 101 100 102 115 1700000000000000", "101 1v1", "expired 101 1v1 1",
	"battle 0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11 1v1 101 100 102 115 1700000000000000",
	"{\"hp\":{\"cur\":1,\"max\":100},\"energy\":{\"cur\":1,\"max\":100}}", "{\"current\":\"a\",\"prev\":null}",
	"{\"name\":\"a\",\"gender\":\"male\",\"created_at\":\"2025-01-01T00:00:00Z\"}", "9223372036854775807",
	"-9223372036854775808", "99999999999999999999", "101 ", " 1v1", "1:1:1", "::", "101:1", "" };

static redisReply *new_reply(int type)
{
	redisReply *reply = must_zalloc(sizeof(*reply));

	reply->type = type;
	return reply;
}

static redisReply *string_reply(struct source *source, int type)
{
	struct scratch scratch = { .cap = (size_t)1 << 20 };
	redisReply *reply = new_reply(type);
	unsigned choice = source_byte(source);
	const char *text;
	size_t len;

	if (choice / 2 < ARRAY_LEN(likely)) {
		text = likely[choice / 2];
		len = strlen(text);
	} else {
		text = source_text(source, TEXT_MAX, &scratch, &len);
	}
	reply->str = must_alloc(len + 1);
	memcpy(reply->str, text, len);
	reply->str[len] = '\0';
	reply->len = len;
	scratch_release(&scratch);
	return reply;
}

static redisReply *known_reply(const char *text)
{
	redisReply *reply = new_reply(REDIS_REPLY_STRING);

	reply->str = must_strdup(text);
	reply->len = strlen(text);
	return reply;
}

static redisReply *number_reply(struct source *source, bool small)
{
	redisReply *reply = new_reply(REDIS_REPLY_INTEGER);

	reply->integer = small			   ? 1 + source_byte(source) % 4
			 : source_byte(source) % 2 ? source_number(source)
						   : source_byte(source) % 3;
	return reply;
}

static redisReply *one_reply(struct source *source, char shape)
{
	static const char *const matches[] = { "matched", "waiting", "timeout", "none" };
	static const char *const requests[] = { "request", "none", "busy", "newer", "match" };

	switch (shape) {
	case 'i':
		return number_reply(source, false);
	case 'c':
		return number_reply(source, true);
	case 'q':
		return number_reply(source, true);
	case 't':
		return known_reply("1700000000");
	case 'M':
		return known_reply(matches[source_byte(source) % ARRAY_LEN(matches)]);
	case 'R':
		return known_reply(requests[source_byte(source) % ARRAY_LEN(requests)]);
	case 's':
		if (source_byte(source) % 4 == 0)
			return new_reply(REDIS_REPLY_NIL);
		return string_reply(source, REDIS_REPLY_STRING);
	default:
		return string_reply(source, REDIS_REPLY_STRING);
	}
}

static void add_element(redisReply *array, redisReply *element)
{
	array->element = must_realloc(array->element, (array->elements + 1) * sizeof(*array->element));
	array->element[array->elements++] = element;
}

/* The array whose shape begins behind its bracket; *shape moves behind its end. */
static redisReply *array_reply(struct source *source, const char **shape)
{
	redisReply *array = new_reply(REDIS_REPLY_ARRAY);

	for (char c; (c = *(*shape)++) && c != ']';) {
		unsigned times = 1;

		if (c == '*') {
			times = source_byte(source) % ITEMS_MAX;
			c = *(*shape)++;
		}
		if (c == '[')
			add_element(array, array_reply(source, shape));
		else
			while (times--)
				add_element(array, one_reply(source, c));
	}
	return array;
}

static redisReply *make_reply(struct source *source, const char *shape, size_t fields)
{
	redisReply *array;

	if (source_byte(source) % 16 == 0)
		return string_reply(source, REDIS_REPLY_ERROR); /* WRONGTYPE, a script's error */
	if (*shape == '[') {
		shape++;
		return array_reply(source, &shape);
	}
	if (*shape != 'n')
		return one_reply(source, *shape);
	array = new_reply(REDIS_REPLY_ARRAY);
	while (fields--)
		add_element(array, one_reply(source, 's'));
	return array;
}

static void queue(struct kv *kv, const char *command, size_t len, size_t fields)
{
	if (kv->n == CALLS_MAX)
		BUG("more than %d commands at once", CALLS_MAX);
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
		if (strlen(shapes[i].command) == len && memcmp(shapes[i].command, command, len) == 0) {
			kv->fields[kv->n] = fields;
			kv->shapes[kv->n++] = shapes[i].shape;
			return;
		}
	BUG("say what %.*s answers", (int)len, command);
}

/* ---- what kv.h promises ---- */

struct kv *hostile_kv(struct source *source)
{
	static struct kv kv;

	kv.source = source;
	kv.n = 0;
	return &kv;
}

struct kv *kv_new(const char *url, const char *client_name, struct error *err)
{
	(void)url;
	(void)client_name;
	error_set(err, CODE_INTERNAL, "there is no Redis here");
	return NULL;
}

void kv_free(struct kv *kv)
{
	(void)kv;
}

void kv_set_deadline(struct kv *kv, int64_t deadline_ms)
{
	(void)kv;
	(void)deadline_ms;
}

void kv_bar(struct kv *kv, bool barred)
{
	(void)kv;
	(void)barred;
}

bool kv_ping(struct kv *kv, struct error *err)
{
	(void)kv;
	(void)err;
	return true;
}

void kv_queue(struct kv *kv, const char *format, ...)
{
	queue(kv, format, strcspn(format, " "), 0);
}

void kv_queue_args(struct kv *kv, size_t n, const char *const *arguments, const size_t *lens)
{
	(void)lens;
	queue(kv, arguments[0], strlen(arguments[0]), n - 2);
}

void kv_queue_script(struct kv *kv, const struct kv_script *script, size_t n_keys, size_t n,
	const char *const *arguments, const size_t *lens)
{
	/* The arena's one script has many operations. */
	const char *name = n_keys ? script->name : arguments[0];

	(void)n;
	(void)lens;
	queue(kv, name, strlen(name), 0);
}

int kv_sync(struct kv *kv, struct kv_answers *answers, struct error *err)
{
	(void)err;
	answers->n = kv->n;
	answers->items = must_zalloc((kv->n + 1) * sizeof(*answers->items));
	for (size_t i = 0; i < kv->n; i++)
		answers->items[i] = make_reply(kv->source, kv->shapes[i], kv->fields[i]);
	kv->n = 0;
	return 0;
}

int kv_command(struct kv *kv, struct kv_answers *answers, struct error *err, const char *format, ...)
{
	queue(kv, format, strcspn(format, " "), 0);
	if (kv_sync(kv, answers, err))
		return -1;
	return kv_check(answers, err);
}
