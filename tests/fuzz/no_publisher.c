/* In place of common/publisher.c: what would be sent is handed to the target, and confirmed. */
#include "no_publisher.h"

#include "service.h"

void publisher_count(void)
{
}

struct publisher *publisher_start(const char *urls, const char *connection_name, struct error *err)
{
	(void)urls;
	(void)connection_name;
	error_set(err, CODE_INTERNAL, "there is no broker here");
	return NULL;
}

void publisher_stop(struct publisher *publisher, int64_t deadline_ms)
{
	(void)publisher;
	(void)deadline_ms;
}

void publisher_send(struct publisher *publisher, struct outgoing *out)
{
	(void)publisher;
	look_at_outgoing(out);
	if (out->done)
		out->done(out->arg, true);
	outgoing_free(out);
}

void publisher_hold(struct publisher *publisher, bool held)
{
	(void)publisher;
	(void)held;
}

bool publisher_is_up(struct publisher *publisher)
{
	(void)publisher;
	return false;
}

void publisher_watch(struct publisher *publisher, int64_t limit_ms)
{
	(void)publisher;
	(void)limit_ms;
}

void publisher_request(struct publisher *publisher, const struct rpc_request *request, rpc_done_fn *done, void *arg)
{
	(void)publisher;
	(void)request;
	done(arg, CODE_UNAVAILABLE, NULL, 0, "there is no broker here");
}
