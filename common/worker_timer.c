#include <stdatomic.h>
#include <string.h>

#include "clock.h"
#include "dispatch.h"
#include "log.h"
#include "worker_internal.h"

#define TIMER_FAILED_MS 1000
#define STOPPED_POLL_MS 100

/* The pool whose timers may run; there is one a process. */
static struct workers *_Atomic running_pool;

static int64_t run_timer(struct thread *thread)
{
	static const struct message nothing = { .lane = LANE_DURABLE };
	const struct timer *timer = thread->timer;
	int64_t limit_ms = timer->timeout_ms ? timer->timeout_ms : common_settings.command_processing_timeout_ms;
	struct call call;
	struct error err;
	int64_t again_ms;

	thread_begin(thread, timer->name, limit_ms);
	call_init(&call, thread->workers->service, &nothing, thread->pg, thread->kv);
	call.deadline_ms = clock_ms() + limit_ms;
	if (thread->pg)
		pg_set_deadline(thread->pg, call.deadline_ms);
	if (thread->kv)
		kv_set_deadline(thread->kv, call.deadline_ms);
	again_ms = timer->run(&call);
	if (publish_flush(&call, &err)) {
		log_line(LOG_WARN, "timer_unpublished", "%s: %s", timer->name, err.text);
		again_ms = again_ms < TIMER_FAILED_MS ? TIMER_FAILED_MS : again_ms;
	}
	if (thread->pg)
		pg_rollback(thread->pg);
	if (call.down)
		workers_suspect(thread->workers, 1u << call.down);
	call_release(&call);
	thread_end(thread, 1);
	return again_ms;
}

void *timer_main(void *arg)
{
	struct thread *thread = arg;
	struct workers *workers = thread->workers;
	int64_t at_ms = 0;

	pthread_mutex_lock(&workers->mutex);
	while (!workers->timers_stop) {
		int64_t now_ms = clock_ms();

		if (!workers->timers_run || workers->down) {
			wait_until(&workers->timer_tick, &workers->mutex, (now_ms + STOPPED_POLL_MS) * 1000);
		} else if (now_ms < at_ms && !thread->woken) {
			wait_until(&workers->timer_tick, &workers->mutex, at_ms * 1000);
		} else {
			workers->busy++;
			thread->woken = false;
			pthread_mutex_unlock(&workers->mutex);
			at_ms = run_timer(thread);
			at_ms += clock_ms();
			log_flush();
			pthread_mutex_lock(&workers->mutex);
		}
	}
	pthread_mutex_unlock(&workers->mutex);
	log_flush();
	return NULL;
}

void workers_start_timers(struct workers *workers)
{
	pthread_mutex_lock(&workers->mutex);
	workers->timers_run = true;
	pthread_cond_broadcast(&workers->timer_tick);
	pthread_mutex_unlock(&workers->mutex);
	atomic_store(&running_pool, workers);
}

void service_wake_timer(const char *name)
{
	struct workers *workers = atomic_load(&running_pool);

	if (!workers)
		return;
	pthread_mutex_lock(&workers->mutex);
	for (size_t i = 0; i < workers->n_threads; i++)
		if (workers->threads[i].timer && strcmp(workers->threads[i].timer->name, name) == 0)
			workers->threads[i].woken = true;
	pthread_cond_broadcast(&workers->timer_tick);
	pthread_mutex_unlock(&workers->mutex);
}

void workers_stop_timers(struct workers *workers)
{
	atomic_store(&running_pool, NULL);
	pthread_mutex_lock(&workers->mutex);
	workers->timers_stop = true;
	pthread_cond_broadcast(&workers->timer_tick);
	pthread_mutex_unlock(&workers->mutex);
}
