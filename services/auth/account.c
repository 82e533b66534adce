#include "account.h"
#include "crash.h"

#include <inttypes.h>

static int find(struct call *call, const struct pg_statement *statement, struct pg_params *params,
	struct account *account, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	const char *login, *hash;

	if (pg_query(call->pg, statement, params, &rows, err))
		return -1;
	*account = (struct account){ 0 };
	if (!rows.n)
		return 0;
	account->id = pg_int(&rows, 0, 0);
	login = pg_text(&rows, 0, 1, NULL);
	hash = pg_text(&rows, 0, 2, NULL);
	account->login = login ? scratch_strdup(&call->scratch, login) : NULL;
	account->password_hash = hash ? scratch_strdup(&call->scratch, hash) : NULL;
	return 0;
}

int account_by_login(struct call *call, const char *login, struct account *account, struct error *err)
{
	static const struct pg_statement statement = { "auth_account_by_login",
		"SELECT id, login, password_hash FROM accounts WHERE login = $1" };
	struct pg_params params = { 0 };

	pg_add_text(&params, login);
	return find(call, &statement, &params, account, err);
}

int account_by_id(struct call *call, int64_t id, struct account *account, struct error *err)
{
	static const struct pg_statement statement = { "auth_account_by_id",
		"SELECT id, login, password_hash FROM accounts WHERE id = $1" };
	struct pg_params params = { 0 };

	pg_add_int8(&params, id);
	return find(call, &statement, &params, account, err);
}

int account_by_telegram(struct call *call, int64_t telegram_id, bool create, int64_t *id, struct error *err)
{
	static const struct pg_statement look = { "auth_account_by_telegram",
		"SELECT id FROM accounts WHERE telegram_id = $1" };
	static const struct pg_statement add = { "auth_add_telegram_account",
		"INSERT INTO accounts (telegram_id) VALUES ($1) ON CONFLICT (telegram_id) DO NOTHING" };
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };

	pg_add_int8(&params, telegram_id);
	if (pg_query(call->pg, &look, &params, &rows, err))
		return -1;
	if (!rows.n && create) {
		params = (struct pg_params){ 0 };
		pg_add_int8(&params, telegram_id);
		/* Where two come at once, the second finds what the first made. */
		if (pg_query(call->pg, &add, &params, NULL, err))
			return -1;
		crash_point("telegram_account_added");
		return account_by_telegram(call, telegram_id, false, id, err);
	}
	*id = rows.n ? pg_int(&rows, 0, 0) : 0;
	return 0;
}

int account_add(struct call *call, const char *login, const char *password_hash, int64_t *id, struct error *err)
{
	static const struct pg_statement statement = { "auth_add_account",
		"INSERT INTO accounts (login, password_hash) VALUES ($1, $2) ON CONFLICT (login) DO NOTHING RETURNING "
		"id" };
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };

	pg_add_text(&params, login);
	pg_add_text(&params, password_hash);
	if (pg_query(call->pg, &statement, &params, &rows, err))
		return -1;
	if (!rows.n)
		return error_set(err, CODE_CONFLICT, "this login is taken");
	*id = pg_int(&rows, 0, 0);
	return 0;
}

int account_rehash(struct call *call, int64_t id, const char *old_hash, const char *new_hash, struct error *err)
{
	static const struct pg_statement statement = { "auth_rehash",
		"UPDATE accounts SET password_hash = $3 WHERE id = $1 AND password_hash = $2" };
	struct pg_params params = { 0 };

	pg_add_int8(&params, id);
	pg_add_text(&params, old_hash);
	pg_add_text(&params, new_hash);
	return pg_query(call->pg, &statement, &params, NULL, err);
}

static const struct field character_fields[] = {
	FIELD(struct character, char_id, .required = true, .help = "the character"),
	FIELD(struct character, name, .required = true, .help = "its name"),
	FIELD(struct character, gender, .required = true, .help = "male, female or other"),
};
const struct schema character_schema = SCHEMA(struct character, character_fields, .name = "character of an account");

int account_characters(struct call *call, int64_t account_id, struct list *characters, struct error *err)
{
	static const struct pg_statement statement = { "auth_characters",
		"SELECT id, name, gender FROM characters WHERE account_id = $1 ORDER BY id" };
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };
	struct character *items;

	pg_add_int8(&params, account_id);
	if (pg_query(call->pg, &statement, &params, &rows, err))
		return -1;
	items = scratch_array(&call->scratch, (size_t)rows.n, sizeof(*items));
	for (int row = 0; row < rows.n; row++)
		items[row] = (struct character){
			.char_id = pg_int(&rows, row, 0),
			.name = scratch_strdup(&call->scratch, pg_text(&rows, row, 1, NULL)),
			.gender = scratch_strdup(&call->scratch, pg_text(&rows, row, 2, NULL)),
		};
	*characters = (struct list){ .n = (size_t)rows.n, .items = items };
	return 0;
}

int character_choose(const struct list *characters, const struct opt_int *wanted, int64_t current, int64_t *char_id,
	struct error *err)
{
	const struct character *items = characters->items;
	int64_t asked = wanted->set ? wanted->value : current;

	for (size_t i = 0; i < characters->n; i++)
		if (items[i].char_id == asked) {
			*char_id = asked;
			return 0;
		}
	if (wanted->set)
		return error_set(err, CODE_FORBIDDEN, "character %" PRId64 " is not this account's", wanted->value);
	*char_id = characters->n == 1 ? items[0].char_id : 0;
	return 0;
}
