#include "listener_internal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "crash.h"
#include "dispatch.h"
#include "log.h"

#define CONNECT_LIMIT_MS 5000
#define BACKOFF_FIRST_MS 50
#define BACKOFF_LAST_MS 2000
#define BURST 256
#define IDLE_POLL_MS 1000
#define PROBE_POLL_MS 50
#define DRAIN_POLL_MS 10
#define ACK_EVERY 64
/* Bodies and their structs held at a time; with a larger one the socket is left unread and the broker waits. */
#define HELD_MAX ((size_t)2 << 20)

/* ---- connecting ---- */

static void lost(struct listener *listener, const struct error *err)
{
	atomic_store(&listener->up, false);
	log_line(LOG_WARN, "consumer_lost", "%s", err->text);
	bus_close(listener->bus, 0);
	/* What was done behind a stuck head and not acked yet never will be: it comes again. */
	unacked_reset(&listener->unacked);
}

/* What was not begun on a connection that is gone will be delivered again: there is no use in doing it here. */
static void drop_unbegun(struct listener *listener)
{
	struct job *list = workers_take_back(listener->workers);

	while (list) {
		struct job *job = list;

		list = job->next;
		job_finish(job, VERDICT_NONE, &listener->sink);
	}
}

static int connect_once(struct listener *listener, struct error *err)
{
	drop_unbegun(listener);
	listener->epoch++;
	unacked_reset(&listener->unacked);
	listener->rpc_on = listener->durable_on = listener->cancelling = false;
	listener->durable_wanted = !workers_down(listener->workers);
	if (!bus_is_open(listener->bus) && bus_connect(listener->bus, false, CONNECT_LIMIT_MS, err))
		return -1;
	if (listener_begin_consuming(listener, err)) {
		bus_close(listener->bus, 0);
		return -1;
	}
	metric_add(&listener_metrics[LISTENER_CONNECTS], 1);
	atomic_store(&listener->up, true);
	log_line(LOG_INFO, "consumer_connected", "%s, prefetch %d", bus_host(listener->bus), listener->prefetch);
	return 0;
}

/* ---- stores away: the durable lane rests ---- */

static void return_unbegun(struct listener *listener, const char *why, bool requests_too)
{
	struct job *list = workers_take_back(listener->workers);

	while (list) {
		struct job *job = list;

		list = job->next;
		if (job->message.lane == LANE_DURABLE)
			job_finish(job, VERDICT_REQUEUE, &listener->sink);
		else if (requests_too)
			job_turn_away(job, why, &listener->sink);
		else
			workers_add(listener->workers, job);
	}
}

static int follow_stores(struct listener *listener, struct error *err)
{
	bool down = workers_down(listener->workers) != 0;

	if (down)
		workers_probe(listener->workers);
	if (down && listener->durable_on && !listener->cancelling) {
		listener->cancelling = true;
		listener->durable_wanted = false;
		return_unbegun(listener, "", false);
		return bus_cancel(listener->bus, TAG_DURABLE) ? error_down(err, STORE_BROKER, "cancel failed") : 0;
	}
	if (!down && !listener->durable_on) {
		listener->durable_wanted = true;
		return listener_begin_consuming(listener, err);
	}
	return 0;
}

/* ---- deliveries ---- */

static void take_delivery(struct listener *listener, const struct bus_delivery *delivery)
{
	bool durable = delivery->consumer_tag && strcmp(delivery->consumer_tag, TAG_DURABLE) == 0;
	struct job *job = job_new(delivery, durable ? LANE_DURABLE : LANE_RPC, listener->epoch);

	crash_point("delivered");
	unacked_add(&listener->unacked, job->tag);
	listener->held += job->size;
	listener->in_flight++;
	metric_add(&listener_metrics[LISTENER_DELIVERIES], 1);
	metric_set(&listener_metrics[LISTENER_LAST_DELIVERY], clock_real_us() / 1000);
	atomic_store(&listener->last_delivery_ms, clock_ms());
	job->command = command_find(
		listener->service, job->message.type ? job->message.type : name_command_of(job->message.routing_key));
	if (durable && !listener->durable_wanted)
		job_finish(job, VERDICT_REQUEUE, &listener->sink);
	else
		workers_add(listener->workers, job);
}

/* 1: something was read, 0: nothing there, -1: start over. */
static int read_one(struct listener *listener, struct error *err)
{
	struct bus_event event;

	if (bus_next(listener->bus, &event, err))
		return -1;
	switch (event.kind) {
	case BUS_NOTHING:
		return 0;
	case BUS_DELIVERY:
		take_delivery(listener, &event.delivery);
		return 1;
	case BUS_CANCELLED:
		return error_down(
			err, STORE_BROKER, "the broker cancelled the consumer %s: its queue is gone", event.text);
	case BUS_CANCEL_OK:
		if (strcmp(event.text, TAG_DURABLE) == 0)
			listener->durable_on = listener->cancelling = false;
		else
			listener->rpc_on = false;
		return 1;
	default:
		return 1;
	}
}

static int read_deliveries(struct listener *listener, struct error *err)
{
	for (int i = 0; i < BURST; i++) {
		int got;

		if (listener->held >= HELD_MAX) {
			/* The broker must hear from us though nothing is read. */
			if (bus_keep_alive(listener->bus))
				return error_down(err, STORE_BROKER, "the connection is gone");
			return 0;
		}
		got = read_one(listener, err);
		if (got <= 0)
			return got;
		if (i % ACK_EVERY == ACK_EVERY - 1 && listener_tell_verdicts(listener))
			return error_down(err, STORE_BROKER, "cannot ack");
	}
	return 1;
}

/* ---- the thread ---- */

static void wait_for_work(struct listener *listener, int timeout_ms)
{
	struct pollfd fds[2] = { { .fd = listener->wake_fd, .events = POLLIN },
		{ .fd = bus_fd(listener->bus), .events = POLLIN } };
	bool reading = bus_is_open(listener->bus) && listener->held < HELD_MAX;
	uint64_t woken;

	log_flush();
	if (!listener_may_sleep(listener, reading, &timeout_ms))
		return;
	poll(fds, reading ? 2 : 1, timeout_ms);
	if (fds[0].revents && read(listener->wake_fd, &woken, sizeof(woken)) < 0)
		return;
}

static int poll_limit_ms(struct listener *listener, bool drain)
{
	if (drain)
		return DRAIN_POLL_MS;
	if (workers_down(listener->workers))
		return PROBE_POLL_MS;
	return listener->unacked.n_done ? HEAD_STUCK_MS : IDLE_POLL_MS;
}

static int begin_drain(struct listener *listener, struct error *err)
{
	if (listener->durable_on && !listener->cancelling && bus_cancel(listener->bus, TAG_DURABLE))
		return error_down(err, STORE_BROKER, "cancel failed");
	if (listener->rpc_on && bus_cancel(listener->bus, TAG_RPC))
		return error_down(err, STORE_BROKER, "cancel failed");
	listener->cancelling = true;
	listener->durable_wanted = false;
	return 0;
}

/* Draining: true when nothing is in hand any longer. */
static bool run_drain(struct listener *listener, bool *begun, struct error *err)
{
	if (!bus_is_open(listener->bus))
		drop_unbegun(listener);
	else
		return_unbegun(listener, "this worker is stopping; ask again", true);
	if (bus_is_open(listener->bus) && !*begun) {
		*begun = true;
		if (begin_drain(listener, err))
			lost(listener, err);
	}
	return listener->in_flight == 0 &&
	       (!bus_is_open(listener->bus) || (!listener->durable_on && !listener->rpc_on));
}

static void read_wishes(struct listener *listener, bool *drain, bool *stop)
{
	pthread_mutex_lock(&listener->mutex);
	*drain = listener->drain;
	*stop = listener->stop;
	pthread_mutex_unlock(&listener->mutex);
}

static void say_drained(struct listener *listener)
{
	pthread_mutex_lock(&listener->mutex);
	listener->drained = true;
	pthread_mutex_unlock(&listener->mutex);
}

static int run_connected(struct listener *listener, bool drain, struct error *err)
{
	int more = read_deliveries(listener, err);
	bool durable_on = listener->durable_on;

	if (more < 0)
		return -1;
	if (listener_tell_verdicts(listener))
		return error_down(err, STORE_BROKER, "cannot ack: the connection is gone");
	if (!drain && (listener_keep_requests(listener, err) || follow_stores(listener, err)))
		return -1;
	/* What came with the answer to a new consumer is in memory already, where no poll sees it. */
	if (more == 0 && durable_on == listener->durable_on)
		wait_for_work(listener, poll_limit_ms(listener, drain));
	return 0;
}

static void *listener_main(void *arg)
{
	struct listener *listener = arg;
	int backoff_ms = BACKOFF_FIRST_MS;
	int64_t connect_at_ms = 0;
	bool drain, stop, drain_begun = false;
	struct error err;

	for (;;) {
		atomic_store(&listener->progress_ms, clock_ms());
		read_wishes(listener, &drain, &stop);
		if (stop)
			break;
		if (drain && run_drain(listener, &drain_begun, &err))
			say_drained(listener);
		if (atomic_load(&listener->up)) {
			if (run_connected(listener, drain, &err))
				lost(listener, &err);
			continue;
		}
		listener_tell_verdicts(listener);
		if (workers_down(listener->workers))
			workers_probe(listener->workers);
		if (drain || clock_ms() < connect_at_ms) {
			int wait_ms = drain ? PROBE_POLL_MS : clock_left_ms(connect_at_ms);

			wait_for_work(listener, wait_ms < PROBE_POLL_MS ? wait_ms : PROBE_POLL_MS);
			continue;
		}
		if (connect_once(listener, &err) == 0) {
			backoff_ms = BACKOFF_FIRST_MS;
			continue;
		}
		log_line(LOG_WARN, "consumer_connect_failed", "%s", err.text);
		connect_at_ms = clock_ms() + clock_jitter_ms(backoff_ms);
		backoff_ms = backoff_ms * 2 > BACKOFF_LAST_MS ? BACKOFF_LAST_MS : backoff_ms * 2;
	}
	listener_tell_verdicts(listener);
	log_flush();
	return NULL;
}

/* ---- for the main thread ---- */

const struct job_sink *listener_sink(struct listener *listener)
{
	return &listener->sink;
}

struct listener *listener_new(const struct service *service, struct bus *bus)
{
	struct listener *listener = must_zalloc(sizeof(*listener));

	listener->service = service;
	listener->bus = bus;
	listener->sink = (struct job_sink){
		.finished = listener_take_finished, .hold = listener_hold_finished, .arg = listener
	};
	listener->finished_tail = &listener->finished_head;
	listener->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	listener->last_delivery_ms = -1;
	listener->progress_ms = clock_ms();
	if (listener->wake_fd < 0)
		BUG("eventfd");
	pthread_mutex_init(&listener->mutex, NULL);
	name_queue(service->name, listener->queue);
	name_rpc_queue(service->name, listener->rpc_queue);
	return listener;
}

void listener_count(void)
{
	metrics_register(listener_metrics, N_LISTENER_METRICS);
}

void listener_start(struct listener *listener, struct workers *workers)
{
	listener->workers = workers;
	listener->prefetch = listener_prefetch(listener->service);
	bus_start_thread(&listener->thread, listener_main, listener);
	listener->started = true;
}

void listener_drain(struct listener *listener, int64_t deadline_ms)
{
	bool drained = false;

	pthread_mutex_lock(&listener->mutex);
	listener->drain = true;
	pthread_mutex_unlock(&listener->mutex);
	listener_wake(listener);
	while (!drained && clock_ms() < deadline_ms) {
		clock_sleep_ms(5);
		pthread_mutex_lock(&listener->mutex);
		drained = listener->drained;
		pthread_mutex_unlock(&listener->mutex);
	}
}

void listener_stop(struct listener *listener, int64_t deadline_ms)
{
	pthread_mutex_lock(&listener->mutex);
	listener->stop = true;
	pthread_mutex_unlock(&listener->mutex);
	listener_wake(listener);
	if (listener->started)
		pthread_join(listener->thread, NULL);
	bus_close(listener->bus, clock_left_ms(deadline_ms) + 1);
	listener_drop_finished(listener);
	bus_free(listener->bus);
	close(listener->wake_fd);
	pthread_mutex_destroy(&listener->mutex);
	unacked_release(&listener->unacked);
	free(listener);
}

bool listener_is_up(struct listener *listener)
{
	return atomic_load(&listener->up);
}

int64_t listener_idle_ms(struct listener *listener)
{
	int64_t last = atomic_load(&listener->last_delivery_ms);

	return last < 0 ? -1 : clock_ms() - last;
}

void listener_watch(struct listener *listener, int64_t limit_ms)
{
	if (clock_ms() - atomic_load(&listener->progress_ms) > limit_ms)
		bus_interrupt(listener->bus);
}
