/* What the listener consumes: the request queue while it is connected, the durable one while the stores are there. */
#include "clock.h"
#include "listener_internal.h"
#include "log.h"
#include "request_queue.h"

#define PREFETCH_PER_THREAD 32
#define PREFETCH_MAX 4096
#define KEEP_REQUESTS_MS 2000

static size_t largest_batch(const struct service *service)
{
	size_t largest = PREFETCH_PER_THREAD;

	for (size_t i = 0; i < service->n_commands; i++)
		if (service->commands[i].batch_max > largest)
			largest = service->commands[i].batch_max;
	return largest;
}

int listener_prefetch(const struct service *service)
{
	size_t batch = largest_batch(service);
	size_t ahead = batch > PREFETCH_PER_THREAD ? PREFETCH_PER_THREAD + batch / 4 : batch;
	size_t wanted = (size_t)common_settings.max_concurrent_tasks * (batch + ahead);

	return (int)(wanted > PREFETCH_MAX ? PREFETCH_MAX : wanted);
}

static int consume_requests(struct listener *listener, struct error *err)
{
	int failed = bus_consume(listener->bus, BUS_MAIN, listener->rpc_queue, TAG_RPC, listener->prefetch, false, err);

	if (!failed || err->code != CODE_NOT_FOUND || !request_queue_is_transient(common_settings.amqp_url))
		return failed;
	if (request_queue_declare(listener->bus, listener->service->name, err))
		return -1;
	log_line(LOG_WARN, "requests_declared", "%s was gone, with its node of the cluster: declared anew",
		listener->rpc_queue);
	return bus_consume(listener->bus, BUS_MAIN, listener->rpc_queue, TAG_RPC, listener->prefetch, false, err);
}

int listener_keep_requests(struct listener *listener, struct error *err)
{
	int64_t now_ms = clock_ms();

	if (!listener->rpc_on || now_ms < listener->keep_at_ms || !request_queue_is_transient(common_settings.amqp_url))
		return 0;
	listener->keep_at_ms = now_ms + KEEP_REQUESTS_MS;
	if (request_queue_keep(listener->bus, listener->service->name))
		return error_down(err, STORE_BROKER, "the connection is gone");
	return 0;
}

int listener_begin_consuming(struct listener *listener, struct error *err)
{
	if (!listener->rpc_on) {
		if (consume_requests(listener, err))
			return -1;
		listener->rpc_on = true;
	}
	if (listener->durable_wanted && !listener->durable_on) {
		if (bus_consume(listener->bus, BUS_MAIN, listener->queue, TAG_DURABLE, listener->prefetch, false, err))
			return -1;
		listener->durable_on = true;
	}
	return 0;
}
