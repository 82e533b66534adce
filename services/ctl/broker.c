#include "broker.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "clock.h"
#include "ctl.h"
#include "naming.h"

#define CONNECT_TIMEOUT_MS 5000
#define RETRY_MS 500
#define KEEP_ALIVE_MS 2000

/* What is published to an exchange that is missing costs the channel. */
static int check_exchange(struct bus *bus, struct error *err)
{
	if (bus_check_exchange(bus, EXCHANGE_COMMANDS, err) == 0)
		return 0;
	if (err->code == CODE_NOT_FOUND)
		error_set(err, CODE_UNAVAILABLE,
			"there is no exchange %s: is the topology applied? (garrisonctl topology apply)",
			EXCHANGE_COMMANDS);
	return -1;
}

struct bus *broker_connect(bool confirms, struct error *err)
{
	int64_t deadline_ms = clock_ms() + ctl_settings.startup_timeout_ms;
	struct error wrong = { 0 };
	struct bus *bus = bus_new(ctl_settings.amqp_url, "garrisonctl", &wrong);

	if (!bus) {
		error_set(err, wrong.code, "AMQP_URL: %s", wrong.text);
		return NULL;
	}
	while (bus_connect(bus, confirms, CONNECT_TIMEOUT_MS, err)) {
		if (err->down == STORE_NONE || clock_ms() >= deadline_ms) {
			bus_free(bus);
			return NULL;
		}
		clock_sleep_ms(RETRY_MS);
	}
	if (confirms && check_exchange(bus, err)) {
		bus_free(bus);
		return NULL;
	}
	return bus;
}

int broker_next(struct bus *bus, struct bus_event *event, int64_t deadline_ms, struct error *err)
{
	for (;;) {
		if (bus_next(bus, event, err))
			return -1;
		if (event->kind != BUS_NOTHING)
			return 0;
		int left_ms = clock_left_ms(deadline_ms);

		if (left_ms == 0)
			return error_set(err, CODE_TIMEOUT, "the broker has not answered in time");
		struct pollfd readable = { .fd = bus_fd(bus), .events = POLLIN };

		if (poll(&readable, 1, left_ms < KEEP_ALIVE_MS ? left_ms : KEEP_ALIVE_MS) < 0 && errno != EINTR)
			return error_set(err, CODE_INTERNAL, "poll: %s", strerror(errno));
		if (bus_keep_alive(bus))
			return error_down(err, STORE_BROKER, "RabbitMQ at %s: connection lost", bus_host(bus));
	}
}

int broker_publish(struct bus *bus, const struct bus_publication *publication, int64_t deadline_ms, struct error *err)
{
	bool returned = false, blocked = false;
	struct bus_event event;
	uint64_t sequence;

	if (bus_publish(bus, BUS_MAIN, publication, &sequence, err))
		return -1;
	for (;;) {
		if (broker_next(bus, &event, deadline_ms, err)) {
			if (blocked && err->code == CODE_TIMEOUT)
				return error_set(err, CODE_UNAVAILABLE,
					"the broker takes no publications now (a memory or disk alarm)");
			return -1;
		}
		if (event.kind == BUS_RETURNED)
			returned = true;
		else if (event.kind == BUS_BLOCKED || event.kind == BUS_UNBLOCKED)
			blocked = event.kind == BUS_BLOCKED;
		else if (event.kind == BUS_REJECTED)
			return error_set(err, CODE_UNAVAILABLE,
				"the broker refused the message: a queue it goes to is full or down");
		else if (event.kind == BUS_CONFIRMED)
			break;
	}
	if (returned)
		return error_set(err, CODE_NOT_FOUND,
			"no queue takes %s from %s: is the topology applied? (garrisonctl topology check)",
			publication->routing_key, publication->exchange);
	return 0;
}
