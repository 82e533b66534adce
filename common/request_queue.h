/*
 * The queue that a service takes requests from. It is a classic one, and in a cluster lies on one node. A durable one would be out of
 * reach for as long as that node is down, since nobody may declare it elsewhere; so where AMQP_URL names several brokers it is
 * transient: it is gone with its node, and the worker that misses it declares it anew.
 */
#ifndef GARRISON_REQUEST_QUEUE_H
#define GARRISON_REQUEST_QUEUE_H

#include <stdbool.h>

#include "bus.h"
#include "error.h"

#define REQUEST_QUEUE_ARGUMENTS 4

extern const struct bus_header request_queue_arguments[REQUEST_QUEUE_ARGUMENTS];

/* True where the URLs (AMQP_URL, comma-separated) name several brokers. Any thread. */
bool request_queue_is_transient(const char *amqp_urls);

/* Declares this service's transient request queue and binds it; what is there already stays. 0/-1: bus_declare_queue(). The bus's thread. */
int request_queue_declare(struct bus *bus, const char *service, struct error *err);

/*
 * Asks once more for the binding of this service's transient request queue; to be called now and then. When a node is lost, each of the
 * others forgets the queues it held, by their names and in its own time: also one that has been declared anew meanwhile. Nobody's requests
 * reach that one any more, and its consumer hears nothing of it. 0, or -1 when the connection is gone; a queue that is forgotten is told
 * by bus_next(), which fails. The bus's thread.
 */
int request_queue_keep(struct bus *bus, const char *service);

#endif
