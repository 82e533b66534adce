/* link: tests/fuzz/no_publisher.c tests/fuzz/services/fixture.c */
/*
 * A delivery's properties and headers, as any client may set them: decoded as they come off the wire, or made of every type that AMQP has
 * and then encoded. What the listener makes of them must be a job; the job is refused, retried, answered, turned away, and every message
 * that goes out must be one that the broker takes: no more headers than there is room for, no text too long, all within one frame.
 */
#include <string.h>

#include "bus_internal.h"
#include "clock.h"
#include "dispatch.h"
#include "input.h"
#include "job.h"
#include "log.h"
#include "no_publisher.h"
#include "services/services.h"

#define CAP ((size_t)8 << 20)
#define FRAME_MAX 131072
#define FRAME_ROOM (FRAME_MAX - 8 /* of every frame */ - 12 /* of a content header */)
#define SHORT_MAX 255
#define DEPTH_MAX 100
#define BASIC 60

static const char *const names[] = { "g-attempt", "g-deadline", "g-first-at", "g-last-at", "g-routing-key", "g-client",
	"g-code", "g-error", "g-worker", "x-delivery-count", "x-death", "x-first-death-queue", "CC", "BCC", "cc",
	"traceparent", "x-attempts", "tracestate", "expiration", "message_id", "reply_to", "" };
static const char *const texts[] = { "1", "-1", "99999999999999999999", "2025-12-29T12:00:00.000Z", "0x10", " 1",
	"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "amq.rabbitmq.reply-to", "game.fixture.rpc", "10s",
	"echo", "note", "whisper", "settle", "fixture.echo", "127.0.0.1", "\xff\xfe", "" };
static const char *const bodies[] = { "{}", "{\"text\":\"a\"}", "{\"key\":1}", "{", "",
	"{\"password\":\"correct horse\"}", "[]" };

static amqp_bytes_t draw_bytes(
	struct source *source, const char *const *known, size_t n_known, size_t max, struct scratch *scratch)
{
	size_t choice = source_below(source, (uint32_t)n_known * 2), len;
	char *text;

	if (choice < n_known)
		return amqp_cstring_bytes(known[choice]);
	text = source_text(source, source_below(source, 16) ? 12 : max, scratch, &len);
	return (amqp_bytes_t){ .len = len, .bytes = text };
}

static amqp_table_t draw_table(struct source *source, uint32_t most, int depth, struct scratch *scratch);

static amqp_field_value_t draw_value(struct source *source, int depth, struct scratch *scratch)
{
	static const uint8_t kinds[] = { AMQP_FIELD_KIND_BOOLEAN, AMQP_FIELD_KIND_I8, AMQP_FIELD_KIND_U8,
		AMQP_FIELD_KIND_I16, AMQP_FIELD_KIND_U16, AMQP_FIELD_KIND_I32, AMQP_FIELD_KIND_U32, AMQP_FIELD_KIND_I64,
		AMQP_FIELD_KIND_U64, AMQP_FIELD_KIND_F32, AMQP_FIELD_KIND_F64, AMQP_FIELD_KIND_TIMESTAMP,
		AMQP_FIELD_KIND_DECIMAL, AMQP_FIELD_KIND_VOID, AMQP_FIELD_KIND_UTF8, AMQP_FIELD_KIND_UTF8,
		AMQP_FIELD_KIND_UTF8, AMQP_FIELD_KIND_BYTES, AMQP_FIELD_KIND_TABLE, AMQP_FIELD_KIND_ARRAY };
	amqp_field_value_t value = { .kind = kinds[source_below(source, ARRAY_LEN(kinds))] };

	switch (value.kind) {
	case AMQP_FIELD_KIND_BOOLEAN:
		value.value.boolean = (amqp_boolean_t)source_byte(source);
		break;
	case AMQP_FIELD_KIND_UTF8:
	case AMQP_FIELD_KIND_BYTES:
		value.value.bytes = draw_bytes(source, texts, ARRAY_LEN(texts), 4000, scratch);
		break;
	case AMQP_FIELD_KIND_TABLE:
		value.value.table = draw_table(source, depth < DEPTH_MAX ? 4 : 0, depth + 1, scratch);
		break;
	case AMQP_FIELD_KIND_ARRAY:
		value.value.array.num_entries = depth < DEPTH_MAX ? (int)source_below(source, 4) : 0;
		value.value.array.entries = scratch_array(
			scratch, (size_t)value.value.array.num_entries, sizeof(*value.value.array.entries));
		for (int i = 0; i < value.value.array.num_entries; i++)
			value.value.array.entries[i] = draw_value(source, depth + 1, scratch);
		break;
	case AMQP_FIELD_KIND_DECIMAL:
		value.value.decimal.decimals = (uint8_t)source_byte(source);
		value.value.decimal.value = (uint32_t)source_number(source);
		break;
	default:
		value.value.i64 = source_number(source);
		break;
	}
	return value;
}

static amqp_table_t draw_table(struct source *source, uint32_t most, int depth, struct scratch *scratch)
{
	amqp_table_t table = { .num_entries = (int)source_below(source, most + 1) };

	table.entries = scratch_array(scratch, (size_t)table.num_entries, sizeof(*table.entries));
	for (int i = 0; i < table.num_entries; i++) {
		table.entries[i].key = draw_bytes(source, names, ARRAY_LEN(names), SHORT_MAX, scratch);
		table.entries[i].value = draw_value(source, depth, scratch);
	}
	return table;
}

/* Properties of every type, on the wire; empty where they do not fit a frame, and so can never come. */
static amqp_bytes_t draw_properties(struct source *source, struct scratch *scratch)
{
	amqp_basic_properties_t properties = { ._flags = source_below(source, 1 << 16) & 0xfffc };
	amqp_bytes_t *const strings[] = { &properties.content_type, &properties.content_encoding,
		&properties.correlation_id, &properties.reply_to, &properties.expiration, &properties.message_id,
		&properties.type, &properties.user_id, &properties.app_id, &properties.cluster_id };
	static char frame[FRAME_ROOM];
	amqp_bytes_t wire = { .len = FRAME_ROOM, .bytes = frame };
	int len;

	for (size_t i = 0; i < ARRAY_LEN(strings); i++)
		*strings[i] = draw_bytes(source, texts, ARRAY_LEN(texts), SHORT_MAX, scratch);
	properties.headers = draw_table(source, source_below(source, 8) ? 6 : 60, 0, scratch);
	len = amqp_encode_properties(BASIC, &properties, wire);
	wire.len = len < 0 ? 0 : (size_t)len;
	return wire;
}

static void check_text(const char *what, const char *text)
{
	if (text && strlen(text) > SHORT_MAX)
		BUG("%s has %zu bytes, which no broker takes", what, strlen(text));
}

void look_at_outgoing(const struct outgoing *out)
{
	static char frame[FRAME_ROOM];
	amqp_table_entry_t entries[BUS_HEADERS_MAX];
	amqp_basic_properties_t properties = { ._flags = AMQP_BASIC_HEADERS_FLAG };
	amqp_bytes_t *const strings[] = { &properties.correlation_id, &properties.reply_to, &properties.message_id,
		&properties.type };
	const char *const values[] = { out->correlation_id, out->reply_to, out->message_id, out->type };

	if (out->n_headers > BUS_HEADERS_MAX)
		BUG("%zu headers", out->n_headers);
	check_text("the routing key", out->routing_key);
	check_text("the exchange", out->exchange);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		check_text("a property", values[i]);
		*strings[i] = bus_bytes(values[i]);
	}
	properties._flags |= AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_REPLY_TO_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG |
			     AMQP_BASIC_TYPE_FLAG;
	properties.headers = bus_table(out->headers, out->n_headers, entries);
	if (amqp_encode_properties(BASIC, &properties, (amqp_bytes_t){ .len = sizeof(frame), .bytes = frame }) < 0)
		BUG("%zu headers do not fit a frame", out->n_headers);
}

static void end_job(void *arg, struct job *job)
{
	(void)arg;
	job_free(job);
}

/* The job's way when its handler does not matter: refused before it, retried after it, or turned away. */
static void take_job(struct job *job, unsigned way)
{
	static const struct job_sink sink = { .finished = end_job };
	CLEANUP(scratch_release) struct scratch tree = { 0 };
	struct call call;

	if (way % 4 == 0) {
		job_turn_away(job, "stopping", &sink);
		return;
	}
	scratch_init(&tree, CAP);
	call_init(&call, service_fixture(), &job->message, NULL, NULL);
	if (dispatch_prepare(&call, &tree)) {
		struct error err;

		error_set(&err, way % 4 == 1 ? CODE_CONFLICT : CODE_TIMEOUT, "in the handler");
		call.outcome = retry(&call, &err);
	}
	job_settle(job, &call, &sink);
	call_release(&call);
}

static void take_delivery(struct bus *bus, const amqp_basic_properties_t *properties, struct source *source)
{
	size_t body = source_below(source, ARRAY_LEN(bodies));
	unsigned way = source_byte(source);
	struct job *job;

	scratch_reset(&bus->strings);
	bus->delivery = (struct bus_delivery){ .channel = BUS_MAIN, .headers = bus->headers, .tag = 1 };
	bus->delivery.routing_key = source_byte(source) % 4 ? "fixture.echo" : NULL;
	bus->delivery.body = bodies[body];
	bus->delivery.body_len = strlen(bodies[body]);
	bus_read_properties(bus, properties);
	job = job_new(&bus->delivery, source_byte(source) % 2 ? LANE_DURABLE : LANE_RPC, 1);
	if (job->message.attempt < 1)
		BUG("attempt %d", job->message.attempt);
	if (job_expired(job))
		job_free(job);
	else
		take_job(job, way);
}

/* As service_main() does. */
static struct bus *set_up(void)
{
	static struct bus *bus;
	static struct retry_delay delays[] = { { 1000 }, { 10000 } };
	struct error err;

	if (bus)
		return bus;
	common_settings.max_attempts = 3;
	common_settings.command_processing_timeout_ms = 1000;
	common_settings.retry_delays = (struct list){ .n = ARRAY_LEN(delays), .items = delays };
	dispatch_setup(service_fixture());
	log_setup(LOG_ERROR, "fuzz", "fuzz");
	bus = bus_new("amqp://127.0.0.1", "fuzz", &err);
	return bus;
}

void take_input(const uint8_t *data, size_t size)
{
	CLEANUP(scratch_release) struct scratch scratch;
	struct source source = { data, size };
	struct bus *bus = set_up();
	amqp_pool_t pool;
	amqp_bytes_t wire;
	void *decoded;

	scratch_init(&scratch, CAP);
	if (source_byte(&source) % 2) {
		wire = draw_properties(&source, &scratch);
	} else {
		wire.bytes = source_text(&source, 60000, &scratch, &wire.len);
	}
	init_amqp_pool(&pool, 4096);
	if (wire.len && amqp_decode_properties(BASIC, &pool, wire, &decoded) == AMQP_STATUS_OK)
		take_delivery(bus, decoded, &source);
	empty_amqp_pool(&pool);
}
