#include "worker.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "dispatch.h"
#include "log.h"
#include "quarantine.h"

#define THREAD_STACK	  ((size_t)512 << 10)
#define SCRATCH_CAP	  ((size_t)64 << 20)
/* A handler past so many times its soft limit is stuck for good. */
#define HARD_LIMIT_FACTOR 4
#define HARD_LIMIT_MIN_MS 2000
#define PROBE_FIRST_MS	  100
#define PROBE_LAST_MS	  2000
#define PROBE_LIMIT_MS	  2000
#define TIMER_FAILED_MS	  1000
#define STOPPED_POLL_MS	  100

struct thread {
	pthread_t handle;
	struct workers *workers;
	const struct timer *timer; /* NULL: takes jobs */
	struct pg *pg;
	struct kv *kv;
	struct scratch tree, scratch;
	/* For the watchdog, guarded by the pool's mutex. */
	const char *running;
	int64_t hard_limit_at_ms;
};

struct job_queue {
	struct job *head, **tail;
};

struct workers {
	const struct service *service;
	const struct job_sink *sink;
	struct thread *threads;
	size_t n_threads;

	pthread_mutex_t mutex;
	pthread_cond_t work;	  /* for threads that take jobs */
	pthread_cond_t timer_tick; /* for timers' threads */
	struct job_queue *queues; /* one a command, the last for unknown names */
	size_t n_queues, next_queue, queued;
	size_t busy;
	bool stopping, timers_run, timers_stop;
	unsigned down;
	bool probe_wanted, probing;
	int64_t probe_at_ms;
	int probe_backoff_ms;
};

/* ---- stores ---- */

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

static void bar_stores(struct thread *thread, unsigned down)
{
	if (thread->pg)
		pg_bar(thread->pg, down & (1u << STORE_POSTGRES));
	if (thread->kv)
		kv_bar(thread->kv, down & (1u << STORE_REDIS));
}

/* ---- what a thread is doing, for the watchdog ---- */

static void begin_work(struct thread *thread, const char *what, int64_t soft_limit_ms)
{
	struct workers *workers = thread->workers;
	int64_t hard_ms = soft_limit_ms * HARD_LIMIT_FACTOR;
	unsigned down;

	pthread_mutex_lock(&workers->mutex);
	thread->running = what;
	thread->hard_limit_at_ms = clock_ms() + (hard_ms < HARD_LIMIT_MIN_MS ? HARD_LIMIT_MIN_MS : hard_ms);
	down = workers->down;
	pthread_mutex_unlock(&workers->mutex);
	bar_stores(thread, down);
}

static void end_work(struct thread *thread, size_t n_jobs)
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

/* ---- probing stores ---- */

unsigned workers_down(struct workers *workers)
{
	unsigned down;

	pthread_mutex_lock(&workers->mutex);
	down = workers->down;
	pthread_mutex_unlock(&workers->mutex);
	return down;
}

void workers_store_down(struct workers *workers, enum store store)
{
	if (store != STORE_POSTGRES && store != STORE_REDIS)
		return;
	pthread_mutex_lock(&workers->mutex);
	if (!(workers->down & (1u << store))) {
		workers->down |= 1u << store;
		workers->probe_backoff_ms = PROBE_FIRST_MS;
		workers->probe_at_ms = clock_ms() + clock_jitter_ms(PROBE_FIRST_MS);
		log_line(LOG_WARN, "store_down", "%s is out of reach", store == STORE_REDIS ? "Redis" : "PostgreSQL");
	}
	pthread_mutex_unlock(&workers->mutex);
}

void workers_probe(struct workers *workers)
{
	pthread_mutex_lock(&workers->mutex);
	if (workers->down && !workers->probing && !workers->probe_wanted && clock_ms() >= workers->probe_at_ms) {
		workers->probe_wanted = true;
		pthread_cond_signal(&workers->work);
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

/* With the pool's mutex held, released while the stores are asked. */
static void run_probe(struct thread *thread)
{
	struct workers *workers = thread->workers;
	unsigned down = workers->down, still = 0;
	struct error err = {0};

	workers->probe_wanted = false;
	workers->probing = true;
	thread->running = "probe";
	thread->hard_limit_at_ms = clock_ms() + HARD_LIMIT_FACTOR * 2 * PROBE_LIMIT_MS;
	pthread_mutex_unlock(&workers->mutex);
	bar_stores(thread, 0);
	for (enum store store = STORE_POSTGRES; store <= STORE_REDIS; store++) {
		if (!(down & (1u << store)))
			continue;
		if (!answers(thread, store, &err))
			still |= 1u << store;
		else
			log_line(LOG_INFO, "store_up", "%s answers again", store == STORE_REDIS ? "Redis" : "PostgreSQL");
	}
	log_flush();
	pthread_mutex_lock(&workers->mutex);
	thread->running = NULL;
	workers->probing = false;
	workers->down = (workers->down & ~down) | still;
	workers->probe_backoff_ms *= 2;
	if (workers->probe_backoff_ms > PROBE_LAST_MS)
		workers->probe_backoff_ms = PROBE_LAST_MS;
	workers->probe_at_ms = clock_ms() + clock_jitter_ms(workers->probe_backoff_ms);
}

/* ---- jobs ---- */

static size_t queue_of(const struct workers *workers, const struct job *job)
{
	return job->command ? (size_t)(job->command - workers->service->commands) : workers->n_queues - 1;
}

void workers_add(struct workers *workers, struct job *job)
{
	struct job_queue *queue = &workers->queues[queue_of(workers, job)];

	job->next = NULL;
	pthread_mutex_lock(&workers->mutex);
	*queue->tail = job;
	queue->tail = &job->next;
	workers->queued++;
	pthread_cond_signal(&workers->work);
	pthread_mutex_unlock(&workers->mutex);
}

static struct job *pop(struct workers *workers, struct job_queue *queue)
{
	struct job *job = queue->head;

	queue->head = job->next;
	if (!queue->head)
		queue->tail = &queue->head;
	workers->queued--;
	job->next = NULL;
	return job;
}

struct job *workers_take_back(struct workers *workers)
{
	struct job *list = NULL, **tail = &list;

	pthread_mutex_lock(&workers->mutex);
	for (size_t i = 0; i < workers->n_queues; i++)
		while (workers->queues[i].head) {
			*tail = pop(workers, &workers->queues[i]);
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

/* Commands take turns, so that a flood of one does not starve the others. With the mutex held; there is a job. */
static struct job *take_jobs(struct workers *workers, size_t *n)
{
	struct job_queue *queue;
	struct job *list = NULL, **tail = &list;
	size_t max;

	do {
		queue = &workers->queues[workers->next_queue];
		workers->next_queue = (workers->next_queue + 1) % workers->n_queues;
	} while (!queue->head);
	max = queue->head->command && queue->head->command->handle_batch ? queue->head->command->batch_max : 1;
	for (*n = 0; *n < max && queue->head; (*n)++) {
		*tail = pop(workers, queue);
		tail = &(*tail)->next;
	}
	workers->busy += *n;
	return list;
}

static bool is_suspect(const struct job *job)
{
	return job->message.lane == LANE_DURABLE && job->message.delivery_count >= SUSPECT_DELIVERIES;
}

static void run_suspect(struct thread *thread, struct job *job, struct call *call)
{
	int64_t limit_ms = command_timeout_ms(job->command) * HARD_LIMIT_FACTOR;

	pthread_mutex_lock(&thread->workers->mutex);
	thread->hard_limit_at_ms = clock_ms() + 2 * limit_ms + HARD_LIMIT_MIN_MS;
	pthread_mutex_unlock(&thread->workers->mutex);
	quarantine_run(call, limit_ms);
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

static void run_jobs(struct thread *thread, struct job *list, size_t n)
{
	const struct command *command = list->command;
	struct call *calls CLEANUP(release_memory) = must_alloc(n * sizeof(*calls));
	struct call **ready CLEANUP(release_memory) = must_alloc(n * sizeof(struct call *));
	struct job **jobs CLEANUP(release_memory) = must_alloc(n * sizeof(struct job *));
	size_t n_ready = 0;

	begin_work(thread, command ? command->name : "unknown", command_timeout_ms(command));
	for (struct job *job = list, *next; job; job = next) {
		next = job->next;
		jobs[n_ready] = job;
		ready[n_ready] = &calls[n_ready];
		if (prepare_job(thread, job, ready[n_ready]))
			n_ready++;
	}
	if (n_ready)
		dispatch_run(ready, n_ready, &thread->scratch);
	if (thread->pg)
		pg_rollback(thread->pg);
	for (size_t i = 0; i < n_ready; i++) {
		job_settle(jobs[i], ready[i], thread->workers->sink);
		call_release(ready[i]);
	}
	end_work(thread, n);
}

static void *jobs_main(void *arg)
{
	struct thread *thread = arg;
	struct workers *workers = thread->workers;

	pthread_mutex_lock(&workers->mutex);
	for (;;) {
		if (workers->probe_wanted && !workers->probing) {
			run_probe(thread);
		} else if (workers->queued) {
			size_t n;
			struct job *list = take_jobs(workers, &n);

			pthread_mutex_unlock(&workers->mutex);
			run_jobs(thread, list, n);
			pthread_mutex_lock(&workers->mutex);
		} else if (workers->stopping) {
			break;
		} else {
			pthread_mutex_unlock(&workers->mutex);
			log_flush();
			pthread_mutex_lock(&workers->mutex);
			if (!workers->queued && !workers->stopping && !workers->probe_wanted)
				pthread_cond_wait(&workers->work, &workers->mutex);
		}
	}
	pthread_mutex_unlock(&workers->mutex);
	log_flush();
	return NULL;
}

/* ---- timers ---- */

static int64_t run_timer(struct thread *thread)
{
	static const struct message nothing = {.lane = LANE_DURABLE};
	const struct timer *timer = thread->timer;
	int64_t limit_ms = timer->timeout_ms ? timer->timeout_ms : common_settings.command_processing_timeout_ms;
	struct call call;
	struct error err;
	int64_t again_ms;

	begin_work(thread, timer->name, limit_ms);
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
		workers_store_down(thread->workers, call.down);
	call_release(&call);
	end_work(thread, 1);
	return again_ms;
}

/* With the mutex held: waits until a monotonic time, or less. */
static void wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t at_ms)
{
	struct timespec until = {.tv_sec = at_ms / 1000, .tv_nsec = (at_ms % 1000) * 1000000};

	pthread_cond_timedwait(condition, mutex, &until);
}

static void *timer_main(void *arg)
{
	struct thread *thread = arg;
	struct workers *workers = thread->workers;
	int64_t at_ms = 0;

	pthread_mutex_lock(&workers->mutex);
	while (!workers->timers_stop) {
		int64_t now_ms = clock_ms();

		if (!workers->timers_run || workers->down) {
			wait_until(&workers->timer_tick, &workers->mutex, now_ms + STOPPED_POLL_MS);
		} else if (now_ms < at_ms) {
			wait_until(&workers->timer_tick, &workers->mutex, at_ms);
		} else {
			workers->busy++;
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
}

void workers_stop_timers(struct workers *workers)
{
	pthread_mutex_lock(&workers->mutex);
	workers->timers_stop = true;
	pthread_cond_broadcast(&workers->timer_tick);
	pthread_mutex_unlock(&workers->mutex);
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
	for (size_t i = 0; i < workers->n_queues; i++)
		workers->queues[i].tail = &workers->queues[i].head;
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
