/* The broker as a verb uses it: connect, do one thing, wait for its answer. */
#ifndef GARRISON_CTL_BROKER_H
#define GARRISON_CTL_BROKER_H

#include "bus.h"

/*
 * A connection by AMQP_URL, tried again until STARTUP_TIMEOUT has passed; with confirms, one to publish commands by. The caller frees. NULL: unavailable, forbidden, or
 * invalid_payload for a bad URL.
 */
struct bus *broker_connect(bool confirms, struct error *err);

/* Waits for what the broker sends next. 0; -1: timeout at the deadline (monotonic), or the connection is gone. */
int broker_next(struct bus *bus, struct bus_event *event, int64_t deadline_ms, struct error *err);

/*
 * Publishes on BUS_MAIN of a connection with confirms, nothing else being under way there, and waits for the confirm. 0, or -1:
 * not_found when no queue takes it (mandatory), unavailable when the broker refuses it, timeout.
 */
int broker_publish(struct bus *bus, const struct bus_publication *publication, int64_t deadline_ms, struct error *err);

#endif
