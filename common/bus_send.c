/* What goes out: publications, acks, consumers, declarations; and the properties of what comes in. */
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "bus_internal.h"
#include "crash.h"

#define PERSISTENT 2
#define TRANSIENT 1
/* Integers beyond are not exact as doubles. */
#define FLOAT_NUMBER_MAX 9007199254740991.0
/* A new connection's send buffer takes more than this everywhere: net.ipv4.tcp_wmem, and ten segments (RFC 6928). */
#define SEND_ROOM ((size_t)16 << 10)

amqp_bytes_t bus_bytes(const char *text)
{
	return text ? amqp_cstring_bytes(text) : amqp_empty_bytes;
}

amqp_table_t bus_table(const struct bus_header *headers, size_t n, amqp_table_entry_t *entries)
{
	for (size_t i = 0; i < n; i++) {
		entries[i].key = amqp_cstring_bytes(headers[i].name);
		if (headers[i].text) {
			entries[i].value.kind = AMQP_FIELD_KIND_UTF8;
			entries[i].value.value.bytes = amqp_cstring_bytes(headers[i].text);
		} else {
			entries[i].value.kind = AMQP_FIELD_KIND_I64;
			entries[i].value.value.i64 = headers[i].number;
		}
	}
	return (amqp_table_t){ .num_entries = (int)n, .entries = entries };
}

/* ---- properties in ---- */

static bool read_number(const amqp_field_value_t *value, int64_t *number)
{
	switch (value->kind) {
	case AMQP_FIELD_KIND_BOOLEAN:
		*number = value->value.boolean;
		return true;
	case AMQP_FIELD_KIND_I8:
		*number = value->value.i8;
		return true;
	case AMQP_FIELD_KIND_U8:
		*number = value->value.u8;
		return true;
	case AMQP_FIELD_KIND_I16:
		*number = value->value.i16;
		return true;
	case AMQP_FIELD_KIND_U16:
		*number = value->value.u16;
		return true;
	case AMQP_FIELD_KIND_I32:
		*number = value->value.i32;
		return true;
	case AMQP_FIELD_KIND_U32:
		*number = value->value.u32;
		return true;
	case AMQP_FIELD_KIND_I64:
	case AMQP_FIELD_KIND_TIMESTAMP:
		*number = value->value.i64;
		return true;
	case AMQP_FIELD_KIND_U64:
		*number = value->value.u64 > INT64_MAX ? INT64_MAX : (int64_t)value->value.u64;
		return true;
	default:
		return false;
	}
}

/* Languages with one kind of number for all send times so. */
static bool read_float(const amqp_field_value_t *value, int64_t *number)
{
	double real = value->kind == AMQP_FIELD_KIND_F64 ? value->value.f64 : value->value.f32;

	if (value->kind != AMQP_FIELD_KIND_F64 && value->kind != AMQP_FIELD_KIND_F32)
		return false;
	if (!(real >= -FLOAT_NUMBER_MAX && real <= FLOAT_NUMBER_MAX))
		return false;
	*number = (int64_t)real;
	return true;
}

static bool named(amqp_bytes_t key, const char *name)
{
	return key.len == strlen(name) && memcmp(key.bytes, name, key.len) == 0;
}

/* What tells the message's way: it is read also where a sender put very many headers before it. */
static bool ours(amqp_bytes_t key)
{
	return (key.len > 2 && memcmp(key.bytes, "g-", 2) == 0) || named(key, "x-delivery-count") ||
	       named(key, "traceparent");
}

static void read_headers(struct bus *bus, const amqp_table_t *table)
{
	size_t others = 0;

	for (int i = 0; i < table->num_entries && bus->delivery.n_headers < BUS_HEADERS_MAX; i++) {
		const amqp_field_value_t *value = &table->entries[i].value;
		bool known = ours(table->entries[i].key);
		struct bus_header header = { 0 };

		if (!known && ++others > BUS_OTHER_HEADERS_MAX)
			continue;
		if (value->kind == AMQP_FIELD_KIND_UTF8 || value->kind == AMQP_FIELD_KIND_BYTES)
			header.text = scratch_memdup(&bus->strings, value->value.bytes.bytes, value->value.bytes.len);
		else if (!read_number(value, &header.number) && !(known && read_float(value, &header.number)))
			continue;
		header.name = scratch_memdup(&bus->strings, table->entries[i].key.bytes, table->entries[i].key.len);
		bus->headers[bus->delivery.n_headers++] = header;
	}
}

void bus_read_properties(struct bus *bus, const amqp_basic_properties_t *properties)
{
	struct bus_delivery *delivery = &bus->delivery;
	amqp_flags_t has = properties->_flags;

	if (has & AMQP_BASIC_TYPE_FLAG)
		delivery->type = bus_copy(bus, properties->type);
	if (has & AMQP_BASIC_MESSAGE_ID_FLAG)
		delivery->message_id = bus_copy(bus, properties->message_id);
	if (has & AMQP_BASIC_CORRELATION_ID_FLAG)
		delivery->correlation_id = bus_copy(bus, properties->correlation_id);
	if (has & AMQP_BASIC_REPLY_TO_FLAG)
		delivery->reply_to = bus_copy(bus, properties->reply_to);
	if (has & AMQP_BASIC_EXPIRATION_FLAG)
		delivery->expiration = bus_copy(bus, properties->expiration);
	if (has & AMQP_BASIC_CONTENT_TYPE_FLAG)
		delivery->content_type = bus_copy(bus, properties->content_type);
	if (has & AMQP_BASIC_HEADERS_FLAG)
		read_headers(bus, &properties->headers);
}

/* ---- consuming ---- */

int bus_consume(struct bus *bus, enum bus_channel channel, const char *queue, const char *consumer_tag, int prefetch,
	bool no_ack, struct error *err)
{
	/* Not global: each consumer of the channel has its own limit, and quorum queues take no other. */
	amqp_basic_qos(bus->connection, channel, 0, (uint16_t)prefetch, 0);
	if (bus_check_reply(bus, channel, amqp_get_rpc_reply(bus->connection), err, "basic.qos"))
		return -1;
	amqp_basic_consume(
		bus->connection, channel, bus_bytes(queue), bus_bytes(consumer_tag), 0, no_ack, 0, amqp_empty_table);
	return bus_check_reply(bus, channel, amqp_get_rpc_reply(bus->connection), err, queue);
}

static int sent(int status)
{
	return status == AMQP_STATUS_OK ? 0 : -1;
}

int bus_cancel(struct bus *bus, const char *consumer_tag)
{
	amqp_basic_cancel_t cancel = { .consumer_tag = bus_bytes(consumer_tag) };

	return sent(amqp_send_method(bus->connection, BUS_MAIN, AMQP_BASIC_CANCEL_METHOD, &cancel));
}

int bus_bind_again(struct bus *bus, const char *queue, const char *exchange, const char *key)
{
	amqp_queue_bind_t bind = { .queue = bus_bytes(queue),
		.exchange = bus_bytes(exchange),
		.routing_key = bus_bytes(key),
		.nowait = 1,
		.arguments = amqp_empty_table };

	return sent(amqp_send_method(bus->connection, BUS_MAIN, AMQP_QUEUE_BIND_METHOD, &bind));
}

int bus_ack(struct bus *bus, uint64_t tag, bool multiple)
{
	return sent(amqp_basic_ack(bus->connection, BUS_MAIN, tag, multiple));
}

int bus_nack(struct bus *bus, uint64_t tag, bool requeue)
{
	return sent(amqp_basic_nack(bus->connection, BUS_MAIN, tag, 0, requeue));
}

int bus_ask_queue(struct bus *bus, const char *queue)
{
	amqp_queue_declare_t declare = { .queue = bus_bytes(queue), .passive = 1, .arguments = amqp_empty_table };
	amqp_channel_open_t open = { .out_of_band = amqp_empty_bytes };

	if (bus->asked)
		return 1;
	/* open-ok comes before the answer on the same channel; nobody needs to wait for it. */
	if (!bus->probe_open && sent(amqp_send_method(bus->connection, BUS_PROBE, AMQP_CHANNEL_OPEN_METHOD, &open)))
		return -1;
	bus->probe_open = true;
	bus->asked = must_strdup(queue);
	return sent(amqp_send_method(bus->connection, BUS_PROBE, AMQP_QUEUE_DECLARE_METHOD, &declare));
}

/* ---- publishing ---- */

static void set_property(amqp_basic_properties_t *properties, amqp_flags_t flag, amqp_bytes_t *member, const char *text)
{
	if (!text)
		return;
	*member = amqp_cstring_bytes(text);
	properties->_flags |= flag;
}

int bus_publish(struct bus *bus, enum bus_channel channel, const struct bus_publication *publication,
	uint64_t *sequence, struct error *err)
{
	amqp_table_entry_t entries[BUS_HEADERS_MAX];
	amqp_basic_properties_t properties = { ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG };
	amqp_bytes_t body = { .len = publication->body_len, .bytes = (void *)(uintptr_t)publication->body };
	int status;

	if (publication->n_headers > BUS_HEADERS_MAX)
		BUG("%zu headers", publication->n_headers);
	properties.delivery_mode = publication->persistent ? PERSISTENT : TRANSIENT;
	properties.content_type = bus_bytes(publication->content_type ? publication->content_type : "application/json");
	set_property(&properties, AMQP_BASIC_TYPE_FLAG, &properties.type, publication->type);
	set_property(&properties, AMQP_BASIC_MESSAGE_ID_FLAG, &properties.message_id, publication->message_id);
	set_property(
		&properties, AMQP_BASIC_CORRELATION_ID_FLAG, &properties.correlation_id, publication->correlation_id);
	set_property(&properties, AMQP_BASIC_REPLY_TO_FLAG, &properties.reply_to, publication->reply_to);
	set_property(&properties, AMQP_BASIC_EXPIRATION_FLAG, &properties.expiration, publication->expiration);
	if (publication->n_headers) {
		properties.headers = bus_table(publication->headers, publication->n_headers, entries);
		properties._flags |= AMQP_BASIC_HEADERS_FLAG;
	}
	crash_point("before_publish");
	status = amqp_basic_publish(bus->connection, channel, bus_bytes(publication->exchange),
		bus_bytes(publication->routing_key), publication->mandatory, 0, &properties, body);
	if (status != AMQP_STATUS_OK)
		return error_down(
			err, STORE_BROKER, "RabbitMQ at %s: publish: %s", bus_host(bus), amqp_error_string2(status));
	crash_point("published");
	if (channel == BUS_MAIN) {
		bus->published++;
		if (sequence)
			*sequence = bus->published;
	}
	return 0;
}

bool bus_has_room(const struct bus *bus, size_t bytes)
{
	int on_the_way;

	return bus->connection && ioctl(amqp_get_sockfd(bus->connection), SIOCOUTQ, &on_the_way) == 0 &&
	       (size_t)on_the_way + bytes <= SEND_ROOM;
}

void bus_cork(struct bus *bus, bool corked)
{
	int on = corked;

	if (bus->connection)
		setsockopt(amqp_get_sockfd(bus->connection), IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

/* ---- declarations ---- */

int bus_declare_exchange(struct bus *bus, const char *name, const char *type, struct error *err)
{
	amqp_exchange_declare(
		bus->connection, BUS_MAIN, bus_bytes(name), bus_bytes(type), 0, 1, 0, 0, amqp_empty_table);
	return bus_check_reply(bus, BUS_MAIN, amqp_get_rpc_reply(bus->connection), err, name);
}

int bus_declare_queue(struct bus *bus, const char *name, bool durable, const struct bus_header *args, size_t n_args,
	struct error *err)
{
	amqp_table_entry_t entries[BUS_HEADERS_MAX];

	if (n_args > BUS_HEADERS_MAX)
		BUG("%zu arguments", n_args);
	amqp_queue_declare(
		bus->connection, BUS_MAIN, bus_bytes(name), 0, durable, 0, 0, bus_table(args, n_args, entries));
	return bus_check_reply(bus, BUS_MAIN, amqp_get_rpc_reply(bus->connection), err, name);
}

int bus_bind(struct bus *bus, const char *queue, const char *exchange, const char *key, struct error *err)
{
	amqp_queue_bind(
		bus->connection, BUS_MAIN, bus_bytes(queue), bus_bytes(exchange), bus_bytes(key), amqp_empty_table);
	return bus_check_reply(bus, BUS_MAIN, amqp_get_rpc_reply(bus->connection), err, queue);
}

int bus_unbind(struct bus *bus, const char *queue, const char *exchange, const char *key, struct error *err)
{
	amqp_queue_unbind(
		bus->connection, BUS_MAIN, bus_bytes(queue), bus_bytes(exchange), bus_bytes(key), amqp_empty_table);
	return bus_check_reply(bus, BUS_MAIN, amqp_get_rpc_reply(bus->connection), err, queue);
}

int bus_delete_queue(struct bus *bus, const char *name, struct error *err)
{
	amqp_queue_delete(bus->connection, BUS_MAIN, bus_bytes(name), 0, 0);
	return bus_check_reply(bus, BUS_MAIN, amqp_get_rpc_reply(bus->connection), err, name);
}

int bus_check_queue(struct bus *bus, const char *name, uint32_t *messages, struct error *err)
{
	const amqp_queue_declare_ok_t *ok;

	ok = amqp_queue_declare(bus->connection, BUS_MAIN, bus_bytes(name), 1, 0, 0, 0, amqp_empty_table);
	if (bus_check_reply(bus, BUS_MAIN, amqp_get_rpc_reply(bus->connection), err, name))
		return -1;
	if (messages)
		*messages = ok->message_count;
	return 0;
}

int bus_check_exchange(struct bus *bus, const char *name, struct error *err)
{
	amqp_exchange_declare(
		bus->connection, BUS_MAIN, bus_bytes(name), bus_bytes("topic"), 1, 0, 0, 0, amqp_empty_table);
	return bus_check_reply(bus, BUS_MAIN, amqp_get_rpc_reply(bus->connection), err, name);
}

static int read_got_message(struct bus *bus, const char *queue, struct error *err)
{
	amqp_message_t message;

	if (bus_check_reply(bus, BUS_MAIN, amqp_read_message(bus->connection, BUS_MAIN, &message, 0), err, queue))
		return -1;
	bus_read_properties(bus, &message.properties);
	text_add(&bus->body, message.body.bytes, message.body.len);
	amqp_destroy_message(&message);
	return 0;
}

int bus_get(struct bus *bus, const char *queue, struct bus_delivery *delivery, struct error *err)
{
	amqp_rpc_reply_t reply;
	const amqp_basic_get_ok_t *ok;

	amqp_maybe_release_buffers(bus->connection);
	reply = amqp_basic_get(bus->connection, BUS_MAIN, bus_bytes(queue), 0);
	if (bus_check_reply(bus, BUS_MAIN, reply, err, queue))
		return -1;
	if (reply.reply.id == AMQP_BASIC_GET_EMPTY_METHOD)
		return 0;
	ok = reply.reply.decoded;
	scratch_reset(&bus->strings);
	text_reset(&bus->body);
	bus->delivery = (struct bus_delivery){
		.channel = BUS_MAIN,
		.tag = ok->delivery_tag,
		.redelivered = ok->redelivered,
		.exchange = bus_copy(bus, ok->exchange),
		.routing_key = bus_copy(bus, ok->routing_key),
		.headers = bus->headers,
	};
	if (read_got_message(bus, queue, err))
		return -1;
	bus->delivery.body = text_str(&bus->body);
	bus->delivery.body_len = bus->body.len;
	*delivery = bus->delivery;
	return 1;
}
