/* What the listener's files share: deliveries and the thread in listener.c, consumers in listener_consume.c, verdicts in verdicts.c. */
#ifndef GARRISON_LISTENER_INTERNAL_H
#define GARRISON_LISTENER_INTERNAL_H

#include <pthread.h>

#include "listener.h"
#include "naming.h"
#include "unacked.h"

/* How long a finished message may wait for an unfinished one before it, so that many can be acked at once. */
#define HEAD_STUCK_MS 200
/* Its consumers. */
#define TAG_DURABLE "durable"
#define TAG_RPC "rpc"

extern struct metric listener_metrics[];
enum {
	LISTENER_DELIVERIES,
	LISTENER_CONNECTS,
	LISTENER_REQUEUED,
	LISTENER_IN_FLIGHT,
	LISTENER_LAST_DELIVERY,
	LISTENER_STALE,
	N_LISTENER_METRICS
};

struct listener {
	const struct service *service;
	struct bus *bus;
	struct workers *workers;
	struct job_sink sink;
	pthread_t thread;
	bool started;
	int wake_fd;
	atomic_bool up;
	_Atomic int64_t progress_ms, last_delivery_ms;

	pthread_mutex_t mutex; /* guards the next eight */
	struct job *finished_head, **finished_tail;
	size_t n_finished, wake_at; /* so many finished wake the thread */
	bool sleeping;		    /* it sees nothing new before it is woken */
	bool drain, drained, stop;

	/* The thread's own. */
	char queue[BROKER_NAME_MAX], rpc_queue[BROKER_NAME_MAX];
	int prefetch;
	uint64_t epoch;
	bool durable_wanted, durable_on, rpc_on, cancelling;
	struct unacked unacked;
	int64_t done_since_ms, keep_at_ms;
	size_t held, in_flight;
};

/*
 * listener_consume.c. Messages that the broker may send ahead: what the threads can hold and more, so that the next are here when the last
 * ones end. Beyond a few, more would only take memory: the broker sends faster than anybody handles. Main thread.
 */
int listener_prefetch(const struct service *service);
/* Begins whichever consumer is wanted and not there. 0, or -1: bus_consume(). The listener's thread. */
int listener_begin_consuming(struct listener *listener, struct error *err);
/* Now and then sees to it that a request queue that can be forgotten is not: request_queue_keep(). 0/-1. The listener's thread. */
int listener_keep_requests(struct listener *listener, struct error *err);

/* verdicts.c. Takes a finished job from whoever finished it. Any thread. */
void listener_take_finished(void *listener, struct job *job);
/* What this thread finishes from now on wakes nobody until it lets go. Any thread. */
void listener_hold_finished(void *listener, bool held);
/*
 * Says that the listener's thread is about to sleep: false when it must not, for something was finished. Where deliveries, which it reads,
 * stream in, *timeout_ms becomes shorter, and until then only many finished jobs wake it. Its own thread.
 */
bool listener_may_sleep(struct listener *listener, bool reads, int *timeout_ms);
/* Wakes the listener's thread. Any thread. */
void listener_wake(struct listener *listener);
/* Tells the broker what has been finished; -1 when the connection is gone. The listener's thread. */
int listener_tell_verdicts(struct listener *listener);
/* Frees what was finished and never told. After the thread has ended. */
void listener_drop_finished(struct listener *listener);

#endif
