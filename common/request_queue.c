#include "request_queue.h"

#include <string.h>

#include "naming.h"

const struct bus_header request_queue_arguments[REQUEST_QUEUE_ARGUMENTS] = { { "x-queue-type", "classic", 0 },
	{ "x-message-ttl", NULL, 30000 }, { "x-max-length", NULL, 10000 }, { "x-overflow", "reject-publish", 0 } };

bool request_queue_is_transient(const char *amqp_urls)
{
	return strchr(amqp_urls, ',') != NULL;
}

int request_queue_declare(struct bus *bus, const char *service, struct error *err)
{
	char queue[BROKER_NAME_MAX], binding[BROKER_NAME_MAX];

	name_rpc_queue(service, queue);
	if (bus_declare_queue(bus, queue, false, request_queue_arguments, REQUEST_QUEUE_ARGUMENTS, err))
		return -1;
	return bus_bind(bus, queue, EXCHANGE_RPC, name_binding(service, binding), err);
}

int request_queue_keep(struct bus *bus, const char *service)
{
	char queue[BROKER_NAME_MAX], binding[BROKER_NAME_MAX];

	name_rpc_queue(service, queue);
	return bus_bind_again(bus, queue, EXCHANGE_RPC, name_binding(service, binding));
}
