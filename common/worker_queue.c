/* What waits for a thread, a queue a command, and threads that wait for it. */
#include <string.h>

#include "clock.h"
#include "quarantine.h"
#include "worker_internal.h"

/* Where so many wait for a command there is no hope for a request that has waited for most of its time. */
#define CROWD 32
/*
 * After a batch of several the next begins no sooner than so long after it: what comes meanwhile goes along, and one commit, one wake-up
 * of everybody on the way and one segment to the broker do for more of them. Whoever comes alone, or in thousands, never waits for it.
 */
#define BATCH_PACE_US 2000
/* Who has waited so long behind a batch of the same command is run beside it, where a thread is free. */
#define BEHIND_MAX_US 20000

void queues_init(struct workers *workers)
{
	const struct service *service = workers->service;

	workers->n_queues = service->n_commands + 1;
	workers->queues = must_zalloc(workers->n_queues * sizeof(*workers->queues));
	for (size_t i = 0; i < workers->n_queues; i++) {
		static const struct command unknown;
		const struct command *command = i < service->n_commands ? &service->commands[i] : &unknown;

		workers->queues[i] = (struct job_queue){
			.tail = &workers->queues[i].head,
			.running_max = command->running_max ? command->running_max : SIZE_MAX,
			.batch_max = command->handle_batch ? command->batch_max : 1,
		};
	}
}

static struct job_queue *queue_of(struct workers *workers, const struct job *job)
{
	return &workers->queues[job->command ? (size_t)(job->command - workers->service->commands)
					     : workers->n_queues - 1];
}

/*
 * Two batches of a command at a time would be of half the size each, and cost the stores nearly twice as much. So there are two only
 * where a whole one waits, or somebody has waited long.
 */
static bool may_run_beside(const struct job_queue *queue)
{
	return queue->n >= queue->batch_max || clock_us() - queue->head->message.received_us >= BEHIND_MAX_US;
}

static bool may_begin(const struct job_queue *queue)
{
	return queue->head && queue->running < queue->running_max && (!queue->running || may_run_beside(queue));
}

static bool has_rested(const struct job_queue *queue)
{
	return !queue->rests_until_us || queue->n >= queue->batch_max || clock_us() >= queue->rests_until_us;
}

/* Something of it can be begun, or must be waited for by somebody. */
static bool wants_thread(const struct workers *workers, const struct job_queue *queue)
{
	return may_begin(queue) && (!workers->watched || has_rested(queue));
}

struct job_queue *queue_next_ready(struct workers *workers)
{
	for (size_t i = 0; i < workers->n_queues; i++) {
		struct job_queue *queue = &workers->queues[(workers->next_queue + i) % workers->n_queues];

		if (may_begin(queue) && has_rested(queue))
			return queue;
	}
	return NULL;
}

/* ---- jobs in and out ---- */

void workers_add(struct workers *workers, struct job *job)
{
	struct job_queue *queue = queue_of(workers, job);

	job->next = NULL;
	pthread_mutex_lock(&workers->mutex);
	*queue->tail = job;
	queue->tail = &job->next;
	queue->n++;
	/* Else whoever runs this command, or watches it, will look again. */
	if (wants_thread(workers, queue))
		workers_wake(workers);
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

/*
 * Were these a turn, or served, a command that is asked for more often than it can be done would spend itself on those whose time is up
 * just then.
 */
struct job *queue_take_late(struct job_queue *queue)
{
	struct job *list = NULL;

	while (queue->head && (job_expired(queue->head) || (queue->n >= CROWD && job_is_late(queue->head)))) {
		struct job *job = pop(queue);

		job->next = list;
		list = job;
	}
	return list;
}

bool job_is_suspect(const struct job *job)
{
	return job->message.lane == LANE_DURABLE && job->message.delivery_count >= SUSPECT_DELIVERIES;
}

/* A suspect, which takes its time in a process of its own, is a batch by itself. */
struct job *queue_take_jobs(struct workers *workers, struct job_queue *queue, size_t *n)
{
	struct job *list = NULL, **tail = &list;
	bool alone = job_is_suspect(queue->head);
	size_t max = alone ? 1 : queue->batch_max;

	for (*n = 0; *n < max && queue->head && job_is_suspect(queue->head) == alone; (*n)++) {
		*tail = pop(queue);
		tail = &(*tail)->next;
	}
	workers->next_queue = (size_t)(queue - workers->queues + 1) % workers->n_queues;
	workers->busy += *n;
	queue->running++;
	queue->rests_until_us = *n > 1 ? clock_us() + BATCH_PACE_US : 0;
	workers_wake_for_the_rest(workers);
	return list;
}

/* ---- threads asleep ---- */

/*
 * The last to fall asleep is the first to be woken: its memory is warm, and its connections' servers are. And one at a time: before it
 * runs, more may have come, which it takes along; if that is too much for it, it wakes the next.
 */
void workers_wake(struct workers *workers)
{
	struct thread *thread = workers->idle;

	if (!thread || workers->waking)
		return;
	workers->waking = true;
	workers->idle = thread->next_idle;
	thread->idle = false;
	pthread_cond_signal(&thread->work);
}

void workers_wake_all(struct workers *workers)
{
	while (workers->idle) {
		workers->waking = false;
		workers_wake(workers);
	}
}

void workers_wake_for_the_rest(struct workers *workers)
{
	for (size_t i = 0; i < workers->n_queues; i++)
		if (wants_thread(workers, &workers->queues[i])) {
			workers_wake(workers);
			return;
		}
}

void workers_look_again(struct workers *workers)
{
	pthread_mutex_lock(&workers->mutex);
	workers_wake_for_the_rest(workers);
	pthread_mutex_unlock(&workers->mutex);
}

static void leave_idle(struct thread *thread)
{
	struct thread **at = &thread->workers->idle;

	while (*at != thread)
		at = &(*at)->next_idle;
	*at = thread->next_idle;
	thread->idle = false;
}

/* When the first queue that rests will have rested; 0: none does, but for those whose threads will look themselves. */
static int64_t first_rested_us(const struct workers *workers)
{
	int64_t first_us = 0, now_us = clock_us();

	for (size_t i = 0; i < workers->n_queues; i++) {
		const struct job_queue *queue = &workers->queues[i];

		if (queue->rests_until_us > now_us && !queue->running &&
			(!first_us || queue->rests_until_us < first_us))
			first_us = queue->rests_until_us;
	}
	return first_us;
}

void thread_sleep(struct thread *thread)
{
	struct workers *workers = thread->workers;
	int64_t until_us = workers->watched ? 0 : first_rested_us(workers);

	thread->idle = true;
	thread->next_idle = workers->idle;
	workers->idle = thread;
	if (until_us) {
		workers->watched = true;
		while (thread->idle && clock_us() < until_us)
			wait_until(&thread->work, &workers->mutex, until_us);
		workers->watched = false;
	} else {
		while (thread->idle)
			pthread_cond_wait(&thread->work, &workers->mutex);
	}
	if (thread->idle)
		leave_idle(thread);
	else
		workers->waking = false;
}

/* ---- condition variables ---- */

void condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	if (pthread_cond_init(condition, &monotonic))
		BUG("a condition variable");
	pthread_condattr_destroy(&monotonic);
}

void wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t at_us)
{
	struct timespec until = { .tv_sec = at_us / 1000000, .tv_nsec = at_us % 1000000 * 1000 };

	pthread_cond_timedwait(condition, mutex, &until);
}
