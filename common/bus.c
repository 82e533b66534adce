#include "bus_internal.h"

#include <stdlib.h>

#define BODY_KEPT_MAX (256u << 10)
/*
 * The library decodes headers nested in each other by recursion, 26,000 deep where they fill a frame. That takes 3 MiB, which a thread
 * does not have by itself where the process's own stack is small or unlimited.
 */
#define THREAD_STACK ((size_t)8 << 20)

void bus_start_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, THREAD_STACK);
	if (pthread_create(thread, &attributes, run, arg))
		BUG("cannot start a thread");
	pthread_attr_destroy(&attributes);
}

const char *bus_copy(struct bus *bus, amqp_bytes_t bytes)
{
	return bytes.len ? scratch_memdup(&bus->strings, bytes.bytes, bytes.len) : NULL;
}

static void begin_message(struct bus *bus, enum bus_event_kind kind, int channel)
{
	scratch_reset(&bus->strings);
	text_reset(&bus->body);
	if (bus->body.cap > BODY_KEPT_MAX)
		text_release(&bus->body);
	bus->assembling = kind;
	bus->delivery = (struct bus_delivery){ .channel = channel, .headers = bus->headers };
}

static bool end_message(struct bus *bus, struct bus_event *event)
{
	if (bus->body.len < bus->body_expected)
		return false;
	bus->delivery.body = text_str(&bus->body);
	bus->delivery.body_len = bus->body.len;
	event->kind = bus->assembling;
	event->delivery = bus->delivery;
	bus->assembling = BUS_NOTHING;
	return true;
}

static int closed_by_broker(struct bus *bus, amqp_bytes_t text, uint32_t method, int channel, struct error *err)
{
	amqp_channel_close_ok_t ok = { 0 };

	error_down(err, STORE_BROKER, "RabbitMQ at %s closed the %s: %.*s", bus_host(bus),
		method == AMQP_CHANNEL_CLOSE_OK_METHOD ? "channel" : "connection", (int)text.len, (char *)text.bytes);
	amqp_send_method(bus->connection, (amqp_channel_t)channel, method, &ok);
	return -1;
}

/* What a notice names, apart from a message's strings: notices come between its frames, and where no message comes for ever. */
static const char *keep_name(struct bus *bus, amqp_bytes_t name)
{
	snprintf(bus->name, sizeof(bus->name), "%.*s", (int)name.len, (const char *)name.bytes);
	return bus->name;
}

static void read_probe_close(struct bus *bus, struct bus_event *event)
{
	amqp_channel_close_ok_t ok = { 0 };

	amqp_send_method(bus->connection, BUS_PROBE, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
	bus->probe_open = false;
	event->kind = BUS_NO_QUEUE;
	event->text = keep_name(bus, bus_bytes(bus->asked));
	free(TAKE(bus->asked));
}

/* Methods other than deliveries. 1: *event is set, 0: nothing to tell, -1: the connection is done for. */
static int read_notice(struct bus *bus, const amqp_frame_t *frame, struct bus_event *event, struct error *err)
{
	const void *decoded = frame->payload.method.decoded;

	switch (frame->payload.method.id) {
	case AMQP_BASIC_ACK_METHOD:
		event->kind = BUS_CONFIRMED;
		event->tag = ((const amqp_basic_ack_t *)decoded)->delivery_tag;
		event->multiple = ((const amqp_basic_ack_t *)decoded)->multiple;
		return 1;
	case AMQP_BASIC_NACK_METHOD:
		event->kind = BUS_REJECTED;
		event->tag = ((const amqp_basic_nack_t *)decoded)->delivery_tag;
		event->multiple = ((const amqp_basic_nack_t *)decoded)->multiple;
		return 1;
	case AMQP_BASIC_CANCEL_METHOD:
		event->kind = BUS_CANCELLED;
		event->text = keep_name(bus, ((const amqp_basic_cancel_t *)decoded)->consumer_tag);
		return 1;
	case AMQP_BASIC_CANCEL_OK_METHOD:
		event->kind = BUS_CANCEL_OK;
		event->text = keep_name(bus, ((const amqp_basic_cancel_ok_t *)decoded)->consumer_tag);
		return 1;
	case AMQP_CONNECTION_BLOCKED_METHOD:
		event->kind = BUS_BLOCKED;
		return 1;
	case AMQP_CONNECTION_UNBLOCKED_METHOD:
		event->kind = BUS_UNBLOCKED;
		return 1;
	case AMQP_QUEUE_DECLARE_OK_METHOD:
		event->kind = BUS_QUEUE_INFO;
		event->text = keep_name(bus, ((const amqp_queue_declare_ok_t *)decoded)->queue);
		event->messages = ((const amqp_queue_declare_ok_t *)decoded)->message_count;
		event->consumers = ((const amqp_queue_declare_ok_t *)decoded)->consumer_count;
		free(TAKE(bus->asked));
		return 1;
	case AMQP_CHANNEL_CLOSE_METHOD:
		if (frame->channel == BUS_PROBE) {
			read_probe_close(bus, event);
			return 1;
		}
		return closed_by_broker(bus, ((const amqp_channel_close_t *)decoded)->reply_text,
			AMQP_CHANNEL_CLOSE_OK_METHOD, frame->channel, err);
	case AMQP_CONNECTION_CLOSE_METHOD:
		return closed_by_broker(bus, ((const amqp_connection_close_t *)decoded)->reply_text,
			AMQP_CONNECTION_CLOSE_OK_METHOD, 0, err);
	default:
		return 0;
	}
}

static int read_method(struct bus *bus, const amqp_frame_t *frame, struct bus_event *event, struct error *err)
{
	if (frame->payload.method.id == AMQP_BASIC_DELIVER_METHOD) {
		const amqp_basic_deliver_t *deliver = frame->payload.method.decoded;

		begin_message(bus, BUS_DELIVERY, frame->channel);
		bus->delivery.tag = deliver->delivery_tag;
		bus->delivery.redelivered = deliver->redelivered;
		bus->delivery.consumer_tag = bus_copy(bus, deliver->consumer_tag);
		bus->delivery.exchange = bus_copy(bus, deliver->exchange);
		bus->delivery.routing_key = bus_copy(bus, deliver->routing_key);
		return 0;
	}
	if (frame->payload.method.id == AMQP_BASIC_RETURN_METHOD) {
		const amqp_basic_return_t *returned = frame->payload.method.decoded;

		begin_message(bus, BUS_RETURNED, frame->channel);
		bus->delivery.exchange = bus_copy(bus, returned->exchange);
		bus->delivery.routing_key = bus_copy(bus, returned->routing_key);
		return 0;
	}
	return read_notice(bus, frame, event, err);
}

static int read_frame(struct bus *bus, const amqp_frame_t *frame, struct bus_event *event, struct error *err)
{
	switch (frame->frame_type) {
	case AMQP_FRAME_METHOD:
		return read_method(bus, frame, event, err);
	case AMQP_FRAME_HEADER:
		bus_read_properties(bus, frame->payload.properties.decoded);
		bus->body_expected = frame->payload.properties.body_size;
		text_reserve(&bus->body, bus->body_expected);
		return end_message(bus, event);
	case AMQP_FRAME_BODY:
		text_add(&bus->body, frame->payload.body_fragment.bytes, frame->payload.body_fragment.len);
		return end_message(bus, event);
	default:
		return 0;
	}
}

int bus_next(struct bus *bus, struct bus_event *event, struct error *err)
{
	struct timeval at_once = { 0 };

	event->kind = BUS_NOTHING;
	while (bus->connection) {
		amqp_frame_t frame;
		int status, told;

		if (bus->assembling == BUS_NOTHING)
			amqp_maybe_release_buffers(bus->connection);
		status = amqp_simple_wait_frame_noblock(bus->connection, &frame, &at_once);
		if (status == AMQP_STATUS_TIMEOUT)
			return 0;
		if (status != AMQP_STATUS_OK) {
			error_down(err, STORE_BROKER, "RabbitMQ at %s: %s", bus_host(bus), amqp_error_string2(status));
			bus_disconnect(bus);
			return -1;
		}
		told = read_frame(bus, &frame, event, err);
		if (told < 0)
			bus_disconnect(bus);
		if (told)
			return told < 0 ? -1 : 0;
	}
	return error_down(err, STORE_BROKER, "RabbitMQ: not connected");
}
