/* The arena's state in Redis: each entry has a living request behind it, each request its entries, and nobody fights twice. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"

/* Workers end what has expired within a second. */
#define EXPIRED_GRACE_US 5000000
#define MODE_MAX 64

static int64_t redis_time_us(const struct kv_answer *time)
{
	return kv_length(time) == 2 ? kv_integer(kv_item(time, 0), 0) * 1000000 + kv_integer(kv_item(time, 1), 0) : 0;
}

/* ---- entries of the queues ---- */

/* Members of one queue, or of one bucket of equals; score NULL: each has its own. */
struct entries {
	const char *key, *mode, *score;
	const struct kv_answer *page; /* member, score, member, score, … */
};

static void judge_entry(struct audit_report *report, const struct entries *entries, size_t i,
	const struct kv_answer *request, int64_t now_us)
{
	const char *member = kv_string(kv_item(entries->page, 2 * i), NULL);
	const char *score = entries->score ? entries->score : kv_string(kv_item(entries->page, 2 * i + 1), NULL);
	const char *mode = kv_length(request) == 3 ? kv_string(kv_item(request, 0), NULL) : NULL;
	const char *own_score = mode ? kv_string(kv_item(request, 1), NULL) : NULL;
	int64_t char_id, expires_us = mode ? kv_integer(kv_item(request, 2), 0) : 0;

	if (!audit_number_of(member, &char_id))
		audit_find(report, "ghost", 0, NULL, "%s holds \"%s\", which is no character", entries->key, member);
	else if (!mode)
		audit_find(report, "ghost", char_id, NULL, "%s holds character %lld, who has no request", entries->key,
			(long long)char_id);
	else if (strcmp(mode, entries->mode) != 0)
		audit_find(report, "ghost", char_id, NULL, "%s holds character %lld, whose request is for %s",
			entries->key, (long long)char_id, mode);
	else if (now_us > expires_us + EXPIRED_GRACE_US)
		audit_find(report, "expired", char_id, NULL, "%s holds character %lld, whose request has expired",
			entries->key, (long long)char_id);
	else if (!own_score || strcmp(own_score, score) != 0)
		audit_find(report, "score", char_id, NULL, "%s has character %lld at %s, the request at %s",
			entries->key, (long long)char_id, score, own_score ? own_score : "nothing");
}

static int look_at_entries(const struct audit_sources *sources, struct audit_report *report,
	const struct entries *entries, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct kv *kv = audit_kv(sources);
	size_t n = kv_length(entries->page) / 2;

	kv_queue(kv, "TIME");
	for (size_t i = 0; i < n; i++)
		kv_queue(kv, "HMGET arena:request:%s mode gear_score expires_us",
			kv_string(kv_item(entries->page, 2 * i), NULL));
	if (kv_sync(kv, &answers, err))
		return -1;
	for (size_t i = 0; i < n; i++)
		judge_entry(report, entries, i, kv_at(&answers, i + 1), redis_time_us(kv_at(&answers, 0)));
	return 0;
}

static int look_at_zset(const struct audit_sources *sources, struct audit_report *report, struct entries *entries,
	const char *counted, struct error *err)
{
	for (long first = 0;; first += AUDIT_PAGE) {
		CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
		struct kv *kv = audit_kv(sources);

		kv_queue(kv, "ZRANGE %s %lld %lld WITHSCORES", entries->key, (long long)first,
			(long long)first + AUDIT_PAGE - 1);
		if (kv_sync(kv, &answers, err))
			return -1;
		entries->page = kv_at(&answers, 0);
		if (kv_kind(entries->page) == KV_ERROR)
			audit_find(report, "ghost", 0, NULL, "%s is no queue", entries->key);
		if (counted)
			audit_count(report, counted, (int64_t)kv_length(entries->page) / 2);
		if (kv_length(entries->page) && look_at_entries(sources, report, entries, err))
			return -1;
		if (kv_length(entries->page) < (size_t)2 * AUDIT_PAGE)
			return 0;
	}
}

static int look_at_queues(
	const struct audit_sources *sources, const struct key_page *page, void *context, struct error *err)
{
	for (size_t i = 0; i < page->n; i++) {
		struct entries queue = { .key = page->keys[i], .mode = page->keys[i] + strlen("arena:queue:") };

		if (look_at_zset(sources, context, &queue, "waiting", err))
			return -1;
	}
	return 0;
}

static int look_at_buckets(
	const struct audit_sources *sources, const struct key_page *page, void *context, struct error *err)
{
	for (size_t i = 0; i < page->n; i++) {
		const char *name = page->keys[i] + strlen("arena:wait:"), *score = strrchr(name, ':');
		char mode[MODE_MAX];

		if (!score || score == name || (size_t)(score - name) >= sizeof(mode)) {
			audit_find(context, "ghost", 0, NULL, "key %s is of no mode and score", page->keys[i]);
			continue;
		}
		snprintf(mode, sizeof(mode), "%.*s", (int)(score - name), name);
		struct entries bucket = { .key = page->keys[i], .mode = mode, .score = score + 1 };

		if (look_at_zset(sources, context, &bucket, NULL, err))
			return -1;
	}
	return 0;
}

/* ---- requests ---- */

static void judge_request(struct audit_report *report, int64_t char_id, const char *mode, const char *score,
	const struct kv_answer *queued, const struct kv_answer *waiting)
{
	if (kv_kind(queued) == KV_NIL)
		audit_find(report, "lost_request", char_id, NULL,
			"character %lld has a request for %s, but is not in arena:queue:%s", (long long)char_id, mode,
			mode);
	if (kv_kind(waiting) == KV_NIL)
		audit_find(report, "lost_request", char_id, NULL,
			"character %lld has a request for %s, but is not in arena:wait:%s:%s", (long long)char_id, mode,
			mode, score);
}

/* The living requests of a page: the id behind each key, and what it says. */
static int look_at_living(const struct audit_sources *sources, struct audit_report *report, const int64_t *ids,
	const struct kv_answers *requests, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	CLEANUP(release_memory) size_t *at = must_alloc(requests->n * sizeof(*at));
	int64_t now_us = redis_time_us(kv_at(requests, 0));
	struct kv *kv = audit_kv(sources);
	size_t n = 0;

	for (size_t i = 1; i < requests->n; i++) {
		const struct kv_answer *request = kv_at(requests, i);
		bool whole = kv_length(request) == 3 && kv_string(kv_item(request, 0), NULL) &&
			     kv_string(kv_item(request, 1), NULL);

		if (!whole || kv_integer(kv_item(request, 2), 0) <= now_us)
			continue; /* ended meanwhile, or by the next sweep */
		kv_queue(kv, "ZSCORE arena:queue:%s %lld", kv_string(kv_item(request, 0), NULL), (long long)ids[i - 1]);
		kv_queue(kv, "ZSCORE arena:wait:%s:%s %lld", kv_string(kv_item(request, 0), NULL),
			kv_string(kv_item(request, 1), NULL), (long long)ids[i - 1]);
		at[n++] = i;
	}
	if (n && kv_sync(kv, &answers, err))
		return -1;
	for (size_t k = 0; k < n; k++) {
		const struct kv_answer *request = kv_at(requests, at[k]);

		judge_request(report, ids[at[k] - 1], kv_string(kv_item(request, 0), NULL),
			kv_string(kv_item(request, 1), NULL), kv_at(&answers, 2 * k), kv_at(&answers, 2 * k + 1));
	}
	audit_count(report, "requests", (int64_t)n);
	return 0;
}

static int look_for_strangers(const struct audit_sources *sources, struct audit_report *report, const int64_t *ids,
	size_t n, struct error *err)
{
	static const struct pg_statement strangers = { "audit_strangers",
		"SELECT d.id FROM unnest($1::bigint[]) d (id) WHERE NOT EXISTS (SELECT FROM characters c WHERE c.id = "
		"d.id)" };
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };

	pg_add_int8_array(&params, ids, n);
	if (audit_query(sources, &strangers, &params, &rows, err))
		return -1;
	for (int row = 0; row < rows.n; row++)
		audit_find(report, "stranger", pg_int(&rows, row, 0), NULL,
			"character %lld has a request, and does not exist", (long long)pg_int(&rows, row, 0));
	return 0;
}

static int look_at_requests(
	const struct audit_sources *sources, const struct key_page *page, void *context, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers requests = { 0 };
	CLEANUP(release_memory) int64_t *ids = must_alloc(page->n * sizeof(*ids));
	struct kv *kv = audit_kv(sources);
	size_t n = 0;

	kv_queue(kv, "TIME");
	for (size_t i = 0; i < page->n; i++) {
		if (!audit_number_of(page->keys[i] + strlen("arena:request:"), &ids[n])) {
			audit_find(context, "ghost", 0, NULL, "key %s is of no character", page->keys[i]);
			continue;
		}
		kv_queue(kv, "HMGET %s mode gear_score expires_us", page->keys[i]);
		n++;
	}
	if (kv_sync(kv, &requests, err) || look_at_living(sources, context, ids, &requests, err))
		return -1;
	return look_for_strangers(sources, context, ids, n, err);
}

/* ---- all of it ---- */

int audit_arena(const struct audit_sources *sources, struct audit_report *report, struct error *err)
{
	audit_count(report, "waiting", 0);
	audit_count(report, "requests", 0);
	audit_count(report, "battles", 0);
	if (audit_scan(sources, "arena:queue:*", look_at_queues, report, err) ||
		audit_scan(sources, "arena:wait:*", look_at_buckets, report, err) ||
		audit_scan(sources, "arena:request:*", look_at_requests, report, err))
		return -1;
	return audit_battles(sources, report, err);
}
