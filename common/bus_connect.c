/* Addresses, connections, and what the broker says of a failure. */
#include "bus_internal.h"

#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "version.h"

#define HEARTBEAT_S 10
/*
 * RabbitMQ's own limit, and no less: it sends a message's properties in one frame of the size that their sender was allowed, and with one
 * too large for us the connection would be lost at each delivery.
 */
#define FRAME_MAX 131072
#define CHANNEL_MAX 8
#define STRINGS_MAX (1u << 20)
#define TCP_USER_TIMEOUT_MS 5000
#define DEFAULT_CA_FILE "/etc/ssl/certs/ca-certificates.crt"
#define REPLY_NOT_FOUND 404
#define REPLY_PRECONDITION 406
#define REPLY_ACCESS_REFUSED 403
#define REPLY_NOT_ALLOWED 530

/* ---- addresses ---- */

static int read_host(struct bus_host *host, const char *text, size_t len, struct error *err)
{
	char *url CLEANUP(release_memory) = must_zalloc(len + 1);
	struct amqp_connection_info info;

	memcpy(url, text, len);
	/* Query parameters tell other clients' libraries things that are settings here. */
	url[strcspn(url, "?")] = '\0';
	if (amqp_parse_url(url, &info) != AMQP_STATUS_OK)
		return error_set(err, CODE_INVALID_PAYLOAD, "not an amqp:// or amqps:// URL");
	*host = (struct bus_host){
		.host = must_strdup(info.host),
		.user = must_strdup(info.user),
		.password = must_strdup(info.password),
		.vhost = must_strdup(*info.vhost ? info.vhost : "/"),
		.port = info.port,
		.tls = info.ssl,
	};
	return 0;
}

struct bus *bus_new(const char *urls, const char *connection_name, struct error *err)
{
	struct bus *bus CLEANUP(bus_drop) = must_zalloc(sizeof(*bus));

	bus->watched_fd = -1;
	pthread_mutex_init(&bus->watch, NULL);
	bus->connection_name = must_strdup(connection_name);
	scratch_init(&bus->strings, STRINGS_MAX);
	for (const char *at = urls; *at;) {
		size_t len = strcspn(at, ",");

		bus->hosts = must_realloc(bus->hosts, (bus->n_hosts + 1) * sizeof(*bus->hosts));
		if (read_host(&bus->hosts[bus->n_hosts], at, len, err))
			return NULL;
		bus->n_hosts++;
		at += len + (at[len] == ',');
	}
	if (bus->n_hosts == 0) {
		error_set(err, CODE_INVALID_PAYLOAD, "names no broker");
		return NULL;
	}
	bus->current = bus->n_hosts - 1;
	return TAKE(bus);
}

void bus_disconnect(struct bus *bus)
{
	if (bus->connection)
		amqp_destroy_connection(bus->connection);
	bus->connection = NULL;
	pthread_mutex_lock(&bus->watch);
	if (bus->watched_fd >= 0)
		close(bus->watched_fd);
	bus->watched_fd = -1;
	pthread_mutex_unlock(&bus->watch);
	bus->assembling = BUS_NOTHING;
	bus->probe_open = false;
	free(TAKE(bus->asked));
}

void bus_free(struct bus *bus)
{
	if (!bus)
		return;
	bus_disconnect(bus);
	for (size_t i = 0; i < bus->n_hosts; i++) {
		free(bus->hosts[i].host);
		free(bus->hosts[i].user);
		free(bus->hosts[i].password);
		free(bus->hosts[i].vhost);
	}
	free(bus->hosts);
	free(bus->connection_name);
	scratch_release(&bus->strings);
	text_release(&bus->body);
	free(bus);
}

/* ---- connecting ---- */

static int open_socket(struct bus *bus, const struct bus_host *host, int timeout_ms, struct error *err)
{
	struct timeval limit = { .tv_sec = timeout_ms / 1000, .tv_usec = (timeout_ms % 1000) * 1000 };
	const char *ca_file = getenv("SSL_CERT_FILE");
	amqp_socket_t *socket;
	int user_timeout_ms = TCP_USER_TIMEOUT_MS, status, fd;

	socket = host->tls ? amqp_ssl_socket_new(bus->connection) : amqp_tcp_socket_new(bus->connection);
	if (!socket)
		return error_set(err, CODE_INTERNAL, "cannot make a socket");
	if (host->tls && amqp_ssl_socket_set_cacert(socket, ca_file ? ca_file : DEFAULT_CA_FILE) != AMQP_STATUS_OK)
		return error_set(
			err, CODE_INTERNAL, "cannot read CA certificates from %s", ca_file ? ca_file : DEFAULT_CA_FILE);
	status = amqp_socket_open_noblock(socket, host->host, host->port, &limit);
	if (status != AMQP_STATUS_OK)
		return error_down(
			err, STORE_BROKER, "RabbitMQ at %s:%d: %s", host->host, host->port, amqp_error_string2(status));
	fd = amqp_get_sockfd(bus->connection);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof(user_timeout_ms));
	pthread_mutex_lock(&bus->watch);
	bus->watched_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_unlock(&bus->watch);
	amqp_set_handshake_timeout(bus->connection, &limit);
	amqp_set_rpc_timeout(bus->connection, &limit);
	return 0;
}

static int log_in(struct bus *bus, const struct bus_host *host, struct error *err)
{
	static const char *const can_do[] = { "publisher_confirms", "consumer_cancel_notify", "connection.blocked",
		"basic.nack", "authentication_failure_close" };
	const struct bus_header said[] = { { "connection_name", bus->connection_name, 0 }, { "product", "Garrison", 0 },
		{ "version", GARRISON_VERSION, 0 } };
	amqp_table_entry_t capabilities[ARRAY_LEN(can_do)], properties[ARRAY_LEN(said) + 1];
	amqp_table_t table = { .num_entries = ARRAY_LEN(properties), .entries = properties };
	amqp_rpc_reply_t reply;

	for (size_t i = 0; i < ARRAY_LEN(can_do); i++)
		capabilities[i] = (amqp_table_entry_t){
			.key = amqp_cstring_bytes(can_do[i]),
			.value = { .kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1 },
		};
	bus_table(said, ARRAY_LEN(said), properties);
	properties[ARRAY_LEN(said)] = (amqp_table_entry_t){
		.key = amqp_cstring_bytes("capabilities"),
		.value = { .kind = AMQP_FIELD_KIND_TABLE,
			.value.table = { .num_entries = ARRAY_LEN(capabilities), .entries = capabilities } },
	};
	reply = amqp_login_with_properties(bus->connection, host->vhost, CHANNEL_MAX, FRAME_MAX, HEARTBEAT_S, &table,
		AMQP_SASL_METHOD_PLAIN, host->user, host->password);
	return bus_check_reply(bus, 0, reply, err, "login");
}

static int open_channels(struct bus *bus, bool confirms, struct error *err)
{
	for (int channel = BUS_MAIN; channel <= BUS_PLAIN; channel++) {
		/* A consumer needs one channel only: each costs a page of memory. */
		if (channel == BUS_PLAIN && !confirms)
			break;
		amqp_channel_open(bus->connection, (amqp_channel_t)channel);
		if (bus_check_reply(bus, 0, amqp_get_rpc_reply(bus->connection), err, "channel.open"))
			return -1;
	}
	if (!confirms)
		return 0;
	amqp_confirm_select(bus->connection, BUS_MAIN);
	return bus_check_reply(bus, 0, amqp_get_rpc_reply(bus->connection), err, "confirm.select");
}

static int connect_host(struct bus *bus, const struct bus_host *host, bool confirms, int timeout_ms, struct error *err)
{
	bus->connection = amqp_new_connection();
	if (!bus->connection)
		BUG("out of memory");
	bus->published = 0;
	bus->kept_alive_ms = clock_ms();
	if (open_socket(bus, host, timeout_ms, err) || log_in(bus, host, err) || open_channels(bus, confirms, err)) {
		bus_disconnect(bus);
		return -1;
	}
	return 0;
}

int bus_connect(struct bus *bus, bool confirms, int timeout_ms, struct error *err)
{
	bus_disconnect(bus);
	for (size_t tried = 0; tried < bus->n_hosts; tried++) {
		bus->current = (bus->current + 1) % bus->n_hosts;
		if (connect_host(bus, &bus->hosts[bus->current], confirms, timeout_ms, err) == 0)
			return 0;
	}
	return -1;
}

void bus_close(struct bus *bus, int timeout_ms)
{
	struct timeval limit = { .tv_sec = timeout_ms / 1000, .tv_usec = (timeout_ms % 1000) * 1000 };

	if (!bus->connection)
		return;
	if (timeout_ms <= 0) {
		bus_disconnect(bus);
		return;
	}
	amqp_set_rpc_timeout(bus->connection, &limit);
	/* The channel's close-ok is the fence: what was sent on it before has been taken. */
	amqp_channel_close(bus->connection, BUS_MAIN, AMQP_REPLY_SUCCESS);
	amqp_connection_close(bus->connection, AMQP_REPLY_SUCCESS);
	bus_disconnect(bus);
}

bool bus_is_open(const struct bus *bus)
{
	return bus->connection != NULL;
}

const char *bus_host(const struct bus *bus)
{
	return bus->hosts[bus->current].host;
}

int bus_fd(const struct bus *bus)
{
	return bus->connection ? amqp_get_sockfd(bus->connection) : -1;
}

void bus_interrupt(struct bus *bus)
{
	pthread_mutex_lock(&bus->watch);
	if (bus->watched_fd >= 0)
		shutdown(bus->watched_fd, SHUT_RDWR);
	pthread_mutex_unlock(&bus->watch);
}

int bus_keep_alive(struct bus *bus)
{
	amqp_frame_t heartbeat = { .frame_type = AMQP_FRAME_HEARTBEAT, .channel = 0 };

	if (!bus->connection)
		return -1;
	if (clock_ms() - bus->kept_alive_ms < HEARTBEAT_S * 1000 / 2)
		return 0;
	bus->kept_alive_ms = clock_ms();
	return amqp_send_frame(bus->connection, &heartbeat) == AMQP_STATUS_OK ? 0 : -1;
}

/* ---- what the broker says of a failure ---- */

static int close_code(enum code *code, int reply_code)
{
	switch (reply_code) {
	case REPLY_NOT_FOUND:
		*code = CODE_NOT_FOUND;
		return 0;
	case REPLY_PRECONDITION:
		*code = CODE_CONFLICT;
		return 0;
	case REPLY_ACCESS_REFUSED:
	case REPLY_NOT_ALLOWED:
		*code = CODE_FORBIDDEN;
		return 0;
	default:
		return -1;
	}
}

static int server_exception(struct bus *bus, int channel, amqp_method_t method, struct error *err, const char *what)
{
	enum code code = CODE_UNAVAILABLE;

	if (method.id == AMQP_CHANNEL_CLOSE_METHOD) {
		const amqp_channel_close_t *closed = method.decoded;
		amqp_channel_close_ok_t ok = { 0 };

		close_code(&code, closed->reply_code);
		error_set(err, code, "%s: %.*s", what, (int)closed->reply_text.len, (char *)closed->reply_text.bytes);
		/* An unanswered close would kill the connection when the channel is opened again. */
		amqp_send_method(bus->connection, (amqp_channel_t)channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
		if (channel)
			amqp_channel_open(bus->connection, (amqp_channel_t)channel);
		return -1;
	}
	if (method.id == AMQP_CONNECTION_CLOSE_METHOD) {
		const amqp_connection_close_t *closed = method.decoded;

		if (close_code(&code, closed->reply_code) == 0)
			return error_set(err, code, "%s: %.*s", what, (int)closed->reply_text.len,
				(char *)closed->reply_text.bytes);
		return error_down(err, STORE_BROKER, "%s: %.*s", what, (int)closed->reply_text.len,
			(char *)closed->reply_text.bytes);
	}
	return error_down(err, STORE_BROKER, "%s: method 0x%x", what, method.id);
}

int bus_check_reply(struct bus *bus, int channel, amqp_rpc_reply_t reply, struct error *err, const char *what)
{
	switch (reply.reply_type) {
	case AMQP_RESPONSE_NORMAL:
		return 0;
	case AMQP_RESPONSE_SERVER_EXCEPTION:
		return server_exception(bus, channel, reply.reply, err, what);
	case AMQP_RESPONSE_LIBRARY_EXCEPTION:
		return error_down(err, STORE_BROKER, "RabbitMQ at %s: %s: %s", bus_host(bus), what,
			amqp_error_string2(reply.library_error));
	default:
		return error_down(err, STORE_BROKER, "RabbitMQ at %s: %s: connection closed", bus_host(bus), what);
	}
}
