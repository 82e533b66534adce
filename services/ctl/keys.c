#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "ctl.h"
#include "stores.h"
#include "token.h"
#include "verbs.h"

#define DATABASE_TIMEOUT_MS 10000
/* Verifiers know so many; one is left for a key that comes by JWT_PRIVATE_KEY. */
#define KEYS_MAX (TOKEN_KEYS_MAX - 1)

struct keys_rotate_options {
	int64_t keep_ms;
};
static const struct field rotate_fields[] = {
	FIELD(struct keys_rotate_options, keep_ms, .as = "keep", .unit = UNIT_MS, .preset = "1h", .min = 1000,
		.max = INT64_C(30) * 86400 * 1000,
		.help = "how long tokens of the present keys stay valid; no shorter than ACCESS_TTL"),
};
const struct schema keys_rotate_options = SCHEMA(struct keys_rotate_options, rotate_fields, .name = "keys rotate");

/* ---- keys list ---- */

/* A time, or what an absent one means. */
static const char *time_text(const struct pg_rows *rows, int row, int column, const char *absent, char *buffer)
{
	return pg_is_null(rows, row, column) ? absent : clock_format(pg_timestamptz(rows, row, column), buffer);
}

static void list_json(const struct pg_rows *rows)
{
	CLEANUP(text_release) struct text out = { 0 };

	json_open(&out, '[');
	for (int row = 0; row < rows->n; row++) {
		char created[CLOCK_TEXT_MAX], retired[CLOCK_TEXT_MAX];

		json_open(&out, '{');
		json_key_string(&out, "kid", pg_text(rows, row, 0, NULL));
		json_key_string(&out, "created_at", time_text(rows, row, 1, NULL, created));
		json_key_string(&out, "retired_at", time_text(rows, row, 2, NULL, retired));
		json_key_bool(&out, "stored", pg_bool(rows, row, 3));
		json_key_bool(&out, "verifies", pg_bool(rows, row, 4));
		json_close(&out, '}');
	}
	json_close(&out, ']');
	printf("%s\n", text_str(&out));
}

static void list_lines(const struct pg_rows *rows)
{
	for (int row = 0; row < rows->n; row++) {
		char created[CLOCK_TEXT_MAX], retired[CLOCK_TEXT_MAX];

		printf("%-43s  made %s  %s %s%s\n", pg_text(rows, row, 0, NULL), time_text(rows, row, 1, "", created),
			pg_bool(rows, row, 4) ? "retires" : "retired", time_text(rows, row, 2, "never", retired),
			pg_bool(rows, row, 3) ? "" : "  (JWT_PRIVATE_KEY)");
	}
	if (!rows->n)
		printf("no keys yet: garrison-auth makes the first when it starts\n");
}

int keys_list_run(struct invocation *in, struct error *err)
{
	static const struct pg_statement list = { "list_keys",
		"SELECT kid, created_at, retired_at, private_key IS NOT NULL, retired_at IS NULL OR retired_at > now()"
		" FROM auth_signing_keys ORDER BY created_at DESC, kid" };
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	CLEANUP(pg_drop) struct pg *pg = stores_database(DATABASE_TIMEOUT_MS);

	if (stores_wait_for_tables(pg, DATABASE_TIMEOUT_MS, err) || pg_query(pg, &list, NULL, &rows, err))
		return ctl_failed(err);
	if (in->json)
		list_json(&rows);
	else
		list_lines(&rows);
	return CTL_DONE;
}

/* ---- keys rotate ---- */

static int count_keys(struct pg *pg, int64_t *n, struct error *err)
{
	/* In the transaction: rotations wait for each other. */
	static const struct pg_statement lock = { "lock_keys",
		"LOCK TABLE auth_signing_keys IN SHARE ROW EXCLUSIVE MODE" };
	static const struct pg_statement count = { "count_keys",
		"SELECT count(*) FROM auth_signing_keys WHERE retired_at IS NULL OR retired_at > now()" };
	struct pg_rows rows[2] = { 0 };

	pg_begin(pg);
	pg_queue(pg, &lock, NULL);
	pg_queue(pg, &count, NULL);
	if (pg_sync(pg, rows, ARRAY_LEN(rows), err))
		return -1;
	*n = pg_int(&rows[1], 0, 0);
	pg_rows_release(&rows[0]);
	pg_rows_release(&rows[1]);
	return 0;
}

static void queue_rotation(struct pg *pg, int64_t keep_ms, char kid[static TOKEN_KID_MAX + 1])
{
	static const struct pg_statement retire = { "retire_keys",
		"UPDATE auth_signing_keys SET retired_at = now() + $1 * interval '1 millisecond'"
		" WHERE retired_at IS NULL OR retired_at > now() + $1 * interval '1 millisecond'" };
	static const struct pg_statement add = { "add_key",
		"INSERT INTO auth_signing_keys (kid, public_key, private_key) VALUES ($1, $2, $3)" };
	unsigned char seed[TOKEN_SEED_LEN];
	struct pg_params retiring = { 0 }, adding = { 0 };
	struct token_signer signer;

	randombytes_buf(seed, sizeof(seed));
	token_signer_init(&signer, seed);
	memcpy(kid, signer.key.kid, sizeof(signer.key.kid));
	pg_add_float8(&retiring, (double)keep_ms);
	pg_add_text(&adding, kid);
	pg_add_bytea(&adding, signer.key.public_key, sizeof(signer.key.public_key));
	pg_add_bytea(&adding, seed, sizeof(seed));
	pg_queue(pg, &retire, &retiring);
	pg_queue(pg, &add, &adding);
	pg_commit(pg);
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(&signer, sizeof(signer));
}

int keys_rotate_run(struct invocation *in, struct error *err)
{
	const struct keys_rotate_options *options = in->options;
	CLEANUP(pg_drop) struct pg *pg = stores_database(DATABASE_TIMEOUT_MS);
	char kid[TOKEN_KID_MAX + 1];
	int64_t n;

	if (sodium_init() < 0)
		return CTL_INTERNAL;
	if (stores_wait_for_tables(pg, DATABASE_TIMEOUT_MS, err) || count_keys(pg, &n, err))
		return ctl_failed(err);
	if (n >= KEYS_MAX) {
		error_set(err, CODE_CONFLICT, "%lld keys are in use: wait until some have retired", (long long)n);
		return CTL_FAILED;
	}
	queue_rotation(pg, options->keep_ms, kid);
	if (pg_sync(pg, NULL, 2, err))
		return ctl_failed(err);
	if (in->json)
		printf("{\"kid\":\"%s\"}\n", kid);
	else
		printf("%s signs in a few seconds\n", kid);
	return CTL_DONE;
}
