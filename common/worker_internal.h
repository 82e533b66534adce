/* What the worker pool's files share: jobs in worker.c, timers in worker_timer.c, the stores in worker_store.c. */
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
	bool woken;		   /* a timer's: there is work for it; guarded by the pool's mutex */
	struct pg *pg;
	struct kv *kv;
	struct scratch tree, scratch;
	/* For the watchdog, guarded by the pool's mutex. */
	const char *running;
	int64_t hard_limit_at_ms;
};

struct job_queue {
	struct job *head, **tail;
	size_t n;
	size_t running; /* threads at work on this command */
	size_t running_max;
};

struct workers {
	const struct service *service;
	const struct job_sink *sink;
	struct thread *threads;
	size_t n_threads;

	pthread_mutex_t mutex;
	pthread_cond_t work;	   /* for threads that take jobs */
	pthread_cond_t timer_tick; /* for timers' threads */
	struct job_queue *queues;  /* one a command, the last for unknown names */
	size_t n_queues, next_queue;
	size_t busy;
	bool stopping, timers_run, timers_stop;
	unsigned down, suspected; /* masks of 1 << enum store */
	bool probe_wanted, probing;
	int64_t probe_at_ms;
	int probe_backoff_ms;
};

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
