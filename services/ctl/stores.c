#include "stores.h"

#include "clock.h"
#include "ctl.h"
#include "schema_version.h"

#define ANSWER_TIMEOUT_MS 10000
#define RETRY_MS 500

struct pg *stores_database(int64_t statement_timeout_ms)
{
	const struct pg_options options = {
		.url = ctl_settings.database_url,
		.application_name = "garrisonctl",
		.statement_timeout_ms = statement_timeout_ms,
	};

	return pg_new(&options);
}

int stores_wait_for_database(struct pg *pg, int64_t limit_ms, struct error *err)
{
	int64_t deadline_ms = clock_ms() + ctl_settings.startup_timeout_ms;

	for (;;) {
		pg_set_deadline(pg, clock_ms() + ANSWER_TIMEOUT_MS);
		if (pg_ping(pg, err))
			break;
		if (err->down == STORE_NONE || clock_ms() >= deadline_ms)
			return -1;
		clock_sleep_ms(RETRY_MS);
	}
	pg_set_deadline(pg, clock_ms() + limit_ms);
	return 0;
}

int stores_check_tables(struct pg *pg, struct error *err)
{
	if (schema_version_check(pg, err) == 0)
		return 0;
	if (err->code == CODE_NOT_FOUND)
		err->code = CODE_UNAVAILABLE;
	return -1;
}

int stores_wait_for_tables(struct pg *pg, int64_t limit_ms, struct error *err)
{
	return stores_wait_for_database(pg, limit_ms, err) || stores_check_tables(pg, err) ? -1 : 0;
}

struct kv *stores_cache(struct error *err)
{
	struct error wrong = { 0 };
	struct kv *kv = kv_new(ctl_settings.redis_url, "garrisonctl", &wrong);

	if (!kv)
		error_set(err, wrong.code, "REDIS_URL: %s", wrong.text);
	return kv;
}
