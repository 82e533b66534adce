/*
 * Redis. A connection belongs to one thread, connects when first needed (directly, or to the primary that Sentinel names), and
 * never waits past its deadline. Commands are queued and answered in one round trip:
 *
 *	kv_queue(kv, "HGETALL ac:%lld", id);
 *	kv_queue(kv, "GET %s", key);
 *	CLEANUP(kv_answers_release) struct kv_answers answers = {0};
 *	if (kv_sync(kv, &answers, &err))
 *		return retry(call, &err);
 *
 * In the format, white space parts the arguments; %s (NUL-terminated), %b (const void *, size_t), %lld, %llu, %d and %f stand for
 * data inside one argument, whatever bytes they hold; %% is a percent sign. Data is never the format itself.
 */
#ifndef GARRISON_KV_H
#define GARRISON_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"
#include "error.h"

struct kv;

enum kv_kind { KV_NIL, KV_STRING, KV_STATUS, KV_INTEGER, KV_ARRAY, KV_ERROR };

/* One answer; lives as long as the kv_answers it was read from. */
struct kv_answer;
enum kv_kind kv_kind(const struct kv_answer *answer);
/* The bytes of a string, status or error, NUL-terminated; NULL for nil. len may be NULL. Another kind: NULL. */
const char *kv_string(const struct kv_answer *answer, size_t *len);
/* An integer answer, or a string that is one; otherwise fallback. */
int64_t kv_integer(const struct kv_answer *answer, int64_t fallback);
/* Elements of an array answer (0 for any other kind); kv_item BUG()s past the end. */
size_t kv_length(const struct kv_answer *answer);
const struct kv_answer *kv_item(const struct kv_answer *answer, size_t i);
/* The value of a field in an HGETALL answer, NULL when absent. */
const struct kv_answer *kv_field(const struct kv_answer *hash, const char *field);

/* The answers of one round trip, in the order of the commands. A zeroed one is empty. */
struct kv_answers {
	size_t n;
	void **items; /* redisReply */
};
void kv_answers_release(struct kv_answers *answers);
const struct kv_answer *kv_at(const struct kv_answers *answers, size_t i);

/* A Lua script; sent once a connection, then called by its SHA-1. Zero all but the first two. */
struct kv_script {
	const char *name;
	const char *lua;
};

/*
 * url: redis://[user:password@]host:port/db, or redis+sentinel://host:port,host:port/<master>/<db>. A connection object; connects at
 * first use; url must outlive it. NULL with err invalid_payload for a URL it cannot take (rediss:// among them: this hiredis has no
 * TLS).
 */
struct kv *kv_new(const char *url, const char *client_name, struct error *err);
void kv_free(struct kv *kv);
DEFINE_CLEANUP(struct kv *, kv_drop, kv_free)

/*
 * The monotonic time after which no call on this connection waits any longer; until it is set there is no time at all. Set by
 * whoever starts a piece of work: what an earlier one queued and never synced is forgotten.
 */
void kv_set_deadline(struct kv *kv, int64_t deadline_ms);
/*
 * While barred, every use fails at once (unavailable, down): the store is known to be away, and nobody should wait to learn it.
 */
void kv_bar(struct kv *kv, bool barred);
bool kv_ping(struct kv *kv, struct error *err);

/* Queue one command. Nothing is sent before kv_sync. */
void kv_queue(struct kv *kv, const char *format, ...);
/* The same from arguments already apart; lens may be NULL for NUL-terminated ones. */
void kv_queue_args(struct kv *kv, size_t n, const char *const *arguments, const size_t *lens);
/* Queue a script call: n_keys of the n arguments are keys. */
void kv_queue_script(struct kv *kv, const struct kv_script *script, size_t n_keys, size_t n,
	const char *const *arguments, const size_t *lens);
/*
 * Sends what is queued and reads one answer each. 0, or -1 and no answers: timeout, or unavailable with down = STORE_REDIS; the
 * connection is then closed, so that no later command can be given this one's answer. An error answer of Redis to a command
 * (WRONGTYPE, a script's error) is no failure of kv_sync: it is that answer's kind, KV_ERROR; but answers that mean that
 * the server cannot serve anybody (LOADING, READONLY, MASTERDOWN, NOREPLICAS, CLUSTERDOWN, BUSY) are: unavailable, down =
 * STORE_REDIS; OOM and MISCONF are unavailable without down. The other commands of that round may have been carried out.
 * A script call that the server refuses because it has forgotten the script (SCRIPT FLUSH) is made again by itself, after the
 * other commands of that round: what must happen in order belongs into one script, or into two rounds.
 */
int kv_sync(struct kv *kv, struct kv_answers *answers, struct error *err);
/* Queue one and sync; the answer is the only one. A KV_ERROR answer fails with code internal and Redis's words. */
int kv_command(struct kv *kv, struct kv_answers *answers, struct error *err, const char *format, ...);
/* Fills err (code internal, Redis's words) and returns -1 when any answer is KV_ERROR; else 0. */
int kv_check(const struct kv_answers *answers, struct error *err);

#endif
