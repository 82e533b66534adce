#include "schema_version.h"

#include <string.h>

#include "version.h"

int schema_version_check(struct pg *pg, struct error *err)
{
	static const struct pg_statement newest = { "schema_version",
		"SELECT coalesce(max(number), 0)::int8 FROM schema_migrations" };
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct error why;

	if (pg_query(pg, &newest, NULL, &rows, &why)) {
		if (strcmp(why.sqlstate, "42P01") == 0)
			return error_set(err, CODE_NOT_FOUND,
				"the database has no tables of ours: run \"garrisonctl migrate\" first");
		if (err)
			*err = why;
		return -1;
	}
	if (pg_int(&rows, 0, 0) < GARRISON_SCHEMA_VERSION)
		return error_set(err, CODE_NOT_FOUND,
			"the database is at migration %lld, this program needs %d: run \"garrisonctl migrate\" first",
			(long long)pg_int(&rows, 0, 0), GARRISON_SCHEMA_VERSION);
	return 0;
}
