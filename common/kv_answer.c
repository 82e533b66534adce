#include "kv_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const redisReply *reply(const struct kv_answer *answer)
{
	return (const redisReply *)answer;
}

enum kv_kind kv_kind(const struct kv_answer *answer)
{
	if (!answer)
		return KV_NIL;
	switch (reply(answer)->type) {
	case REDIS_REPLY_STRING:
		return KV_STRING;
	case REDIS_REPLY_STATUS:
		return KV_STATUS;
	case REDIS_REPLY_INTEGER:
		return KV_INTEGER;
	case REDIS_REPLY_ARRAY:
		return KV_ARRAY;
	case REDIS_REPLY_ERROR:
		return KV_ERROR;
	default:
		return KV_NIL;
	}
}

const char *kv_string(const struct kv_answer *answer, size_t *len)
{
	enum kv_kind kind = kv_kind(answer);
	bool has_bytes = kind == KV_STRING || kind == KV_STATUS || kind == KV_ERROR;
	if (len)
		*len = has_bytes ? reply(answer)->len : 0;
	return has_bytes ? reply(answer)->str : NULL;
}

int64_t kv_integer(const struct kv_answer *answer, int64_t fallback)
{
	if (kv_kind(answer) == KV_INTEGER)
		return reply(answer)->integer;
	size_t len;
	const char *text = kv_string(answer, &len);
	if (kv_kind(answer) != KV_STRING || len == 0 || strchr(" \t\n\v\f\r+", *text))
		return fallback;
	char *end;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	return errno || end != text + len ? fallback : value;
}

size_t kv_length(const struct kv_answer *answer)
{
	return kv_kind(answer) == KV_ARRAY ? reply(answer)->elements : 0;
}

const struct kv_answer *kv_item(const struct kv_answer *answer, size_t i)
{
	if (i >= kv_length(answer))
		BUG("item %zu of an answer of %zu", i, kv_length(answer));
	return (const struct kv_answer *)reply(answer)->element[i];
}

const struct kv_answer *kv_field(const struct kv_answer *hash, const char *field)
{
	size_t field_len = strlen(field);
	for (size_t i = 0; i + 1 < kv_length(hash); i += 2) {
		size_t len;
		const char *name = kv_string(kv_item(hash, i), &len);
		if (name && len == field_len && memcmp(name, field, len) == 0)
			return kv_item(hash, i + 1);
	}
	return NULL;
}

const struct kv_answer *kv_at(const struct kv_answers *answers, size_t i)
{
	if (i >= answers->n)
		BUG("answer %zu of %zu", i, answers->n);
	return answers->items[i];
}

void kv_answers_release(struct kv_answers *answers)
{
	for (size_t i = 0; answers->items && i < answers->n; i++)
		if (answers->items[i])
			freeReplyObject(answers->items[i]);
	free(answers->items);
	*answers = (struct kv_answers){ 0 };
}

/* The first error in an answer: itself, or (MULTI … EXEC) among its elements. */
static const struct kv_answer *find_error(const struct kv_answer *answer)
{
	if (kv_kind(answer) == KV_ERROR)
		return answer;
	for (size_t i = 0; i < kv_length(answer); i++) {
		const struct kv_answer *found = find_error(kv_item(answer, i));
		if (found)
			return found;
	}
	return NULL;
}

int kv_check(const struct kv_answers *answers, struct error *err)
{
	for (size_t i = 0; i < answers->n; i++) {
		const struct kv_answer *found = find_error(kv_at(answers, i));
		if (found)
			return error_set(err, CODE_INTERNAL, "Redis: %s", kv_string(found, NULL));
	}
	return 0;
}
