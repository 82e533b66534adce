/* Finished jobs, and what the broker is told of their deliveries: in order, many at a time, and only on the channel they came by. */
#include <unistd.h>

#include "clock.h"
#include "crash.h"
#include "listener_internal.h"

/* So long after a delivery the next one is awaited, and acks wait for it. */
#define STREAM_MS 2

struct metric listener_metrics[] = {
	{ "deliveries_total", "Messages taken from the broker", METRIC_COUNTER, 0, 0 },
	{ "consumer_connects_total", "Connections made by the consumer", METRIC_COUNTER, 0, 0 },
	{ "requeued_total", "Messages returned to their queue", METRIC_COUNTER, 0, 0 },
	{ "in_flight", "Messages taken and not yet answered to the broker", METRIC_GAUGE, 0, 0 },
	{ "last_delivery_timestamp_seconds", "Unix time of the last delivery", METRIC_GAUGE, 0, 0.001 },
	{ "stale_verdicts_total", "Verdicts on deliveries of a lost connection, which the broker delivers again",
		METRIC_COUNTER, 0, 0 },
};

void listener_wake(struct listener *listener)
{
	uint64_t one = 1;

	if (write(listener->wake_fd, &one, sizeof(one)) < 0)
		return; /* full: it will wake anyhow */
}

/* This thread's; a process has one listener. */
static _Thread_local bool holding;

/* With the mutex held, which it gives back. */
static void unlock_and_wake(struct listener *listener)
{
	bool wake = listener->sleeping && !holding && listener->n_finished >= listener->wake_at;

	if (wake)
		listener->sleeping = false;
	pthread_mutex_unlock(&listener->mutex);
	if (wake)
		listener_wake(listener);
}

void listener_take_finished(void *arg, struct job *job)
{
	struct listener *listener = arg;

	job->next = NULL;
	pthread_mutex_lock(&listener->mutex);
	*listener->finished_tail = job;
	listener->finished_tail = &job->next;
	listener->n_finished++;
	unlock_and_wake(listener);
}

void listener_hold_finished(void *arg, bool held)
{
	struct listener *listener = arg;

	holding = held;
	if (held)
		return;
	pthread_mutex_lock(&listener->mutex);
	unlock_and_wake(listener);
}

/* The next message will wake the thread soon enough to ack what is finished by then, and one waking serves for both. */
static bool messages_stream_in(struct listener *listener)
{
	return listener->in_flight && clock_ms() - atomic_load(&listener->last_delivery_ms) < STREAM_MS;
}

bool listener_may_sleep(struct listener *listener, bool reads, int *timeout_ms)
{
	bool streaming = reads && messages_stream_in(listener), may;

	if (streaming)
		*timeout_ms = STREAM_MS;
	pthread_mutex_lock(&listener->mutex);
	/* Acked by eighths of what it may send ahead, the broker never waits. */
	listener->wake_at = streaming ? (size_t)listener->prefetch / 8 : 1;
	may = listener->sleeping = listener->n_finished < listener->wake_at;
	pthread_mutex_unlock(&listener->mutex);
	return may;
}

/* The broker is told of a job on its own: it goes back. */
static int requeue(struct listener *listener, const struct job *job)
{
	metric_add(&listener_metrics[LISTENER_REQUEUED], 1);
	unacked_told(&listener->unacked, job->tag);
	crash_point("before_requeue");
	if (bus_nack(listener->bus, job->tag, true))
		return -1;
	crash_point("requeued");
	return 0;
}

static int tell_verdict(struct listener *listener, struct job *job)
{
	int status = 0;

	listener->held -= job->size;
	listener->in_flight--;
	if (job->suspects)
		workers_suspect(listener->workers, job->suspects);
	if (job->epoch != listener->epoch || !bus_is_open(listener->bus)) {
		metric_add(&listener_metrics[LISTENER_STALE], 1);
	} else if (job->verdict == VERDICT_REQUEUE) {
		status = requeue(listener, job);
	} else if (job->verdict == VERDICT_ACK) {
		if (listener->unacked.n_done == 0)
			listener->done_since_ms = clock_ms();
		unacked_done(&listener->unacked, job->tag);
	}
	job_free(job);
	return status;
}

static struct job *take_list(struct listener *listener)
{
	struct job *list;

	pthread_mutex_lock(&listener->mutex);
	list = listener->finished_head;
	listener->finished_head = NULL;
	listener->n_finished = 0;
	listener->sleeping = false;
	listener->finished_tail = &listener->finished_head;
	pthread_mutex_unlock(&listener->mutex);
	return list;
}

static int ack_singly(struct listener *listener)
{
	uint64_t tag;

	while (unacked_next(&listener->unacked, &tag))
		if (bus_ack(listener->bus, tag, false))
			return -1;
	return 0;
}

int listener_tell_verdicts(struct listener *listener)
{
	struct job *list = take_list(listener);
	uint64_t last;
	int status = 0;

	while (list) {
		struct job *job = list;

		list = job->next;
		if (tell_verdict(listener, job))
			status = -1;
	}
	metric_set(&listener_metrics[LISTENER_IN_FLIGHT], (int64_t)listener->in_flight);
	if (!listener->unacked.n_done || status)
		return status;
	last = unacked_prefix(&listener->unacked);
	crash_point("before_ack");
	if (last && bus_ack(listener->bus, last, true))
		return -1;
	crash_point("acked");
	if (listener->unacked.n_done && clock_ms() - listener->done_since_ms >= HEAD_STUCK_MS)
		return ack_singly(listener);
	return 0;
}

void listener_drop_finished(struct listener *listener)
{
	struct job *list = take_list(listener);

	while (list) {
		struct job *job = list;

		list = job->next;
		job_free(job);
	}
}
