#include "keyring.h"

#include <pthread.h>
#include <sodium.h>
#include <string.h>

#include "crash.h"
#include "log.h"
#include "private_key.h"

#define RELOAD_MS 500
#define LOCK_NUMBER "7239004142" /* of the advisory lock, chosen once */

static struct {
	pthread_mutex_t mutex;
	bool fixed; /* the signer is JWT_PRIVATE_KEY */
	struct token_signer signer;
	struct token_keys keys;
} ring = { .mutex = PTHREAD_MUTEX_INITIALIZER };

int keyring_prepare(const char *private_key, struct error *err)
{
	unsigned char seed[TOKEN_SEED_LEN];

	if (!private_key)
		return 0;
	if (private_key_read(private_key, seed))
		return error_set(err, CODE_INVALID_PAYLOAD,
			"JWT_PRIVATE_KEY is neither a PEM private key of Ed25519 nor the base64 of a seed of %d bytes",
			TOKEN_SEED_LEN);
	token_signer_init(&ring.signer, seed);
	ring.fixed = true;
	sodium_memzero(seed, sizeof(seed));
	return 0;
}

static int read_row(const struct pg_rows *rows, int row, struct token_key *key, struct error *err)
{
	size_t len;
	const char *kid = pg_text(rows, row, 0, &len), *public_key;

	if (len > TOKEN_KID_MAX)
		return error_set(err, CODE_INTERNAL, "auth_signing_keys has a kid of %zu characters", len);
	memset(key, 0, sizeof(*key));
	memcpy(key->kid, kid, len);
	public_key = pg_text(rows, row, 1, &len);
	if (len != sizeof(key->public_key))
		return error_set(
			err, CODE_INTERNAL, "auth_signing_keys %s has a public key of %zu bytes", key->kid, len);
	memcpy(key->public_key, public_key, len);
	return 0;
}

/* A signer of a row's seed; -1 when the row contradicts itself. */
static int read_signer(const struct pg_rows *rows, int row, struct token_signer *signer, struct error *err)
{
	struct token_key key;
	size_t len;
	const char *seed = pg_text(rows, row, 2, &len);

	if (read_row(rows, row, &key, err))
		return -1;
	if (len != TOKEN_SEED_LEN)
		return error_set(
			err, CODE_INTERNAL, "auth_signing_keys %s has a private key of %zu bytes", key.kid, len);
	token_signer_init(signer, (const unsigned char *)seed);
	if (memcmp(key.public_key, signer->key.public_key, sizeof(key.public_key)) != 0)
		return error_set(
			err, CODE_INTERNAL, "auth_signing_keys %s: the private key is of another public key", key.kid);
	memcpy(signer->key.kid, key.kid, sizeof(key.kid));
	return 0;
}

/*
 * Newest first. The newest that every verifier has had time to see signs; while there is none, the oldest, which at first start is
 * the only one. -1: no row can sign.
 */
static int signing_row(const struct pg_rows *rows)
{
	int oldest = -1;

	for (int row = 0; row < rows->n; row++) {
		if (pg_is_null(rows, row, 2))
			continue;
		if (pg_bool(rows, row, 3))
			return row;
		oldest = row;
	}
	return oldest;
}

static int take_rows(const struct pg_rows *rows, struct error *err)
{
	int row = signing_row(rows);
	struct token_keys keys = { 0 };
	struct token_signer signer = { 0 };

	for (int i = 0; i < rows->n && keys.n < TOKEN_KEYS_MAX; i++)
		if (read_row(rows, i, &keys.items[keys.n++], err))
			return -1;
	if (!ring.fixed && read_signer(rows, row, &signer, err))
		return -1;
	pthread_mutex_lock(&ring.mutex);
	ring.keys = keys;
	if (!ring.fixed)
		ring.signer = signer;
	pthread_mutex_unlock(&ring.mutex);
	return 0;
}

static const struct pg_statement select_keys = {
	"auth_keys",
	"SELECT kid, public_key, private_key, created_at <= now() - interval '5 seconds'"
	" FROM auth_signing_keys WHERE retired_at IS NULL OR retired_at > now() ORDER BY created_at DESC, kid LIMIT 16"
};

static bool has_fixed(const struct pg_rows *rows)
{
	for (int row = 0; row < rows->n; row++)
		if (strcmp(pg_text(rows, row, 0, NULL), ring.signer.key.kid) == 0)
			return true;
	return false;
}

static bool is_complete(const struct pg_rows *rows)
{
	return ring.fixed ? has_fixed(rows) : signing_row(rows) >= 0;
}

static void queue_insert(struct pg *pg)
{
	/* A key that an operator had retired and now gives as JWT_PRIVATE_KEY is in use again. */
	static const struct pg_statement insert = { "auth_add_key",
		"INSERT INTO auth_signing_keys (kid, public_key, private_key) VALUES ($1, $2, $3)"
		" ON CONFLICT (kid) DO UPDATE SET retired_at = NULL" };
	unsigned char seed[TOKEN_SEED_LEN];
	struct token_signer made, *signer = &ring.signer;
	struct pg_params params = { 0 };

	if (!ring.fixed) {
		randombytes_buf(seed, sizeof(seed));
		token_signer_init(&made, seed);
		signer = &made;
	}
	pg_add_text(&params, signer->key.kid);
	pg_add_bytea(&params, signer->key.public_key, sizeof(signer->key.public_key));
	pg_add_bytea(&params, ring.fixed ? NULL : seed, ring.fixed ? 0 : sizeof(seed));
	pg_queue(pg, &insert, &params);
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(&made, sizeof(made));
}

static void release_two(struct pg_rows (*rows)[2])
{
	pg_rows_release(&(*rows)[0]);
	pg_rows_release(&(*rows)[1]);
}

/* Replicas that start together make one key: under the lock, each looks again first. */
static int add_key(struct pg *pg, struct error *err)
{
	static const struct pg_statement lock = { "auth_lock_keys", "SELECT pg_advisory_xact_lock(" LOCK_NUMBER ")" };
	CLEANUP(release_two) struct pg_rows rows[2] = { 0 };

	pg_begin(pg);
	pg_queue(pg, &lock, NULL);
	pg_queue(pg, &select_keys, NULL);
	if (pg_sync(pg, rows, ARRAY_LEN(rows), err))
		return -1;
	if (!is_complete(&rows[1]))
		queue_insert(pg);
	else
		pg_queue(pg, &select_keys, NULL);
	pg_commit(pg);
	return pg_sync(pg, NULL, 1, err);
}

int keyring_load(struct pg *pg, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };

	if (pg_query(pg, &select_keys, NULL, &rows, err))
		return -1;
	if (!is_complete(&rows)) {
		pg_rows_release(&rows);
		rows = (struct pg_rows){ 0 };
		if (add_key(pg, err))
			return -1;
		crash_point("signing_key_added");
		if (pg_query(pg, &select_keys, NULL, &rows, err))
			return -1;
		if (!is_complete(&rows))
			return error_set(err, CODE_UNAVAILABLE, "auth_signing_keys has no key that signs");
	}
	return take_rows(&rows, err);
}

int64_t keyring_run(struct call *call)
{
	struct error err;

	if (keyring_load(call->pg, &err)) {
		log_line(LOG_WARN, "keys", "%s", err.text);
		call->down = err.down;
	}
	return RELOAD_MS;
}

void keyring_keys(struct token_keys *out)
{
	pthread_mutex_lock(&ring.mutex);
	*out = ring.keys;
	pthread_mutex_unlock(&ring.mutex);
}

void keyring_sign(const struct token_claims *claims, struct text *out)
{
	struct token_signer signer;

	pthread_mutex_lock(&ring.mutex);
	signer = ring.signer;
	pthread_mutex_unlock(&ring.mutex);
	token_sign(&signer, claims, out);
	sodium_memzero(&signer, sizeof(signer));
}
