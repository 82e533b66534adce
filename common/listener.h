/*
 * The listener: the thread that consumes a service's two queues, and the only place in the tree that acks or returns a message.
 * Deliveries go to the workers; what the workers (and the publisher's confirms) made of them comes back, is tagged with the epoch
 * of the channel it came by, and is told the broker in order, many at a time.
 */
#ifndef GARRISON_LISTENER_H
#define GARRISON_LISTENER_H

#include <stdbool.h>

#include "bus.h"
#include "service.h"
#include "worker.h"

struct listener;

/* Where workers hand finished jobs back. Valid from listener_new() on. */
const struct job_sink *listener_sink(struct listener *listener);

/* Makes its counters part of /metrics. At start, once. */
void listener_count(void);
/* A listener over a bus of its own (taken over). Nothing runs yet. Main thread. */
struct listener *listener_new(const struct service *service, struct bus *bus);
/* Begins to consume; connects by itself whenever there is no connection. workers outlives it. Main thread. */
void listener_start(struct listener *listener, struct workers *workers);
/*
 * Stops consuming, returns what was not begun (requests are answered unavailable), and waits until all that is in flight has its
 * verdict told, or the deadline. Main thread.
 */
void listener_drain(struct listener *listener, int64_t deadline_ms);
/* Tells the last acks, closes and ends the thread, then frees. Main thread, after the workers have stopped. */
void listener_stop(struct listener *listener, int64_t deadline_ms);

/* Consuming now. Any thread. */
bool listener_is_up(struct listener *listener);
/* Milliseconds since the last delivery, -1 before the first. Any thread. */
int64_t listener_idle_ms(struct listener *listener);
/* Breaks a connection that has made no progress for limit_ms. The watchdog. */
void listener_watch(struct listener *listener, int64_t limit_ms);

#endif
