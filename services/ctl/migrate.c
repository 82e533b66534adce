#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "deploy/migrations/migrations.h"
#include "stores.h"
#include "verbs.h"

#define CHECKSUM_TEXT_MAX (crypto_hash_sha256_BYTES * 2 + 1)
#define MIGRATION_TIMEOUT_MS ((int64_t)3600 * 1000)
/* Any number that nothing else in the database takes a lock by: "garrison" in ASCII. */
#define LOCK_ID ((int64_t)0x6761727269736f6e)

struct migrate_options {
	bool dry_run;
};

static const struct field option_fields[] = {
	FIELD(struct migrate_options, dry_run, .as = "dry-run",
		.help = "tell what would be applied, and change nothing"),
};
const struct schema migrate_options = SCHEMA(struct migrate_options, option_fields, .name = "migrate");

/* What schema_migrations says of one number. */
struct applied {
	int64_t number;
	const char *name;
	const char *checksum;
};
struct history {
	const struct applied *items;
	size_t n;
};

/* The same as `sha256sum` of the file. */
static char *checksum_of(const struct migration *migration, char text[static CHECKSUM_TEXT_MAX])
{
	unsigned char hash[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(hash, (const unsigned char *)migration->sql, strlen(migration->sql));
	return sodium_bin2hex(text, CHECKSUM_TEXT_MAX, hash, sizeof(hash));
}

/* Held until the connection ends. Others wait here, and then find nothing left to do. */
static int lock(struct pg *pg, struct error *err)
{
	static const struct pg_statement take = { "migrate_lock", "SELECT pg_advisory_lock($1) IS NULL" };
	struct pg_params params = { 0 };

	pg_add_int8(&params, LOCK_ID);
	return pg_query(pg, &take, &params, NULL, err);
}

static int make_table(struct pg *pg, struct error *err)
{
	return pg_script(pg,
		"SET client_min_messages = warning;"
		"CREATE TABLE IF NOT EXISTS schema_migrations ("
		"	number     int PRIMARY KEY,"
		"	name       text NOT NULL,"
		"	checksum   text NOT NULL,"
		"	applied_at timestamptz NOT NULL DEFAULT now());"
		"COMMENT ON TABLE schema_migrations IS"
		"	'Which migrations this database has: kept by garrisonctl migrate. checksum is the file''s "
		"SHA-256.'",
		err);
}

static int has_table(struct pg *pg, bool *has, struct error *err)
{
	static const struct pg_statement look = { "migrate_has_table",
		"SELECT to_regclass('schema_migrations') IS NOT NULL" };
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };

	if (pg_query(pg, &look, NULL, &rows, err))
		return -1;
	*has = pg_bool(&rows, 0, 0);
	return 0;
}

static int read_history(struct pg *pg, struct scratch *scratch, struct history *history, struct error *err)
{
	static const struct pg_statement look = { "migrate_history",
		"SELECT number, name, checksum FROM schema_migrations ORDER BY number" };
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };

	if (pg_query(pg, &look, NULL, &rows, err))
		return -1;
	struct applied *items = scratch_array(scratch, (size_t)rows.n + 1, sizeof(*items));

	for (int i = 0; i < rows.n; i++) {
		items[i].number = pg_int(&rows, i, 0);
		items[i].name = scratch_strdup(scratch, pg_text(&rows, i, 1, NULL));
		items[i].checksum = scratch_strdup(scratch, pg_text(&rows, i, 2, NULL));
	}
	*history = (struct history){ items, (size_t)rows.n };
	return 0;
}

static const struct applied *find_applied(const struct history *history, int number)
{
	for (size_t i = 0; i < history->n; i++)
		if (history->items[i].number == number)
			return &history->items[i];
	return NULL;
}

/* Everything is looked at before anything is applied. */
static int check_history(const struct history *history, struct error *err)
{
	for (size_t i = 0; i < n_migrations; i++) {
		const struct applied *applied = find_applied(history, migrations[i].number);
		char checksum[CHECKSUM_TEXT_MAX];

		if (applied && strcmp(applied->checksum, checksum_of(&migrations[i], checksum)) != 0)
			return error_set(err, CODE_CONFLICT,
				"migration %s has been changed since it was applied to this database (as %s): put the "
				"old text "
				"back, and make the change in a migration of its own",
				migrations[i].name, applied->name);
	}
	return 0;
}

static int apply(struct pg *pg, const struct migration *migration, struct error *err)
{
	CLEANUP(text_release) struct text script = { 0 };
	char checksum[CHECKSUM_TEXT_MAX];
	struct error wrong = { 0 };

	/* One simple query is one transaction. The record comes first: whoever was faster makes this one fail whole. */
	text_printf(&script, "INSERT INTO schema_migrations (number, name, checksum) VALUES (%d, '%s', '%s');\n",
		migration->number, migration->name, checksum_of(migration, checksum));
	text_str_add(&script, migration->sql);
	if (pg_script(pg, text_str(&script), &wrong) == 0)
		return 0;
	*err = wrong;
	snprintf(err->text, sizeof(err->text), "migration %s: %.200s", migration->name, wrong.text);
	return -1;
}

/* Adds the names of what was applied, or in a dry run would have been. */
static int apply_missing(struct pg *pg, const struct history *history, const struct invocation *in, struct text *names,
	size_t *n, struct error *err)
{
	const struct migrate_options *options = in->options;

	for (size_t i = 0; i < n_migrations; i++) {
		if (find_applied(history, migrations[i].number))
			continue;
		if (!options->dry_run && apply(pg, &migrations[i], err))
			return -1;
		if (in->json)
			json_string(names, migrations[i].name);
		else
			text_printf(names, "%s%s", *n ? ", " : "", migrations[i].name);
		(*n)++;
	}
	return 0;
}

static void tell(const struct invocation *in, const struct text *names, size_t n, bool dry_run)
{
	if (in->json)
		printf("{\"%s\":%s,\"version\":%zu}\n", dry_run ? "missing" : "applied", text_str(names), n_migrations);
	else if (n == 0)
		printf("the schema is up to date at migration %zu\n", n_migrations);
	else
		printf("%s %s\n", dry_run ? "would apply" : "applied", text_str(names));
}

static int read_state(struct pg *pg, bool dry_run, struct scratch *scratch, struct history *history, struct error *err)
{
	bool has = true;

	if (dry_run ? has_table(pg, &has, err) : lock(pg, err) || make_table(pg, err))
		return -1;
	return has ? read_history(pg, scratch, history, err) : 0;
}

int migrate_run(struct invocation *in, struct error *err)
{
	const struct migrate_options *options = in->options;
	CLEANUP(text_release) struct text names = { 0 };
	CLEANUP(pg_drop) struct pg *pg = stores_database(MIGRATION_TIMEOUT_MS);
	struct history history = { 0 };
	size_t n = 0;

	if (stores_wait_for_database(pg, MIGRATION_TIMEOUT_MS, err) ||
		read_state(pg, options->dry_run, &in->scratch, &history, err) || check_history(&history, err))
		return ctl_failed(err);
	if (in->json)
		json_open(&names, '[');
	int failed = apply_missing(pg, &history, in, &names, &n, err);

	if (in->json)
		json_close(&names, ']');
	if (failed)
		return ctl_failed(err);
	tell(in, &names, n, options->dry_run);
	return CTL_DONE;
}
