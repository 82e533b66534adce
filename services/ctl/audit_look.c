#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "clock.h"
#include "stores.h"

/* Sums over a long history take their time. */
#define QUERY_LIMIT_MS (15 * 60 * 1000)
#define CACHE_LIMIT_MS 30000

int audit_open(struct audit_sources *sources, struct invocation *in, struct error *err)
{
	char vhost[VHOST_MAX];
	size_t n_delays;
	const int64_t *delays_ms = ctl_delays(in, &n_delays);

	if (vhost_of_url(ctl_settings.amqp_url, vhost, err))
		return -1;
	sources->topology = topology_new(ctl_settings.amqp_url, delays_ms, n_delays);
	sources->management = management_new(ctl_settings.rabbitmq_api_url, vhost, err);
	sources->kv = sources->management ? stores_cache(err) : NULL;
	if (!sources->kv)
		return -1;
	sources->pg = stores_database(QUERY_LIMIT_MS);
	return stores_wait_for_tables(sources->pg, QUERY_LIMIT_MS, err);
}

void audit_close(struct audit_sources *sources)
{
	topology_free(sources->topology);
	management_free(sources->management);
	kv_free(sources->kv);
	pg_free(sources->pg);
}

int audit_query(const struct audit_sources *sources, const struct pg_statement *statement, struct pg_params *params,
	struct pg_rows *rows, struct error *err)
{
	pg_set_deadline(sources->pg, clock_ms() + QUERY_LIMIT_MS);
	return pg_query(sources->pg, statement, params, rows, err);
}

struct kv *audit_kv(const struct audit_sources *sources)
{
	kv_set_deadline(sources->kv, clock_ms() + CACHE_LIMIT_MS);
	return sources->kv;
}

static int scan_page(const struct audit_sources *sources, const char *pattern, char cursor[static 32],
	key_page_fn *page, void *context, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };

	if (kv_command(audit_kv(sources), &answers, err, "SCAN %s MATCH %s COUNT %d", cursor, pattern, AUDIT_PAGE))
		return -1;
	const struct kv_answer *keys = kv_item(kv_at(&answers, 0), 1);
	size_t n = kv_length(keys);
	CLEANUP(release_memory) const char **names = must_alloc((n + 1) * sizeof(*names));

	snprintf(cursor, 32, "%s", kv_string(kv_item(kv_at(&answers, 0), 0), NULL));
	for (size_t i = 0; i < n; i++)
		names[i] = kv_string(kv_item(keys, i), NULL);
	const struct key_page found = { names, n };

	return n ? page(sources, &found, context, err) : 0;
}

int audit_scan(
	const struct audit_sources *sources, const char *pattern, key_page_fn *page, void *context, struct error *err)
{
	char cursor[32] = "0";

	do {
		if (scan_page(sources, pattern, cursor, page, context, err))
			return -1;
	} while (strcmp(cursor, "0") != 0);
	return 0;
}

bool audit_number_of(const char *text, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	return !errno && end != text && !*end && *text != ' ' && *text != '+';
}
