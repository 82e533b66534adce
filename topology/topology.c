#include "topology.h"

#include <stdlib.h>
#include <string.h>

#include "request_queue.h"

/* One row a service. Each gets every kind of queue: one that takes requests only still has to refuse durable messages in words. */
const char *const topology_services[] = {
	"arena",
	"auth",
	"combat-settlement",
	"state-backup",
	"tick",
};
const size_t n_topology_services = ARRAY_LEN(topology_services);

static const char *const exchanges[] = { EXCHANGE_COMMANDS, EXCHANGE_RPC, EXCHANGE_EVENTS, EXCHANGE_DEAD };

/*
 * One row a kind of queue. Arguments of an existing queue cannot be changed, so what may change is part of a queue's name (the delay).
 * At-least-once dead-lettering needs all three: the strategy, an exchange, and overflow reject-publish. Nothing has a delivery limit:
 * the broker counts a consumer's crash against every message it held. A request queue's arguments are request_queue_arguments.
 */
static const struct {
	enum queue_kind kind;
	char *(*name)(const char *service, char buffer[static BROKER_NAME_MAX]); /* NULL: one for each delay */
	const char *exchange;
	struct bus_header arguments[QUEUE_ARGUMENTS_MAX];
} kinds[] = {
	{ QUEUE_DURABLE, name_queue, EXCHANGE_COMMANDS,
		{ { "x-queue-type", "quorum", 0 }, { "x-dead-letter-exchange", EXCHANGE_DEAD, 0 },
			{ "x-dead-letter-strategy", "at-least-once", 0 }, { "x-overflow", "reject-publish", 0 } } },
	{ QUEUE_RPC, name_rpc_queue, EXCHANGE_RPC, { { NULL, NULL, 0 } } },
	{ QUEUE_RUNG, NULL, NULL,
		{ { "x-queue-type", "quorum", 0 }, { "x-message-ttl", NULL, 0 /* the delay */ },
			{ "x-dead-letter-exchange", EXCHANGE_COMMANDS, 0 }, /* with the original routing key */
			{ "x-dead-letter-strategy", "at-least-once", 0 }, { "x-overflow", "reject-publish", 0 } } },
	{ QUEUE_DEAD, name_dead_queue, EXCHANGE_DEAD, { { "x-queue-type", "quorum", 0 } } },
};

const char *topology_find_service(const char *name)
{
	for (size_t i = 0; i < n_topology_services; i++)
		if (strcmp(topology_services[i], name) == 0)
			return topology_services[i];
	return NULL;
}

static void add_exchange(struct topology *topology, const char *name)
{
	char *into = topology->exchanges[topology->n_exchanges++].name;

	memcpy(into, name, strlen(name) + 1);
}

static void add_queue(struct topology *topology, const char *service, size_t kind, int64_t delay_ms)
{
	struct topology_queue *queue = &topology->queues[topology->n_queues++];
	const struct bus_header *arguments = kinds[kind].kind == QUEUE_RPC ? request_queue_arguments
									   : kinds[kind].arguments;
	size_t n_arguments = kinds[kind].kind == QUEUE_RPC ? REQUEST_QUEUE_ARGUMENTS : QUEUE_ARGUMENTS_MAX;

	queue->service = service;
	queue->kind = kinds[kind].kind;
	queue->delay_ms = delay_ms;
	queue->durable = queue->kind != QUEUE_RPC || !topology->transient_requests;
	name_binding(service, queue->binding);
	if (kinds[kind].name) {
		kinds[kind].name(service, queue->name);
		memcpy(queue->exchange, kinds[kind].exchange, strlen(kinds[kind].exchange) + 1);
	} else {
		name_rung_queue(service, delay_ms, queue->name);
		name_rung_exchange(delay_ms, queue->exchange);
	}
	for (size_t i = 0; i < n_arguments && arguments[i].name; i++) {
		struct bus_header *argument = &queue->arguments[queue->n_arguments++];

		*argument = arguments[i];
		if (delay_ms && strcmp(argument->name, "x-message-ttl") == 0)
			argument->number = delay_ms;
	}
}

/* Two rungs of one delay are one queue. */
static size_t copy_without_repeats(int64_t *into, const int64_t *delays_ms, size_t n_delays)
{
	size_t n = 0;

	for (size_t i = 0; i < n_delays; i++) {
		size_t j = 0;

		while (j < n && into[j] != delays_ms[i])
			j++;
		if (j == n)
			into[n++] = delays_ms[i];
	}
	return n;
}

struct topology *topology_new(const char *amqp_urls, const int64_t *all_delays_ms, size_t n_delays)
{
	CLEANUP(release_memory) int64_t *delays_ms = must_zalloc((n_delays + 1) * sizeof(*delays_ms));
	struct topology *topology = must_zalloc(sizeof(*topology));
	size_t queues_each = ARRAY_LEN(kinds) - 1 + n_delays;
	char name[BROKER_NAME_MAX];

	topology->transient_requests = request_queue_is_transient(amqp_urls);
	n_delays = copy_without_repeats(delays_ms, all_delays_ms, n_delays);
	topology->exchanges = must_zalloc((ARRAY_LEN(exchanges) + n_delays) * sizeof(*topology->exchanges));
	topology->queues = must_zalloc(n_topology_services * queues_each * sizeof(*topology->queues));
	for (size_t i = 0; i < ARRAY_LEN(exchanges); i++)
		add_exchange(topology, exchanges[i]);
	for (size_t i = 0; i < n_delays; i++)
		add_exchange(topology, name_rung_exchange(delays_ms[i], name));
	for (size_t i = 0; i < n_topology_services; i++) {
		for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++) {
			if (kinds[kind].name)
				add_queue(topology, topology_services[i], kind, 0);
			for (size_t rung = 0; !kinds[kind].name && rung < n_delays; rung++)
				add_queue(topology, topology_services[i], kind, delays_ms[rung]);
		}
	}
	return topology;
}

void topology_free(struct topology *topology)
{
	if (!topology)
		return;
	free(topology->exchanges);
	free(topology->queues);
	free(topology);
}

static int apply_queue(const struct topology_queue *queue, struct bus *bus, struct text *problems, struct error *err)
{
	if (bus_declare_queue(bus, queue->name, queue->durable, queue->arguments, queue->n_arguments, err) == 0)
		return bus_bind(bus, queue->name, queue->exchange, queue->binding, err);
	if (err->code != CODE_CONFLICT)
		return -1;
	text_printf(problems,
		"queue %s exists with other properties (\"garrisonctl topology check\" names them): stop the workers "
		"of "
		"%s, let it run empty, delete it, and apply again\n",
		queue->name, queue->service);
	return 0;
}

int topology_apply(const struct topology *topology, struct bus *bus, struct text *problems, struct error *err)
{
	size_t before = problems->len;

	for (size_t i = 0; i < topology->n_exchanges; i++) {
		const char *name = topology->exchanges[i].name;

		if (bus_declare_exchange(bus, name, EXCHANGE_TYPE, err) == 0)
			continue;
		if (err->code != CODE_CONFLICT)
			return -1;
		text_printf(problems,
			"exchange %s exists with other properties (\"garrisonctl topology check\" names them): delete "
			"it while "
			"nobody publishes to it, and apply again\n",
			name);
	}
	for (size_t i = 0; i < topology->n_queues; i++)
		if (apply_queue(&topology->queues[i], bus, problems, err))
			return -1;
	if (problems->len > before)
		return error_set(err, CODE_CONFLICT, "what exists with other properties was left alone");
	return 0;
}

static void write_common(struct text *out, const char *name, const char *vhost, bool durable)
{
	json_open(out, '{');
	json_key_string(out, "name", name);
	json_key_string(out, "vhost", vhost);
	json_key_bool(out, "durable", durable);
	json_key_bool(out, "auto_delete", false);
}

static void write_queue(struct text *out, const struct topology_queue *queue, const char *vhost)
{
	write_common(out, queue->name, vhost, queue->durable);
	json_key(out, "arguments");
	json_open(out, '{');
	for (size_t i = 0; i < queue->n_arguments; i++) {
		const struct bus_header *argument = &queue->arguments[i];

		if (argument->text)
			json_key_string(out, argument->name, argument->text);
		else
			json_key_int(out, argument->name, argument->number);
	}
	json_close(out, '}');
	json_close(out, '}');
}

static void write_binding(struct text *out, const struct topology_queue *queue, const char *vhost)
{
	json_open(out, '{');
	json_key_string(out, "source", queue->exchange);
	json_key_string(out, "vhost", vhost);
	json_key_string(out, "destination", queue->name);
	json_key_string(out, "destination_type", "queue");
	json_key_string(out, "routing_key", queue->binding);
	json_key(out, "arguments");
	json_open(out, '{');
	json_close(out, '}');
	json_close(out, '}');
}

void topology_export(const struct topology *topology, const char *vhost, struct text *out)
{
	json_open(out, '{');
	json_key(out, "vhosts");
	json_open(out, '[');
	json_open(out, '{');
	json_key_string(out, "name", vhost);
	json_close(out, '}');
	json_close(out, ']');
	json_key(out, "exchanges");
	json_open(out, '[');
	for (size_t i = 0; i < topology->n_exchanges; i++) {
		write_common(out, topology->exchanges[i].name, vhost, true);
		json_key_string(out, "type", EXCHANGE_TYPE);
		json_key_bool(out, "internal", false);
		json_key(out, "arguments");
		json_open(out, '{');
		json_close(out, '}');
		json_close(out, '}');
	}
	json_close(out, ']');
	json_key(out, "queues");
	json_open(out, '[');
	for (size_t i = 0; i < topology->n_queues; i++)
		write_queue(out, &topology->queues[i], vhost);
	json_close(out, ']');
	json_key(out, "bindings");
	json_open(out, '[');
	for (size_t i = 0; i < topology->n_queues; i++)
		write_binding(out, &topology->queues[i], vhost);
	json_close(out, ']');
	json_close(out, '}');
	text_char(out, '\n');
}
