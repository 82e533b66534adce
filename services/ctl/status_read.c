#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "status.h"
#include "stores.h"
#include "topology/topology.h"

#define SCRATCH_MAX ((size_t)256 << 20)
#define STORE_LIMIT_MS 5000
#define QUEUE_COLUMNS                                                                                                  \
	"columns=name,consumers,messages_ready,messages_unacknowledged,messages_dlx,"                                  \
	"message_stats.publish_details.rate,message_stats.ack_details.rate,message_stats.deliver_no_ack_details.rate"

/* ---- broker ---- */

static double number_of(const cJSON *object, const char *key)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsNumber(value) ? value->valuedouble : 0;
}

static double rate_of(const cJSON *queue, const char *key)
{
	const cJSON *stats = cJSON_GetObjectItemCaseSensitive(queue, "message_stats");

	return number_of(cJSON_GetObjectItemCaseSensitive(stats, key), "rate");
}

static void add_queue(struct queue_status *sum, const cJSON *queue)
{
	sum->ready += (int64_t)number_of(queue, "messages_ready");
	sum->in_flight += (int64_t)number_of(queue, "messages_unacknowledged");
	sum->consumers += (int64_t)number_of(queue, "consumers");
	sum->undelivered += (int64_t)number_of(queue, "messages_dlx");
	sum->in_rate += rate_of(queue, "publish_details");
	sum->out_rate += rate_of(queue, "ack_details") + rate_of(queue, "deliver_no_ack_details");
}

/* game.<service>, and behind it .rpc, .dead or .retry.<delay>. */
static struct queue_status *queue_status_for(struct service_status *service, const char *name)
{
	char own[BROKER_NAME_MAX];
	size_t len = strlen(name_queue(service->name, own));
	const char *rest = name + len;

	if (strncmp(name, own, len) != 0)
		return NULL;
	if (!*rest)
		return &service->durable;
	if (strcmp(rest, ".rpc") == 0)
		return &service->requests;
	if (strcmp(rest, ".dead") == 0)
		return &service->dead;
	return strncmp(rest, ".retry.", 7) == 0 ? &service->retrying : NULL;
}

void status_read_broker(struct management *management, struct status *status)
{
	struct scratch scratch;
	const cJSON *queues, *queue;

	memset(status, 0, sizeof(*status));
	for (size_t i = 0; i < n_topology_services && i < STATUS_SERVICES_MAX; i++)
		status->services[status->n_services++].name = topology_services[i];
	scratch_init(&scratch, SCRATCH_MAX);
	if (management_get(management, "queues", QUEUE_COLUMNS, &scratch, &queues, &status->broker) == 0) {
		cJSON_ArrayForEach(queue, queues)
		{
			const cJSON *name = cJSON_GetObjectItemCaseSensitive(queue, "name");

			for (size_t i = 0; cJSON_IsString(name) && i < status->n_services; i++) {
				struct queue_status *sum = queue_status_for(&status->services[i], name->valuestring);

				if (sum)
					add_queue(sum, queue);
			}
		}
	}
	scratch_release(&scratch);
}

/* ---- database ---- */

static void read_database(struct pg *pg, struct status *status)
{
	/* Everything by an index, or an estimate: asking must cost little whatever the size. */
	static const struct pg_statement look = { "status",
		"SELECT (SELECT CASE WHEN reltuples BETWEEN 0 AND 100000 OR pg_relation_size(oid) < 16777216"
		"		THEN (SELECT count(*) FROM auto_sessions) ELSE reltuples::int8 END"
		"	FROM pg_class WHERE oid = 'auto_sessions'::regclass),"
		" (SELECT count(*) FROM (SELECT FROM auto_sessions WHERE next_tick_at <= now() LIMIT $1) due),"
		" (SELECT coalesce(greatest(extract(epoch FROM now() - min(next_tick_at)), 0), 0)::float8 FROM "
		"auto_sessions),"
		" (SELECT count(*) FROM combat_history WHERE settlement_status <> 'processed' AND settlement_status = "
		"'pending'),"
		" (SELECT count(*) FROM combat_history WHERE settlement_status <> 'processed' AND settlement_status = "
		"'failed')" };
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };

	pg_set_deadline(pg, clock_ms() + STORE_LIMIT_MS);
	if (stores_check_tables(pg, &status->database))
		return;
	pg_add_int8(&params, STATUS_DUE_MAX);
	if (pg_query(pg, &look, &params, &rows, &status->database))
		return;
	status->sessions = pg_int(&rows, 0, 0);
	status->due_sessions = pg_int(&rows, 0, 1);
	status->overdue_s = pg_float8(&rows, 0, 2);
	status->pending_fights = pg_int(&rows, 0, 3);
	status->failed_fights = pg_int(&rows, 0, 4);
}

/* ---- cache ---- */

static const char *const tick_queues[] = { "tick:queue:exploration", "tick:queue:crafting", "tick:queue:trade",
	"tick:queue:general" };

static int read_in_work(struct kv *kv, const struct kv_answer *workers, struct status *status)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };

	for (size_t i = 0; i < kv_length(workers); i++)
		kv_queue(kv, "SCARD dirty_accounts:processing:%s", kv_string(kv_item(workers, i), NULL));
	if (kv_sync(kv, &answers, &status->cache) || kv_check(&answers, &status->cache))
		return -1;
	for (size_t i = 0; i < answers.n; i++)
		status->in_work += kv_integer(kv_at(&answers, i), 0);
	return 0;
}

static void read_cache(struct kv *kv, struct status *status)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	const struct kv_answer *now;

	kv_set_deadline(kv, clock_ms() + STORE_LIMIT_MS);
	kv_queue(kv, "TIME");
	kv_queue(kv, "SCARD dirty_accounts");
	kv_queue(kv, "GET dirty_accounts:clean");
	kv_queue(kv, "ZCARD dirty_accounts:aside");
	kv_queue(kv, "SMEMBERS dirty_accounts:workers");
	for (size_t i = 0; i < ARRAY_LEN(tick_queues); i++)
		kv_queue(kv, "LLEN %s", tick_queues[i]);
	if (kv_sync(kv, &answers, &status->cache) || kv_check(&answers, &status->cache))
		return;
	now = kv_at(&answers, 0);
	status->dirty = kv_integer(kv_at(&answers, 1), 0);
	int64_t clean_ms = kv_integer(kv_at(&answers, 2), 0);

	status->oldest_dirty_s = status->dirty ? -1 : 0;
	if (status->dirty && clean_ms && kv_length(now) == 2)
		status->oldest_dirty_s = (double)kv_integer(kv_item(now, 0), 0) +
					 (double)kv_integer(kv_item(now, 1), 0) / 1e6 - (double)clean_ms / 1e3;
	status->set_aside = kv_integer(kv_at(&answers, 3), 0);
	for (size_t i = 0; i < ARRAY_LEN(tick_queues); i++)
		status->queued_ticks += kv_integer(kv_at(&answers, 5 + i), 0);
	if (kv_length(kv_at(&answers, 4)))
		read_in_work(kv, kv_at(&answers, 4), status);
}

void status_read(const struct status_sources *sources, struct status *status)
{
	status_read_broker(sources->management, status);
	read_database(sources->pg, status);
	read_cache(sources->kv, status);
}
