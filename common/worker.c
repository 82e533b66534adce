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
/* Where so many wait for a command there is no hope for a request that has waited for most of its time. */
#define CROWD 32
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

static struct job_queue *queue_of(struct workers *workers, const struct job *job)
{
	return &workers->queues[job->command ? (size_t)(job->command - workers->service->commands)
					     : workers->n_queues - 1];
}

static bool is_ready(const struct job_queue *queue)
{
	return queue->head && queue->running < queue->running_max;
}

void workers_add(struct workers *workers, struct job *job)
{
	struct job_queue *queue = queue_of(workers, job);

	job->next = NULL;
	pthread_mutex_lock(&workers->mutex);
	*queue->tail = job;
	queue->tail = &job->next;
	queue->n++;
	/* Else whoever runs this command will look again. */
	if (is_ready(queue))
		pthread_cond_signal(&workers->work);
	pthread_mutex_unlock(&workers->mutex);
}

static struct job *pop(struct job_queue *queue)
{
	struct job *job = queue->head;

	queue->head = job->next;
	if (!queue->head)
		queue->tail = &queue->head;
	queue->n--;
	job->next = NULL;
	return job;
}

struct job *workers_take_back(struct workers *workers)
{
	struct job *list = NULL, **tail = &list;

	pthread_mutex_lock(&workers->mutex);
	for (size_t i = 0; i < workers->n_queues; i++)
		while (workers->queues[i].head) {
			*tail = pop(&workers->queues[i]);
			tail = &(*tail)->next;
		}
	pthread_mutex_unlock(&workers->mutex);
	return list;
}

size_t workers_busy(struct workers *workers)
{
	size_t busy;

	pthread_mutex_lock(&workers->mutex);
	busy = workers->busy;
	pthread_mutex_unlock(&workers->mutex);
	return busy;
}

/* Commands take turns, so that a flood of one does not starve the others. With the mutex held; NULL when none is ready. */
static struct job_queue *next_ready(struct workers *workers)
{
	for (size_t i = 0; i < workers->n_queues; i++) {
		struct job_queue *queue = &workers->queues[(workers->next_queue + i) % workers->n_queues];

		if (is_ready(queue))
			return queue;
	}
	return NULL;
}

/*
 * Takes out the requests at the head that nobody waits for any longer, or hardly. Were they a turn, or served, a command that is asked for
 * more often than it can be done would spend itself on those whose time is up just then. With the mutex held.
 */
static struct job *take_late(struct job_queue *queue)
{
	struct job *list = NULL;

	while (queue->head && (job_expired(queue->head) || (queue->n >= CROWD && job_is_late(queue->head)))) {
		struct job *job = pop(queue);

		job->next = list;
		list = job;
	}
	return list;
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

static bool is_suspect(const struct job *job)
{
	return job->message.lane == LANE_DURABLE && job->message.delivery_count >= SUSPECT_DELIVERIES;
}

/* What makes a batch: a suspect, which takes its time in a process of its own, is one by itself. With the mutex held. */
static struct job *take_jobs(struct workers *workers, struct job_queue *queue, size_t *n)
{
	const struct command *command = queue->head->command;
	size_t max = command && command->handle_batch ? command->batch_max : 1;
	struct job *list = NULL, **tail = &list;
	bool alone = is_suspect(queue->head);

	for (*n = 0; *n < (alone ? 1 : max) && queue->head && is_suspect(queue->head) == alone; (*n)++) {
		*tail = pop(queue);
		tail = &(*tail)->next;
	}
	workers->next_queue = (size_t)(queue - workers->queues + 1) % workers->n_queues;
	workers->busy += *n;
	queue->running++;
	/* A queue that was at its limit woke nobody for what was added to it. */
	if (next_ready(workers))
		pthread_cond_signal(&workers->work);
	return list;
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
	if (is_suspect(job) && job->command)
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
			thread_probe(thread);
		} else if ((queue = next_ready(workers)) && (late = take_late(queue))) {
			pthread_mutex_unlock(&workers->mutex);
			end_late(late, workers->sink);
			pthread_mutex_lock(&workers->mutex);
		} else if (queue) {
			size_t n;
			struct job *list = take_jobs(workers, queue, &n);

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
			if (!next_ready(workers) && !workers->stopping && !workers->probe_wanted)
				pthread_cond_wait(&workers->work, &workers->mutex);
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
	pthread_condattr_t monotonic;

	workers->service = service;
	workers->sink = sink;
	workers->n_queues = service->n_commands + 1;
	workers->queues = must_zalloc(workers->n_queues * sizeof(*workers->queues));
	for (size_t i = 0; i < workers->n_queues; i++) {
		size_t max = i < service->n_commands ? service->commands[i].running_max : 0;

		workers->queues[i] = (struct job_queue){ .tail = &workers->queues[i].head,
			.running_max = max ? max : SIZE_MAX };
	}
	pthread_mutex_init(&workers->mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&workers->work, &monotonic);
	pthread_cond_init(&workers->timer_tick, &monotonic);
	pthread_condattr_destroy(&monotonic);
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
	pthread_cond_broadcast(&workers->work);
	pthread_mutex_unlock(&workers->mutex);
	for (size_t i = 0; i < workers->n_threads; i++) {
		struct thread *thread = &workers->threads[i];

		pthread_join(thread->handle, NULL);
		pg_free(thread->pg);
		kv_free(thread->kv);
		scratch_release(&thread->tree);
		scratch_release(&thread->scratch);
	}
	return true;
}

void workers_free(struct workers *workers)
{
	pthread_cond_destroy(&workers->work);
	pthread_cond_destroy(&workers->timer_tick);
	pthread_mutex_destroy(&workers->mutex);
	free(workers->threads);
	free(workers->queues);
	free(workers);
}
