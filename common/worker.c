#include "worker_internal.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "crash.h"
#include "dispatch.h"
#include "log.h"
#include "publisher.h"
#include "quarantine.h"

#define THREAD_STACK ((size_t)512 << 10)
#define SCRATCH_CAP ((size_t)64 << 20)
#define HARD_LIMIT_MIN_MS 2000
#define TOGETHER_MAX 64

/* ---- what a thread is doing, for the watchdog ---- */

void thread_begin(struct thread *thread, const char *what, int64_t soft_limit_ms)
{
	struct workers *workers = thread->workers;
	int64_t hard_ms = soft_limit_ms * HARD_LIMIT_FACTOR;
	unsigned down;

	pthread_mutex_lock(&workers->mutex);
	thread->running = what;
	thread->hard_limit_at_ms = clock_ms() + (hard_ms < HARD_LIMIT_MIN_MS ? HARD_LIMIT_MIN_MS : hard_ms);
	down = workers->down;
	pthread_mutex_unlock(&workers->mutex);
	thread_bar_stores(thread, down);
}

void thread_end(struct thread *thread, size_t n_jobs)
{
	struct workers *workers = thread->workers;

	pthread_mutex_lock(&workers->mutex);
	thread->running = NULL;
	workers->busy -= n_jobs;
	pthread_mutex_unlock(&workers->mutex);
}

const char *workers_stuck(struct workers *workers)
{
	const char *stuck = NULL;
	int64_t now_ms = clock_ms();

	pthread_mutex_lock(&workers->mutex);
	for (size_t i = 0; i < workers->n_threads && !stuck; i++)
		if (workers->threads[i].running && now_ms > workers->threads[i].hard_limit_at_ms)
			stuck = workers->threads[i].running;
	pthread_mutex_unlock(&workers->mutex);
	return stuck;
}

/* ---- jobs ---- */

size_t workers_busy(struct workers *workers)
{
	size_t busy;

	pthread_mutex_lock(&workers->mutex);
	busy = workers->busy;
	pthread_mutex_unlock(&workers->mutex);
	return busy;
}

static void end_late(struct job *list, const struct job_sink *sink)
{
	while (list) {
		struct job *job = list;

		list = job->next;
		if (job_expired(job))
			job_finish(job, VERDICT_ACK, sink);
		else
			job_turn_away(job, "too many others are being served; ask again", sink);
	}
}

static void run_suspect(struct thread *thread, struct job *job, struct call *call)
{
	int64_t limit_ms = command_timeout_ms(job->command) * HARD_LIMIT_FACTOR;

	pthread_mutex_lock(&thread->workers->mutex);
	thread->hard_limit_at_ms = clock_ms() + 2 * limit_ms + HARD_LIMIT_MIN_MS;
	pthread_mutex_unlock(&thread->workers->mutex);
	quarantine_run(call, limit_ms);
	crash_point("suspect_judged");
	job_settle(job, call, thread->workers->sink);
}

/* Before the handler: true when the job is among those to be handled. */
static bool prepare_job(struct thread *thread, struct job *job, struct call *call)
{
	const struct job_sink *sink = thread->workers->sink;

	if (job_expired(job)) {
		job_finish(job, VERDICT_ACK, sink);
		return false;
	}
	if (job->message.lane == LANE_RPC && job->message.redelivered) {
		job_turn_away(job, "the worker that had this request is gone; ask again", sink);
		return false;
	}
	call_init(call, thread->workers->service, &job->message, thread->pg, thread->kv);
	if (job_is_suspect(job) && job->command)
		run_suspect(thread, job, call);
	else if (dispatch_prepare(call, &thread->tree))
		return true;
	else
		job_settle(job, call, sink);
	call_release(call);
	return false;
}

/* What a batch gives rise to leaves together, some at a time. */
static void hold_back(struct thread *thread, bool held)
{
	const struct job_sink *sink = thread->workers->sink;

	publisher_hold(service_publisher(), held);
	if (sink->hold)
		sink->hold(sink->arg, held);
}

static void run_jobs(struct thread *thread, struct job *list, size_t n)
{
	const struct command *command = list->command;
	struct call *calls CLEANUP(release_memory) = must_alloc(n * sizeof(*calls));
	struct call **ready CLEANUP(release_memory) = must_alloc(n * sizeof(struct call *));
	struct job **jobs CLEANUP(release_memory) = must_alloc(n * sizeof(struct job *));
	size_t n_ready = 0;

	thread_begin(thread, command ? command->name : "unknown", command_timeout_ms(command));
	for (struct job *job = list, *next; job; job = next) {
		next = job->next;
		jobs[n_ready] = job;
		ready[n_ready] = &calls[n_ready];
		if (prepare_job(thread, job, ready[n_ready]))
			n_ready++;
	}
	crash_point("parsed");
	if (n_ready)
		dispatch_run(ready, n_ready, &thread->scratch);
	crash_point("handled");
	if (thread->pg)
		pg_rollback(thread->pg);
	for (size_t i = 0; i < n_ready; i++) {
		if (i % TOGETHER_MAX == 0)
			hold_back(thread, true);
		job_settle(jobs[i], ready[i], thread->workers->sink);
		call_release(ready[i]);
		if (i % TOGETHER_MAX == TOGETHER_MAX - 1 || i + 1 == n_ready)
			hold_back(thread, false);
	}
	thread_end(thread, n);
}

static void *jobs_main(void *arg)
{
	struct thread *thread = arg;
	struct workers *workers = thread->workers;
	struct job_queue *queue;
	struct job *late;

	pthread_mutex_lock(&workers->mutex);
	for (;;) {
		if (workers->probe_wanted && !workers->probing) {
			workers_wake_for_the_rest(workers);
			thread_probe(thread);
		} else if ((queue = queue_next_ready(workers)) && (late = queue_take_late(queue))) {
			workers_wake_for_the_rest(workers);
			pthread_mutex_unlock(&workers->mutex);
			end_late(late, workers->sink);
			pthread_mutex_lock(&workers->mutex);
		} else if (queue) {
			size_t n;
			struct job *list = queue_take_jobs(workers, queue, &n);

			pthread_mutex_unlock(&workers->mutex);
			run_jobs(thread, list, n);
			pthread_mutex_lock(&workers->mutex);
			queue->running--;
		} else if (workers->stopping) {
			break;
		} else {
			pthread_mutex_unlock(&workers->mutex);
			log_flush();
			pthread_mutex_lock(&workers->mutex);
			if (!queue_next_ready(workers) && !workers->stopping && !workers->probe_wanted)
				thread_sleep(thread);
		}
	}
	pthread_mutex_unlock(&workers->mutex);
	log_flush();
	return NULL;
}

/* ---- the pool ---- */

static void start_thread(struct workers *workers, const struct timer *timer)
{
	struct thread *thread = &workers->threads[workers->n_threads++];
	pthread_attr_t attributes;

	*thread = (struct thread){
		.workers = workers,
		.timer = timer,
		.pg = worker_open_pg(workers->service),
		.kv = worker_open_kv(workers->service),
	};
	condition_init(&thread->work);
	scratch_init(&thread->tree, SCRATCH_CAP);
	scratch_init(&thread->scratch, SCRATCH_CAP);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, THREAD_STACK);
	if (pthread_create(&thread->handle, &attributes, timer ? timer_main : jobs_main, thread))
		BUG("cannot start a thread");
	pthread_attr_destroy(&attributes);
}

static size_t timer_threads(const struct timer *timer)
{
	return timer->threads ? (size_t)timer->threads : 1;
}

struct workers *workers_start(const struct service *service, const struct job_sink *sink)
{
	struct workers *workers = must_zalloc(sizeof(*workers));
	/* A service without commands still needs one thread, to probe its stores. */
	size_t n = service->n_commands ? (size_t)common_settings.max_concurrent_tasks : 1;
	size_t n_all = n;

	workers->service = service;
	workers->sink = sink;
	queues_init(workers);
	pthread_mutex_init(&workers->mutex, NULL);
	condition_init(&workers->timer_tick);
	for (size_t i = 0; i < service->n_timers; i++)
		n_all += timer_threads(&service->timers[i]);
	workers->threads = must_zalloc(n_all * sizeof(*workers->threads));
	pthread_mutex_lock(&workers->mutex);
	for (size_t i = 0; i < n; i++)
		start_thread(workers, NULL);
	for (size_t i = 0; i < service->n_timers; i++)
		for (size_t k = 0; k < timer_threads(&service->timers[i]); k++)
			start_thread(workers, &service->timers[i]);
	pthread_mutex_unlock(&workers->mutex);
	return workers;
}

bool workers_stop(struct workers *workers, int64_t deadline_ms)
{
	workers_stop_timers(workers);
	while (workers_busy(workers)) {
		if (clock_ms() >= deadline_ms)
			return false;
		clock_sleep_ms(5);
	}
	pthread_mutex_lock(&workers->mutex);
	workers->stopping = true;
	workers_wake_all(workers);
	pthread_mutex_unlock(&workers->mutex);
	for (size_t i = 0; i < workers->n_threads; i++) {
		struct thread *thread = &workers->threads[i];

		pthread_join(thread->handle, NULL);
		pthread_cond_destroy(&thread->work);
		pg_free(thread->pg);
		kv_free(thread->kv);
		scratch_release(&thread->tree);
		scratch_release(&thread->scratch);
	}
	return true;
}

void workers_free(struct workers *workers)
{
	pthread_cond_destroy(&workers->timer_tick);
	pthread_mutex_destroy(&workers->mutex);
	free(workers->threads);
	free(workers->queues);
	free(workers);
}
