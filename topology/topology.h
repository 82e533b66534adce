/*
 * What the fleet needs in the broker: exchanges, queues and bindings, made from one table of services. Names and the rules behind
 * them are common/naming.h's; here is which of them exist and with what arguments.
 */
#ifndef GARRISON_TOPOLOGY_H
#define GARRISON_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus.h"
#include "cleanup.h"
#include "error.h"
#include "naming.h"
#include "text.h"

#define EXCHANGE_TYPE "topic" /* of every exchange; all are durable */
#define QUEUE_ARGUMENTS_MAX 5

enum queue_kind { QUEUE_DURABLE, QUEUE_RPC, QUEUE_RUNG, QUEUE_DEAD };

struct topology_exchange {
	char name[BROKER_NAME_MAX];
};

/* A queue and its one binding. */
struct topology_queue {
	const char *service;
	enum queue_kind kind;
	int64_t delay_ms; /* of a rung */
	bool durable;
	char name[BROKER_NAME_MAX];
	char exchange[BROKER_NAME_MAX];
	char binding[BROKER_NAME_MAX];
	struct bus_header arguments[QUEUE_ARGUMENTS_MAX];
	size_t n_arguments;
};

struct topology {
	struct topology_exchange *exchanges;
	size_t n_exchanges;
	struct topology_queue *queues;
	size_t n_queues;
	bool transient_requests;
};

/* The services that have queues; static. Any thread. */
extern const char *const topology_services[];
extern const size_t n_topology_services;
/* The service of this name as in the table, NULL when there is none. Any thread. */
const char *topology_find_service(const char *name);

/*
 * Everything there is to be, for these brokers (AMQP_URL: with several, request queues are transient) and rungs (RETRY_DELAYS). The
 * caller frees. Aborts when memory is out. Any thread.
 */
struct topology *topology_new(const char *amqp_urls, const int64_t *delays_ms, size_t n_delays);
/* NULL is nothing. */
void topology_free(struct topology *topology);
DEFINE_CLEANUP(struct topology *, topology_drop, topology_free)

/*
 * Declares all of it; what is there already as it should be stays untouched, so it may be run any number of times and from several
 * places. A queue or exchange that exists with other properties is left alone, and each is added to problems, one a line, with what
 * to do; the rest is applied all the same. 0, or -1 with err conflict when there were such problems, else the broker's error. The
 * bus's thread.
 */
int topology_apply(const struct topology *topology, struct bus *bus, struct text *problems, struct error *err);

/* Writes RabbitMQ's definitions JSON for one vhost ("rabbitmqctl import_definitions"). Any thread. */
void topology_export(const struct topology *topology, const char *vhost, struct text *out);

#endif
