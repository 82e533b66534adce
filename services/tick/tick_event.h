/*
 * The event tick.completed. It is written to a table in the transaction that credits the ticks and published from there, so that it
 * tells of every tick, of no other, and bears the same message id however often it is published.
 */
#ifndef TICK_TICK_EVENT_H
#define TICK_TICK_EVENT_H

#include "service.h"
#include "services/tick/tick_batch.h"

#define TICK_EVENTS 1
extern const struct service_event tick_events[TICK_EVENTS];

/* Queues the writing of the batch's event. One result; false, and nothing queued, when events are off or no tick was credited. */
bool tick_event_queue(struct pg *pg, const struct tick_batch *batch);

#define TICK_EVENT_TIMER "events"
/* The timer: publishes what has been written, and deletes it once the broker has confirmed. */
int64_t tick_event_publish(struct call *call);

#endif
