#include <stdio.h>

#include "clock.h"
#include "log.h"
#include "worker_internal.h"

#define PROBE_FIRST_MS 100
#define PROBE_LAST_MS 2000
#define PROBE_LIMIT_MS 2000

struct pg *worker_open_pg(const struct service *service)
{
	static char application_name[64];
	struct pg_options options = {
		.url = common_settings.database_url,
		.statement_timeout_ms = common_settings.command_processing_timeout_ms,
		.session_settings = service->pg_settings,
	};

	if (!(service->needs & NEEDS_POSTGRES))
		return NULL;
	snprintf(application_name, sizeof(application_name), "garrison-%s", service->name);
	options.application_name = application_name;
	for (size_t i = 0; i < service->n_commands; i++)
		if (service->commands[i].timeout_ms > options.statement_timeout_ms)
			options.statement_timeout_ms = service->commands[i].timeout_ms;
	for (size_t i = 0; i < service->n_timers; i++)
		if (service->timers[i].timeout_ms > options.statement_timeout_ms)
			options.statement_timeout_ms = service->timers[i].timeout_ms;
	options.idle_in_transaction_ms = options.statement_timeout_ms;
	return pg_new(&options);
}

struct kv *worker_open_kv(const struct service *service)
{
	struct error err;
	struct kv *kv;

	if (!(service->needs & NEEDS_REDIS))
		return NULL;
	kv = kv_new(common_settings.redis_url, service->name, &err);
	if (!kv)
		BUG("REDIS_URL: %s", err.text);
	return kv;
}

void thread_bar_stores(struct thread *thread, unsigned down)
{
	if (thread->pg)
		pg_bar(thread->pg, down & (1u << STORE_POSTGRES));
	if (thread->kv)
		kv_bar(thread->kv, down & (1u << STORE_REDIS));
}

/* ---- probing stores ---- */

unsigned workers_down(struct workers *workers)
{
	unsigned down;

	pthread_mutex_lock(&workers->mutex);
	down = workers->down;
	pthread_mutex_unlock(&workers->mutex);
	return down;
}

void workers_suspect(struct workers *workers, unsigned stores)
{
	unsigned asked = (workers->service->needs & NEEDS_POSTGRES ? 1u << STORE_POSTGRES : 0) |
			 (workers->service->needs & NEEDS_REDIS ? 1u << STORE_REDIS : 0);

	pthread_mutex_lock(&workers->mutex);
	workers->suspected |= stores & asked & ~workers->down;
	if (workers->suspected && !workers->probing) {
		workers->probe_wanted = true;
		workers_wake(workers);
	}
	pthread_mutex_unlock(&workers->mutex);
}

void workers_probe(struct workers *workers)
{
	pthread_mutex_lock(&workers->mutex);
	if (workers->down && !workers->probing && !workers->probe_wanted && clock_ms() >= workers->probe_at_ms) {
		workers->probe_wanted = true;
		workers_wake(workers);
	}
	pthread_mutex_unlock(&workers->mutex);
}

static bool answers(struct thread *thread, enum store store, struct error *err)
{
	int64_t deadline_ms = clock_ms() + PROBE_LIMIT_MS;

	if (store == STORE_POSTGRES) {
		pg_set_deadline(thread->pg, deadline_ms);
		return pg_ping(thread->pg, err);
	}
	kv_set_deadline(thread->kv, deadline_ms);
	return kv_ping(thread->kv, err);
}

static void say_change(enum store store, bool up, const struct error *err)
{
	if (up)
		log_line(LOG_INFO, "store_up", "%s answers again", store_name(store));
	else
		log_line(LOG_WARN, "store_down", "%s is out of reach: %s", store_name(store), err->text);
}

/* Which of the stores asked do not answer. */
static unsigned ask_stores(struct thread *thread, unsigned asked, unsigned down)
{
	unsigned silent = 0;
	struct error err;

	thread_bar_stores(thread, 0);
	for (enum store store = STORE_POSTGRES; store <= STORE_REDIS; store++) {
		bool was_up = !(down & (1u << store)), up;

		if (!(asked & (1u << store)))
			continue;
		up = answers(thread, store, &err);
		if (!up)
			silent |= 1u << store;
		if (up != was_up)
			say_change(store, up, &err);
	}
	log_flush();
	return silent;
}

void thread_probe(struct thread *thread)
{
	struct workers *workers = thread->workers;
	unsigned down = workers->down, asked = down | workers->suspected, silent;

	workers->probe_wanted = false;
	workers->suspected = 0;
	workers->probing = true;
	thread->running = "probe";
	thread->hard_limit_at_ms = clock_ms() + HARD_LIMIT_FACTOR * 2 * PROBE_LIMIT_MS;
	pthread_mutex_unlock(&workers->mutex);
	silent = ask_stores(thread, asked, down);
	pthread_mutex_lock(&workers->mutex);
	thread->running = NULL;
	workers->probing = false;
	workers->down = (workers->down & ~asked) | silent;
	workers->probe_backoff_ms = down ? workers->probe_backoff_ms * 2 : PROBE_FIRST_MS;
	if (workers->probe_backoff_ms > PROBE_LAST_MS)
		workers->probe_backoff_ms = PROBE_LAST_MS;
	workers->probe_at_ms = clock_ms() + clock_jitter_ms(workers->probe_backoff_ms);
}
