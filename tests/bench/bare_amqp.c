/*
 * What librabbitmq itself can do, as the ceiling that the listener is held against:
 *	bare_amqp publish URL ROUTING_KEY TYPE N BODY		onto game.commands, persistent, confirms in a window of 256
 *	bare_amqp consume URL QUEUE N PREFETCH ACK_EVERY	takes N messages and only acks
 *	bare_amqp request URL ROUTING_KEY TYPE N WINDOW		on game.rpc, WINDOW in flight; bodies from standard input, a line each
 * Prints seconds; of requests also how many were answered ok.
 *	bare_amqp timed URL ROUTING_KEY TYPE			on game.rpc, the bodies of standard input, a line each, one at a time
 * Prints for each how many milliseconds passed until it was answered, ok.
 *	bare_amqp paced URL ROUTING_KEY TYPE RATE EVENT_KEY	the bodies of standard input onto game.commands, RATE a second, while it
 *								listens for the event that names the same session_id
 * Prints for each body how many milliseconds after it was due its event came; -1 when none came within 5 s of the last one.
 *	bare_amqp respond URL QUEUE ROUTING_KEY			answers what comes on game.rpc with that key at once, and does nothing,
 *								until its standard input ends
 * Prints ready when it consumes.
 */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WINDOW 256
#define RESPOND_PREFETCH 768
#define QUIET_S 5

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bare_amqp: %s failed\n", what);
	exit(1);
}

static amqp_connection_state_t open_connection(const char *text)
{
	amqp_connection_state_t connection = amqp_new_connection();
	amqp_socket_t *socket = amqp_tcp_socket_new(connection);
	struct amqp_connection_info info;
	char *url = strdup(text); /* it is cut up */

	must(amqp_parse_url(url, &info) == AMQP_STATUS_OK, "URL");
	must(amqp_socket_open(socket, info.host, info.port) == AMQP_STATUS_OK, "connect");
	must(amqp_login(connection, *info.vhost ? info.vhost : "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, info.user,
		     info.password)
				.reply_type == AMQP_RESPONSE_NORMAL,
		"login");
	free(url);
	amqp_channel_open(connection, 1);
	must(amqp_get_rpc_reply(connection).reply_type == AMQP_RESPONSE_NORMAL, "channel");
	return connection;
}

static void await_confirm(amqp_connection_state_t connection, long *confirmed)
{
	amqp_frame_t frame;

	amqp_maybe_release_buffers(connection);
	must(amqp_simple_wait_frame(connection, &frame) == AMQP_STATUS_OK, "read");
	if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
		return;
	const amqp_basic_ack_t *ack = frame.payload.method.decoded;
	*confirmed = ack->multiple ? (long)ack->delivery_tag : *confirmed + 1;
}

static int publish(int argc, char **argv)
{
	must(argc == 7, "arguments");
	amqp_connection_state_t connection = open_connection(argv[2]);
	amqp_basic_properties_t properties = {
		._flags = AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG,
		.type = amqp_cstring_bytes(argv[4]),
		.content_type = amqp_cstring_bytes("application/json"),
		.delivery_mode = 2,
	};
	long n = strtol(argv[5], NULL, 10), confirmed = 0;
	double start = now_s();

	amqp_confirm_select(connection, 1);
	for (long sent = 1; sent <= n; sent++) {
		must(amqp_basic_publish(connection, 1, amqp_cstring_bytes("game.commands"), amqp_cstring_bytes(argv[3]),
			     1, 0, &properties, amqp_cstring_bytes(argv[6])) == AMQP_STATUS_OK,
			"publish");
		while (sent - confirmed >= WINDOW)
			await_confirm(connection, &confirmed);
	}
	while (confirmed < n)
		await_confirm(connection, &confirmed);
	printf("%.6f\n", now_s() - start);
	amqp_destroy_connection(connection);
	return 0;
}

static int consume(int argc, char **argv)
{
	must(argc == 7, "arguments");
	amqp_connection_state_t connection = open_connection(argv[2]);
	long n = strtol(argv[4], NULL, 10), every = strtol(argv[6], NULL, 10);
	amqp_envelope_t envelope;
	double start = now_s();

	amqp_basic_qos(connection, 1, 0, (uint16_t)strtol(argv[5], NULL, 10), 0);
	amqp_basic_consume(connection, 1, amqp_cstring_bytes(argv[3]), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
	must(amqp_get_rpc_reply(connection).reply_type == AMQP_RESPONSE_NORMAL, "consume");
	for (long taken = 1; taken <= n; taken++) {
		amqp_maybe_release_buffers(connection);
		must(amqp_consume_message(connection, &envelope, NULL, 0).reply_type == AMQP_RESPONSE_NORMAL, "read");
		if (taken % every == 0 || taken == n)
			must(amqp_basic_ack(connection, 1, envelope.delivery_tag, every > 1) == AMQP_STATUS_OK, "ack");
		amqp_destroy_envelope(&envelope);
	}
	amqp_channel_close(connection, 1, AMQP_REPLY_SUCCESS);
	printf("%.6f\n", now_s() - start);
	amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
	amqp_destroy_connection(connection);
	return 0;
}

/* The lines of standard input, without their ends. */
static char **read_bodies(long *n)
{
	char **bodies = NULL, *line = NULL;
	size_t size = 0;
	ssize_t len;

	for (*n = 0; (len = getline(&line, &size, stdin)) > 0; ++*n) {
		bodies = realloc(bodies, (size_t)(*n + 1) * sizeof(char *));
		line[strcspn(line, "\n")] = '\0';
		bodies[*n] = strdup(line);
	}
	free(line);
	must(*n > 0, "standard input");
	return bodies;
}

static void free_bodies(char **bodies, long n)
{
	for (long i = 0; i < n; i++)
		free(bodies[i]);
	free(bodies);
}

/* What is published in between leaves in as few segments as it fits in. */
static void cork(amqp_connection_state_t connection, int on)
{
	setsockopt(amqp_get_sockfd(connection), IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

/* One reply: was it ok? */
static int take_reply(amqp_connection_state_t connection)
{
	static const char good[] = "{\"ok\":true";
	amqp_envelope_t envelope;
	int ok;

	amqp_maybe_release_buffers(connection);
	must(amqp_consume_message(connection, &envelope, NULL, 0).reply_type == AMQP_RESPONSE_NORMAL, "read");
	ok = envelope.message.body.len >= sizeof(good) - 1 &&
	     memcmp(envelope.message.body.bytes, good, sizeof(good) - 1) == 0;
	amqp_destroy_envelope(&envelope);
	return ok;
}

/* More has come than what was taken, or a part of it. */
static int more_is_there(amqp_connection_state_t connection)
{
	return amqp_frames_enqueued(connection) || amqp_data_in_buffer(connection);
}

static amqp_basic_properties_t begin_requests(amqp_connection_state_t connection, const char *type)
{
	amqp_basic_properties_t properties = {
		._flags = AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_REPLY_TO_FLAG,
		.type = amqp_cstring_bytes(type),
		.reply_to = amqp_cstring_bytes("amq.rabbitmq.reply-to"),
	};

	amqp_basic_consume(connection, 1, properties.reply_to, amqp_empty_bytes, 0, 1, 0, amqp_empty_table);
	must(amqp_get_rpc_reply(connection).reply_type == AMQP_RESPONSE_NORMAL, "consume");
	return properties;
}

static void send_request(amqp_connection_state_t connection, const char *key, const amqp_basic_properties_t *properties,
	const char *body)
{
	must(amqp_basic_publish(connection, 1, amqp_cstring_bytes("game.rpc"), amqp_cstring_bytes(key), 0, 0,
		     properties, amqp_cstring_bytes(body)) == AMQP_STATUS_OK,
		"publish");
}

static int request(int argc, char **argv)
{
	must(argc == 7, "arguments");
	amqp_connection_state_t connection = open_connection(argv[2]);
	long n = strtol(argv[5], NULL, 10), window = strtol(argv[6], NULL, 10), n_bodies, sent = 0, taken = 0, ok = 0;
	char **bodies = read_bodies(&n_bodies);
	double start = now_s();
	amqp_basic_properties_t properties = begin_requests(connection, argv[4]);

	while (taken < n) {
		cork(connection, 1);
		for (; sent < n && sent - taken < window; sent++)
			send_request(connection, argv[3], &properties, bodies[sent % n_bodies]);
		cork(connection, 0);
		do {
			ok += take_reply(connection);
			taken++;
		} while (taken < n && more_is_there(connection));
	}
	printf("%.6f %ld\n", now_s() - start, ok);
	amqp_destroy_connection(connection);
	free_bodies(bodies, n_bodies);
	return 0;
}

static int timed(int argc, char **argv)
{
	must(argc == 5, "arguments");
	amqp_connection_state_t connection = open_connection(argv[2]);
	amqp_basic_properties_t properties = begin_requests(connection, argv[4]);
	long n_bodies;
	char **bodies = read_bodies(&n_bodies);

	for (long i = 0; i < n_bodies; i++) {
		double start = now_s();

		send_request(connection, argv[3], &properties, bodies[i]);
		must(take_reply(connection), "a request");
		printf("%.6f\n", (now_s() - start) * 1000);
	}
	amqp_destroy_connection(connection);
	free_bodies(bodies, n_bodies);
	return 0;
}

/* ---- respond ---- */

static void consume_requests(amqp_connection_state_t connection, const char *queue, const char *key)
{
	amqp_bytes_t name = amqp_cstring_bytes(queue);

	must(amqp_queue_declare(connection, 1, name, 0, 0, 1, 1, amqp_empty_table) != NULL, "queue");
	amqp_queue_bind(connection, 1, name, amqp_cstring_bytes("game.rpc"), amqp_cstring_bytes(key), amqp_empty_table);
	must(amqp_get_rpc_reply(connection).reply_type == AMQP_RESPONSE_NORMAL, "bind");
	amqp_basic_qos(connection, 1, 0, RESPOND_PREFETCH, 0);
	amqp_basic_consume(connection, 1, name, amqp_empty_bytes, 0, 0, 1, amqp_empty_table);
	must(amqp_get_rpc_reply(connection).reply_type == AMQP_RESPONSE_NORMAL, "consume");
}

/* False when standard input has ended before a request came. */
static int await_request(amqp_connection_state_t connection)
{
	struct pollfd readable[] = {
		{ .fd = amqp_get_sockfd(connection), .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};

	if (more_is_there(connection))
		return 1;
	must(poll(readable, 2, -1) > 0, "poll");
	return readable[1].revents == 0;
}

/* Takes one request and answers it; returns its delivery tag. */
static uint64_t answer(amqp_connection_state_t connection)
{
	amqp_basic_properties_t properties = { 0 };
	amqp_envelope_t envelope;

	amqp_maybe_release_buffers(connection);
	must(amqp_consume_message(connection, &envelope, NULL, 0).reply_type == AMQP_RESPONSE_NORMAL, "read");
	must(envelope.message.properties._flags & AMQP_BASIC_REPLY_TO_FLAG, "reply_to");
	properties._flags = envelope.message.properties._flags & AMQP_BASIC_CORRELATION_ID_FLAG;
	properties.correlation_id = envelope.message.properties.correlation_id;
	must(amqp_basic_publish(connection, 1, amqp_empty_bytes, envelope.message.properties.reply_to, 0, 0,
		     &properties, amqp_cstring_bytes("{\"ok\":true,\"result\":{}}")) == AMQP_STATUS_OK,
		"publish");
	amqp_destroy_envelope(&envelope);
	return envelope.delivery_tag;
}

static int respond(int argc, char **argv)
{
	must(argc == 5, "arguments");
	amqp_connection_state_t connection = open_connection(argv[2]);
	uint64_t last;

	consume_requests(connection, argv[3], argv[4]);
	puts("ready");
	fflush(stdout);
	while (await_request(connection)) {
		cork(connection, 1);
		do {
			last = answer(connection);
		} while (more_is_there(connection));
		must(amqp_basic_ack(connection, 1, last, 1) == AMQP_STATUS_OK, "ack");
		cork(connection, 0);
	}
	amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
	amqp_destroy_connection(connection);
	return 0;
}

/* ---- paced ---- */

/* The session_id in a JSON text, as a string of its own; NULL without one. */
static char *session_of(const char *json)
{
	static const char name[] = "\"session_id\"";
	const char *at = strstr(json, name), *begin = at ? strchr(at + sizeof(name) - 1, '"') : NULL;
	const char *end = begin ? strchr(begin + 1, '"') : NULL;

	return end ? strndup(begin + 1, (size_t)(end - begin - 1)) : NULL;
}

static amqp_connection_state_t open_events(const char *url, const char *key)
{
	amqp_connection_state_t connection = open_connection(url);
	amqp_queue_declare_ok_t *queue = amqp_queue_declare(
		connection, 1, amqp_empty_bytes, 0, 0, 1, 1, amqp_empty_table);

	must(queue != NULL, "queue");
	amqp_queue_bind(connection, 1, queue->queue, amqp_cstring_bytes("game.events"), amqp_cstring_bytes(key),
		amqp_empty_table);
	must(amqp_get_rpc_reply(connection).reply_type == AMQP_RESPONSE_NORMAL, "bind");
	amqp_basic_consume(connection, 1, queue->queue, amqp_empty_bytes, 0, 1, 0, amqp_empty_table);
	must(amqp_get_rpc_reply(connection).reply_type == AMQP_RESPONSE_NORMAL, "consume");
	return connection;
}

/* Takes an event that has come; its body, if it names a known session, has its time. */
static void take_event(amqp_connection_state_t events, double *came_s)
{
	amqp_envelope_t envelope;
	char *text, *session;
	ENTRY *known;

	amqp_maybe_release_buffers(events);
	must(amqp_consume_message(events, &envelope, NULL, 0).reply_type == AMQP_RESPONSE_NORMAL, "read");
	text = strndup(envelope.message.body.bytes, envelope.message.body.len);
	session = session_of(text);
	known = session ? hsearch((ENTRY){ .key = session }, FIND) : NULL;
	if (known)
		came_s[(long)known->data] = now_s();
	free(session);
	free(text);
	amqp_destroy_envelope(&envelope);
}

/* Takes events until then; false when none came. The library's own time limit is of whole milliseconds, and spins for less. */
static int take_events(amqp_connection_state_t events, double until_s, double *came_s)
{
	struct pollfd readable = { .fd = amqp_get_sockfd(events), .events = POLLIN };
	int taken = 0;

	for (;;) {
		double left_s = until_s - now_s();
		struct timespec limit = { (time_t)left_s, (long)((left_s - (double)(time_t)left_s) * 1e9) };

		if (left_s <= 0)
			return taken;
		if (!more_is_there(events) && ppoll(&readable, 1, &limit, NULL) == 0)
			return taken;
		take_event(events, came_s);
		taken = 1;
	}
}

static int paced(int argc, char **argv)
{
	must(argc == 7, "arguments");
	amqp_connection_state_t events = open_events(argv[2], argv[6]), connection = open_connection(argv[2]);
	amqp_basic_properties_t properties = {
		._flags = AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG,
		.type = amqp_cstring_bytes(argv[4]),
		.delivery_mode = 2,
	};
	double rate = strtod(argv[5], NULL), begun_s, *came_s;
	long n;
	char **bodies = read_bodies(&n);

	must(hcreate((size_t)n * 2) != 0, "memory");
	came_s = calloc((size_t)n, sizeof(*came_s));
	for (long i = 0; i < n; i++) {
		char *session = session_of(bodies[i]);

		must(session && hsearch((ENTRY){ session, (void *)i }, ENTER), "a session_id");
	}
	begun_s = now_s();
	for (long i = 0; i < n; i++) {
		/* One that is late is sent at once, and has waited since it was due. */
		take_events(events, begun_s + (double)i / rate, came_s);
		must(amqp_basic_publish(connection, 1, amqp_cstring_bytes("game.commands"), amqp_cstring_bytes(argv[3]),
			     0, 0, &properties, amqp_cstring_bytes(bodies[i])) == AMQP_STATUS_OK,
			"publish");
	}
	while (take_events(events, now_s() + QUIET_S, came_s))
		;
	for (long i = 0; i < n; i++)
		printf("%.3f\n", came_s[i] > 0 ? (came_s[i] - begun_s - (double)i / rate) * 1000 : -1);
	amqp_destroy_connection(connection);
	amqp_destroy_connection(events);
	free(came_s);
	free_bodies(bodies, n);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "paced") == 0)
		return paced(argc, argv);
	if (argc > 1 && strcmp(argv[1], "publish") == 0)
		return publish(argc, argv);
	if (argc > 1 && strcmp(argv[1], "request") == 0)
		return request(argc, argv);
	if (argc > 1 && strcmp(argv[1], "respond") == 0)
		return respond(argc, argv);
	if (argc > 1 && strcmp(argv[1], "timed") == 0)
		return timed(argc, argv);
	must(argc > 1 && strcmp(argv[1], "consume") == 0, "usage");
	return consume(argc, argv);
}
