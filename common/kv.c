#include "kv_internal.h"
#include "clock.h"
#include "crash.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPTS_MAX 32
/* Buffers longer than this are given back after the sync. */
#define BYTES_KEPT (64 * 1024)
#define CALLS_KEPT (BYTES_KEPT / sizeof(struct queued_call))

/* One queued command: its bytes, and for a script call the place of its SHA-1 in them. */
struct queued_call {
	size_t begin, end, sha_at;
	struct script_slot *slot;
};

struct script_slot {
	const struct kv_script *script;
	char sha[KV_SHA_LEN + 1];
	bool loaded; /* on this connection */
};

struct kv {
	struct kv_url url;
	const char *client_name;
	struct kv_link link;
	int64_t deadline_ms;
	bool barred;
	size_t first_sentinel;
	struct script_slot scripts[SCRIPTS_MAX];
	size_t n_scripts;
	struct text bytes;
	struct queued_call *calls;
	size_t n_calls, calls_cap;
};

struct kv *kv_new(const char *url, const char *client_name, struct error *err)
{
	struct kv_url parsed;
	if (kv_url_parse(url, &parsed, err))
		return NULL;
	struct kv *kv = must_zalloc(sizeof(*kv));
	kv->url = parsed;
	kv->client_name = client_name;
	kv->link = KV_LINK_NONE;
	return kv;
}

static void disconnect(struct kv *kv)
{
	kv_link_close(&kv->link);
	for (size_t i = 0; i < kv->n_scripts; i++)
		kv->scripts[i].loaded = false;
}

static void discard(struct kv *kv)
{
	kv->n_calls = 0;
	text_reset(&kv->bytes);
	if (kv->bytes.cap > BYTES_KEPT)
		text_release(&kv->bytes);
	if (kv->calls_cap > CALLS_KEPT) {
		free(TAKE(kv->calls));
		kv->calls_cap = 0;
	}
}

void kv_free(struct kv *kv)
{
	if (!kv)
		return;
	disconnect(kv);
	discard(kv);
	text_release(&kv->bytes);
	free(kv->calls);
	kv_url_release(&kv->url);
	free(kv);
}

void kv_set_deadline(struct kv *kv, int64_t deadline_ms)
{
	kv->deadline_ms = deadline_ms;
	discard(kv);
}

static struct queued_call *call_begin(struct kv *kv)
{
	if (kv->n_calls == kv->calls_cap) {
		kv->calls_cap = kv->calls_cap ? kv->calls_cap * 2 : 16;
		kv->calls = must_realloc(kv->calls, kv->calls_cap * sizeof(kv->calls[0]));
	}
	struct queued_call *call = &kv->calls[kv->n_calls++];
	*call = (struct queued_call){ .begin = kv->bytes.len };
	return call;
}

static void queue_format(struct kv *kv, const char *format, va_list ap)
{
	struct queued_call *call = call_begin(kv);
	kv_format(&kv->bytes, format, ap);
	call->end = kv->bytes.len;
}

void kv_queue(struct kv *kv, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	queue_format(kv, format, ap);
	va_end(ap);
}

void kv_queue_args(struct kv *kv, size_t n, const char *const *arguments, const size_t *lens)
{
	struct queued_call *call = call_begin(kv);
	if (n == 0)
		BUG("an empty Redis command");
	kv_format_args(&kv->bytes, n, arguments, lens);
	call->end = kv->bytes.len;
}

static struct script_slot *slot_of(struct kv *kv, const struct kv_script *script)
{
	for (size_t i = 0; i < kv->n_scripts; i++)
		if (kv->scripts[i].script == script)
			return &kv->scripts[i];
	if (kv->n_scripts == SCRIPTS_MAX)
		BUG("more than %d scripts", SCRIPTS_MAX);
	kv->scripts[kv->n_scripts].script = script;
	return &kv->scripts[kv->n_scripts++];
}

void kv_queue_script(struct kv *kv, const struct kv_script *script, size_t n_keys, size_t n,
	const char *const *arguments, const size_t *lens)
{
	struct queued_call *call = call_begin(kv);
	char keys[24], unknown[KV_SHA_LEN] = { 0 };
	if (n_keys > n)
		BUG("script %s: %zu keys among %zu arguments", script->name, n_keys, n);
	call->slot = slot_of(kv, script);
	kv_format_count(&kv->bytes, n + 3);
	kv_format_argument(&kv->bytes, "EVALSHA", 7);
	kv_format_argument(&kv->bytes, unknown, sizeof(unknown)); /* filled in once the server has said it */
	call->sha_at = kv->bytes.len - KV_SHA_LEN - 2;
	kv_format_argument(&kv->bytes, keys, (size_t)snprintf(keys, sizeof(keys), "%zu", n_keys));
	for (size_t i = 0; i < n; i++)
		kv_format_argument(&kv->bytes, arguments[i], lens ? lens[i] : strlen(arguments[i]));
	call->end = kv->bytes.len;
}

/* One command of the connection's set-up, whose answer must not be an error. */
static int set_up(struct kv *kv, struct error *err, size_t n, const char *const *arguments)
{
	CLEANUP(kv_drop_reply) redisReply *answer = kv_link_command(&kv->link, kv->deadline_ms, err, n, arguments);
	if (!answer)
		return -1;
	if (answer->type == REDIS_REPLY_ERROR)
		return error_down(err, STORE_REDIS, "Redis: %s: %s", arguments[0], answer->str);
	return 0;
}

/* A Sentinel may name a server that is not the primary any more, or not yet. */
static int check_role(struct kv *kv, struct error *err)
{
	const char *arguments[] = { "ROLE" };
	CLEANUP(kv_drop_reply) redisReply *answer = kv_link_command(&kv->link, kv->deadline_ms, err, 1, arguments);
	if (!answer)
		return -1;
	if (answer->type == REDIS_REPLY_ARRAY && answer->elements && answer->element[0]->type == REDIS_REPLY_STRING &&
		strcmp(answer->element[0]->str, "master") == 0)
		return 0;
	return error_down(err, STORE_REDIS, "Redis: the server that Sentinel names is not the primary");
}

static int greet(struct kv *kv, struct error *err)
{
	const struct kv_url *url = &kv->url;
	const char *auth[] = { "AUTH", url->user ? url->user : url->password, url->password };
	const char *set_name[] = { "CLIENT", "SETNAME", kv->client_name };
	char db[16];
	snprintf(db, sizeof(db), "%d", url->db);
	const char *select[] = { "SELECT", db };
	if (url->password && *url->password && set_up(kv, err, url->user ? 3 : 2, auth))
		return -1;
	if (url->master && check_role(kv, err))
		return -1;
	if (url->db && set_up(kv, err, ARRAY_LEN(select), select))
		return -1;
	return kv->client_name ? set_up(kv, err, ARRAY_LEN(set_name), set_name) : 0;
}

/* Sees to it that there is time and a live connection. */
static int make_ready(struct kv *kv, struct error *err)
{
	if (kv->barred)
		return error_down(err, STORE_REDIS, "Redis is out of reach");
	if (clock_left_ms(kv->deadline_ms) == 0)
		return error_set(err, CODE_TIMEOUT, "Redis: the deadline has passed");
	if (kv->link.fd >= 0 && kv_link_is_dead(&kv->link))
		disconnect(kv);
	if (kv->link.fd >= 0)
		return 0;
	int rc = kv->url.master ? kv_sentinel_open(&kv->link, &kv->url, &kv->first_sentinel, kv->deadline_ms, err)
				: kv_link_open(&kv->link, &kv->url.hosts[0], kv->deadline_ms, err);
	if (rc == 0)
		rc = greet(kv, err);
	if (rc == 0)
		return 0;
	disconnect(kv);
	/* Silence while connecting is the server's fault, not the command's. */
	if (err && err->code == CODE_TIMEOUT)
		error_down(err, STORE_REDIS, "Redis: no answer while connecting");
	kv->first_sentinel++;
	return -1;
}

static bool has_prefix(const redisReply *answer, const char *prefix)
{
	return answer->type == REDIS_REPLY_ERROR && strncmp(answer->str, prefix, strlen(prefix)) == 0;
}

/* An answer may say that the server is not fit to serve, whoever asks. */
static int check_answer(struct kv *kv, const redisReply *answer, struct error *err)
{
	static const char *const unfit[] = { "LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN",
		"BUSY " };
	static const char *const full[] = { "OOM", "MISCONF" };
	for (size_t i = 0; i < ARRAY_LEN(unfit); i++) {
		if (!has_prefix(answer, unfit[i]))
			continue;
		error_down(err, STORE_REDIS, "Redis: %s", answer->str);
		/* The next connection may find a better server: Sentinel's new primary. */
		disconnect(kv);
		return -1;
	}
	for (size_t i = 0; i < ARRAY_LEN(full); i++)
		if (has_prefix(answer, full[i]))
			return error_set(err, CODE_UNAVAILABLE, "Redis: %s", answer->str);
	return 0;
}

static int check_answers(struct kv *kv, redisReply *const *answers, struct error *err)
{
	for (size_t i = 0; i < kv->n_calls; i++)
		if (check_answer(kv, answers[i], err))
			return -1;
	return 0;
}

/* Has the server name the SHA-1 of each queued script that this connection has not loaded. */
static int load_scripts(struct kv *kv, struct error *err)
{
	for (size_t i = 0; i < kv->n_calls; i++) {
		struct queued_call *call = &kv->calls[i];
		if (!call->slot)
			continue;
		if (!call->slot->loaded) {
			const char *arguments[] = { "SCRIPT", "LOAD", call->slot->script->lua };
			CLEANUP(kv_drop_reply)
			redisReply *answer = kv_link_command(
				&kv->link, kv->deadline_ms, err, ARRAY_LEN(arguments), arguments);
			if (!answer || check_answer(kv, answer, err))
				return -1;
			if (answer->type != REDIS_REPLY_STRING || answer->len != KV_SHA_LEN)
				return error_set(err, CODE_INTERNAL, "Redis: script %s: %s", call->slot->script->name,
					answer->type == REDIS_REPLY_ERROR ? answer->str : "no SHA-1");
			memcpy(call->slot->sha, answer->str, KV_SHA_LEN);
			call->slot->loaded = true;
		}
		memcpy(kv->bytes.bytes + call->sha_at, call->slot->sha, KV_SHA_LEN);
	}
	return 0;
}

/* The server has forgotten a script (SCRIPT FLUSH): the calls it refused are made again, with the text. */
static int run_forgotten(struct kv *kv, redisReply **answers, struct error *err)
{
	for (size_t i = 0; i < kv->n_calls; i++) {
		const struct queued_call *call = &kv->calls[i];
		if (!call->slot || !has_prefix(answers[i], "NOSCRIPT"))
			continue;
		CLEANUP(text_release) struct text bytes = { 0 };
		const char *head = kv->bytes.bytes + call->begin;
		size_t after_sha = call->sha_at + KV_SHA_LEN + 2;
		text_add(&bytes, head, strcspn(head, "\n") + 1); /* the number of arguments stays */
		kv_format_argument(&bytes, "EVAL", 4);
		kv_format_argument(&bytes, call->slot->script->lua, strlen(call->slot->script->lua));
		text_add(&bytes, kv->bytes.bytes + after_sha, call->end - after_sha);
		redisReply *again;
		if (kv_link_exchange(&kv->link, &bytes, &again, 1, kv->deadline_ms, err))
			return -1;
		freeReplyObject(answers[i]);
		answers[i] = again;
	}
	return 0;
}

static int run_calls(struct kv *kv, redisReply **answers, struct error *err)
{
	int rc = make_ready(kv, err);
	if (rc == 0)
		rc = load_scripts(kv, err);
	if (rc == 0)
		rc = kv_link_exchange(&kv->link, &kv->bytes, answers, kv->n_calls, kv->deadline_ms, err);
	if (rc == 0)
		rc = run_forgotten(kv, answers, err);
	if (rc == 0)
		rc = check_answers(kv, answers, err);
	if (kv->link.fd < 0)
		disconnect(kv);
	return rc;
}

int kv_sync(struct kv *kv, struct kv_answers *answers, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers got = { kv->n_calls, NULL };
	got.items = must_zalloc((kv->n_calls + 1) * sizeof(got.items[0]));
	crash_point("before_redis");
	int rc = kv->n_calls ? run_calls(kv, (redisReply **)got.items, err) : 0;
	crash_point("stored_in_redis");
	discard(kv);
	*answers = (struct kv_answers){ 0 };
	if (rc == 0) {
		answers->n = got.n;
		answers->items = TAKE(got.items);
	}
	return rc;
}

int kv_command(struct kv *kv, struct kv_answers *answers, struct error *err, const char *format, ...)
{
	va_list ap;
	if (kv->n_calls)
		BUG("kv_command with %zu commands queued", kv->n_calls);
	va_start(ap, format);
	queue_format(kv, format, ap);
	va_end(ap);
	if (kv_sync(kv, answers, err))
		return -1;
	if (kv_check(answers, err) == 0)
		return 0;
	kv_answers_release(answers);
	return -1;
}

void kv_bar(struct kv *kv, bool barred)
{
	kv->barred = barred;
}

bool kv_ping(struct kv *kv, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	return kv_command(kv, &answers, err, "PING") == 0;
}
