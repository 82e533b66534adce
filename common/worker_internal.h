/*
 * What the worker pool's files share: running jobs in worker.c, what waits and who is woken for it in worker_queue.c, timers in
 * worker_timer.c, the stores in worker_store.c.
 */
#ifndef GARRISON_WORKER_INTERNAL_H
#define GARRISON_WORKER_INTERNAL_H

#include <pthread.h>

#include "worker.h"

/* A handler past so many times its soft limit is stuck for good. */
#define HARD_LIMIT_FACTOR 4

struct thread {
	pthread_t handle;
	struct workers *workers;
	const struct timer *timer; /* NULL: takes jobs */
	struct pg *pg;
	struct kv *kv;
	struct scratch tree, scratch;
	/* Guarded by the pool's mutex. */
	bool woken;	     /* a timer's: there is work for it */
	bool idle;	     /* one that takes jobs: in the pool's list of the idle, until it is woken */
	pthread_cond_t work; /* ends its sleep */
	struct thread *next_idle;
	/* For the watchdog, guarded by the pool's mutex. */
	const char *running;
	int64_t hard_limit_at_ms;
};

struct job_queue {
	struct job *head, **tail;
	size_t n;
	size_t running; /* threads at work on this command */
	size_t running_max, batch_max;
	int64_t rests_until_us; /* until then only a whole batch begins */
};

struct workers {
	const struct service *service;
	const struct job_sink *sink;
	struct thread *threads;
	size_t n_threads;

	pthread_mutex_t mutex;
	pthread_cond_t timer_tick; /* for timers' threads */
	struct job_queue *queues;  /* one a command, the last for unknown names */
	size_t n_queues, next_queue;
	struct thread *idle; /* threads that take jobs, the last to fall asleep first */
	bool waking;	     /* one of them is on its way and has not looked yet */
	bool watched;	     /* one of them sleeps only until a queue has rested */
	size_t busy;
	bool stopping, timers_run, timers_stop;
	unsigned down, suspected; /* masks of 1 << enum store */
	bool probe_wanted, probing;
	int64_t probe_at_ms;
	int probe_backoff_ms;
};

/* worker_queue.c. Makes a queue for each command, once, before the threads; workers_free() frees them. */
void queues_init(struct workers *workers);
/* These with the pool's mutex held. Commands take turns, so that a flood of one does not starve the others; NULL when none is ready. */
struct job_queue *queue_next_ready(struct workers *workers);
/* Takes out the requests at the head that nobody waits for any longer, or hardly, as a list that the caller ends; NULL: none. */
struct job *queue_take_late(struct job_queue *queue);
/* Takes the next batch, or one job, of a queue that is ready, as a list of *n. The caller runs them, and counts queue->running down. */
struct job *queue_take_jobs(struct workers *workers, struct job_queue *queue, size_t *n);
/* Has a thread look for work, when one sleeps and none is on its way. */
void workers_wake(struct workers *workers);
/* Every thread that sleeps. */
void workers_wake_all(struct workers *workers);
/* For who is about to be busy: wakes another thread if more is ready, or a queue rests that nobody watches. */
void workers_wake_for_the_rest(struct workers *workers);
/* Sleeps until woken, or until a queue has rested that nobody else watches. */
void thread_sleep(struct thread *thread);
/* Waits until a time of clock_us(), or less. */
void wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t at_us);
/* Without the mutex. For wait_until(); pthread_cond_destroy() ends it. */
void condition_init(pthread_cond_t *condition);
/* Delivered so often in vain that it is run in a process of its own. Any thread. */
bool job_is_suspect(const struct job *job);

/* For the watchdog: this thread has begun, or ended, a piece of work of n jobs. */
void thread_begin(struct thread *thread, const char *what, int64_t soft_limit_ms);
void thread_end(struct thread *thread, size_t n_jobs);

/* Lets the thread's connections be used, but for stores that are down (a mask). */
void thread_bar_stores(struct thread *thread, unsigned down);
/* Asks the stores that are down whether they answer again. With the pool's mutex held, released meanwhile. */
void thread_probe(struct thread *thread);

/* A timer's thread. */
void *timer_main(void *thread);

#endif
