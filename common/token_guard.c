#include "token_guard.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

/*
 * A login is revoked at the time its transaction began, and shows when it commits: each look goes back by the longest life of a
 * transaction.
 */
#define OVERLAP_US (INT64_C(60) * 1000000)
/* The clocks of who signs, who verifies and the database may differ by so much. */
#define CLOCK_DRIFT_S 30
#define MEMORY_SLACK_US (INT64_C(2) * 60 * 1000000)

struct revoked {
	struct uuid sid;
	int64_t at_us; /* the database's clock */
};

static struct {
	pthread_mutex_t mutex;
	struct token_keys keys;
	struct revoked *revoked; /* sorted by sid */
	size_t n_revoked;
	int64_t access_ttl_ms;
	int64_t database_us;	 /* the database's clock at the last look */
	_Atomic int64_t look_ms; /* when the last look began; 0 before the first */
} guard = { .mutex = PTHREAD_MUTEX_INITIALIZER };

/* ---- looking ---- */

static int compare_revoked(const void *a, const void *b)
{
	return uuid_compare(&((const struct revoked *)a)->sid, &((const struct revoked *)b)->sid);
}

static bool is_revoked(const struct uuid *sid)
{
	const struct revoked wanted = { .sid = *sid };

	return guard.n_revoked &&
	       bsearch(&wanted, guard.revoked, guard.n_revoked, sizeof(*guard.revoked), compare_revoked);
}

static void take_keys(const struct pg_rows *rows)
{
	struct token_keys keys = { 0 };

	for (int i = 0; i < rows->n && keys.n < TOKEN_KEYS_MAX; i++) {
		struct token_key *key = &keys.items[keys.n];
		const char *kid = pg_text(rows, i, 0, NULL);
		size_t len;
		const char *bytes = pg_text(rows, i, 1, &len);

		if (len != TOKEN_PUBLIC_KEY_LEN || strlen(kid) > TOKEN_KID_MAX)
			continue;
		snprintf(key->kid, sizeof(key->kid), "%s", kid);
		memcpy(key->public_key, bytes, len);
		keys.n++;
	}
	guard.keys = keys;
}

/* What is older than any token that can still be honoured is forgotten. */
static void forget_old(int64_t before_us)
{
	size_t kept = 0;

	for (size_t i = 0; i < guard.n_revoked; i++)
		if (guard.revoked[i].at_us >= before_us)
			guard.revoked[kept++] = guard.revoked[i];
	guard.n_revoked = kept;
}

static void take_revoked(const struct pg_rows *rows)
{
	size_t known = guard.n_revoked, n = known;

	if (!rows->n)
		return;
	guard.revoked = must_realloc(guard.revoked, (known + (size_t)rows->n) * sizeof(*guard.revoked));
	for (int i = 0; i < rows->n; i++) {
		struct revoked revoked = { .sid = pg_uuid(rows, i, 0), .at_us = pg_timestamptz(rows, i, 1) };

		if (!is_revoked(&revoked.sid))
			guard.revoked[n++] = revoked;
	}
	guard.n_revoked = n;
	if (n > known)
		qsort(guard.revoked, n, sizeof(*guard.revoked), compare_revoked);
}

int token_guard_look(struct pg *pg, int64_t access_ttl_ms, struct error *err)
{
	static const struct pg_statement keys = { "guard_keys",
		"SELECT kid, public_key FROM auth_signing_keys WHERE retired_at IS NULL OR retired_at > now()"
		" ORDER BY created_at DESC LIMIT 16" };
	static const struct pg_statement revoked = { "guard_revoked",
		"SELECT sid, revoked_at FROM auth_logins WHERE revoked_at >= $1" };
	static const struct pg_statement now = { "guard_now", "SELECT clock_timestamp()" };
	int64_t began_ms = clock_ms(), memory_us = access_ttl_ms * 1000 + MEMORY_SLACK_US;
	int64_t last_us = guard.database_us ? guard.database_us : clock_real_us() - memory_us;
	struct pg_rows rows[3] = { 0 };
	struct pg_params params = { 0 };
	int failed;

	pg_add_timestamptz(&params, last_us - OVERLAP_US);
	pg_queue(pg, &now, NULL);
	pg_queue(pg, &keys, NULL);
	pg_queue(pg, &revoked, &params);
	failed = pg_sync(pg, rows, ARRAY_LEN(rows), err);
	if (!failed) {
		pthread_mutex_lock(&guard.mutex);
		guard.database_us = pg_timestamptz(&rows[0], 0, 0);
		guard.access_ttl_ms = access_ttl_ms;
		take_keys(&rows[1]);
		take_revoked(&rows[2]);
		forget_old(guard.database_us - memory_us);
		atomic_store(&guard.look_ms, began_ms);
		pthread_mutex_unlock(&guard.mutex);
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		pg_rows_release(&rows[i]);
	return failed;
}

/* ---- checking ---- */

static bool is_fresh(void)
{
	int64_t look_ms = atomic_load(&guard.look_ms);

	return look_ms && clock_ms() - look_ms <= TOKEN_GUARD_FRESH_MS;
}

enum guard_verdict token_guard_check(
	const char *text, size_t len, struct token_claims *claims, enum token_verdict *verdict)
{
	int64_t now_s = clock_real_us() / 1000000, ttl_s;
	struct token_claims found;
	struct token_keys keys;
	bool revoked;

	pthread_mutex_lock(&guard.mutex);
	keys = guard.keys;
	pthread_mutex_unlock(&guard.mutex);
	*verdict = token_verify(&keys, text, len, now_s, &found);
	/* A key may be newer than what is known here: nobody knows a bad signature while the last look is old. */
	if (!is_fresh() && (*verdict == TOKEN_OK || *verdict == TOKEN_BAD_SIGNATURE))
		return GUARD_UNSURE;
	if (*verdict != TOKEN_OK)
		return GUARD_REFUSED;
	pthread_mutex_lock(&guard.mutex);
	revoked = is_revoked(&found.sid);
	ttl_s = guard.access_ttl_ms / 1000;
	pthread_mutex_unlock(&guard.mutex);
	if (revoked)
		*verdict = TOKEN_REVOKED;
	else if (now_s - found.iat_s > ttl_s + CLOCK_DRIFT_S) /* its revocation may be forgotten here already */
		*verdict = TOKEN_EXPIRED;
	if (*verdict != TOKEN_OK)
		return GUARD_REFUSED;
	*claims = found;
	return GUARD_OK;
}

void token_guard_jwks(struct text *out)
{
	struct token_keys keys;

	pthread_mutex_lock(&guard.mutex);
	keys = guard.keys;
	pthread_mutex_unlock(&guard.mutex);
	token_keys_write(&keys, out);
}
