/*
 * Stands before libpq, librabbitmq and the sockets to Redis (of hiredis the workers use the parser alone), and has calls fail as
 * they do in life: the connection is cut, and then the call is made and finds that out (before), or is made first so that the
 * server has what it was sent (after), or says at once that it failed (error).
 */
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "plan.h"

/* What is wrapped, by the libraries' own names; their headers would only say the same again with types of their own. */
struct pg_conn;
struct pg_result;
struct connection_state;

/* Looked for once more by each thread that comes first: the same is found. */
static void find_function(const char *name, void *pointer)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (!found)
		abort();
	memcpy(pointer, &found, sizeof(found));
}

static int socket_of_pg(const struct pg_conn *conn)
{
	static int (*socket_of)(const struct pg_conn *);

	if (!socket_of)
		find_function("PQsocket", &socket_of);
	return socket_of(conn);
}

static int socket_of_amqp(struct connection_state *state)
{
	static int (*socket_of)(struct connection_state *);

	if (!socket_of)
		find_function("amqp_get_sockfd", &socket_of);
	return socket_of(state);
}

static void cut(int fd)
{
	if (fd >= 0)
		shutdown(fd, SHUT_RDWR);
}

/* A wrapper: its result's type, name, parameters and arguments; the socket to cut, and what it says when it says at once that it failed. */
#define WRAP(type, name, parameters, arguments, fd, failed)                                                            \
	type name parameters;                                                                                          \
	type name parameters                                                                                           \
	{                                                                                                              \
		static struct counted counted = { .label = #name };                                                    \
		static type(*real) parameters;                                                                         \
		enum fault fault = plan_next(&counted);                                                                \
		type got;                                                                                              \
                                                                                                                       \
		if (!real)                                                                                             \
			find_function(#name, &real);                                                                   \
		if (fault == FAULT_BEFORE || fault == FAULT_ERROR)                                                     \
			cut(fd);                                                                                       \
		if (fault == FAULT_ERROR)                                                                              \
			return failed;                                                                                 \
		got = real arguments;                                                                                  \
		if (fault == FAULT_AFTER)                                                                              \
			cut(fd);                                                                                       \
		return got;                                                                                            \
	}

/* ---- libpq: 0 is failure, -1 of PQflush; PGRES_POLLING_FAILED is 0 ---- */

#define PG_FD socket_of_pg(conn)

WRAP(int, PQconnectPoll, (struct pg_conn * conn), (conn), PG_FD, 0)
WRAP(int, PQflush, (struct pg_conn * conn), (conn), PG_FD, -1)
WRAP(int, PQconsumeInput, (struct pg_conn * conn), (conn), PG_FD, 0)
WRAP(int, PQpipelineSync, (struct pg_conn * conn), (conn), PG_FD, 0)
WRAP(int, PQsendPrepare, (struct pg_conn * conn, const char *name, const char *sql, int n, const unsigned *types),
	(conn, name, sql, n, types), PG_FD, 0)
WRAP(int, PQsendQueryPrepared,
	(struct pg_conn * conn, const char *name, int n, const char *const *values, const int *lens, const int *formats,
		int format),
	(conn, name, n, values, lens, formats, format), PG_FD, 0)
WRAP(int, PQsendQueryParams,
	(struct pg_conn * conn, const char *sql, int n, const unsigned *types, const char *const *values,
		const int *lens, const int *formats, int format),
	(conn, sql, n, types, values, lens, formats, format), PG_FD, 0)

/* ---- librabbitmq: AMQP_STATUS_SOCKET_ERROR is -9; of what gives an answer, NULL is failure ---- */

#define AMQP_FD socket_of_amqp(state)
#define SOCKET_ERROR (-9)

struct amqp_bytes {
	size_t len;
	void *bytes;
};
struct amqp_table {
	int n;
	void *entries;
};

WRAP(int, amqp_socket_open_noblock, (void *socket, const char *host, int port, const struct timeval *timeout),
	(socket, host, port, timeout), -1, SOCKET_ERROR)
WRAP(int, amqp_simple_wait_frame_noblock, (struct connection_state * state, void *frame, const struct timeval *timeout),
	(state, frame, timeout), AMQP_FD, SOCKET_ERROR)
WRAP(int, amqp_send_method, (struct connection_state * state, uint16_t channel, uint32_t id, void *method),
	(state, channel, id, method), AMQP_FD, SOCKET_ERROR)
WRAP(int, amqp_basic_ack, (struct connection_state * state, uint16_t channel, uint64_t tag, int multiple),
	(state, channel, tag, multiple), AMQP_FD, SOCKET_ERROR)
WRAP(int, amqp_basic_nack, (struct connection_state * state, uint16_t channel, uint64_t tag, int multiple, int requeue),
	(state, channel, tag, multiple, requeue), AMQP_FD, SOCKET_ERROR)
WRAP(int, amqp_basic_publish,
	(struct connection_state * state, uint16_t channel, struct amqp_bytes exchange, struct amqp_bytes key,
		int mandatory, int immediate, const void *properties, struct amqp_bytes body),
	(state, channel, exchange, key, mandatory, immediate, properties, body), AMQP_FD, SOCKET_ERROR)
WRAP(void *, amqp_channel_open, (struct connection_state * state, uint16_t channel), (state, channel), AMQP_FD, NULL)
WRAP(void *, amqp_confirm_select, (struct connection_state * state, uint16_t channel), (state, channel), AMQP_FD, NULL)
WRAP(void *, amqp_basic_qos,
	(struct connection_state * state, uint16_t channel, uint32_t size, uint16_t count, int global),
	(state, channel, size, count, global), AMQP_FD, NULL)
WRAP(void *, amqp_basic_consume,
	(struct connection_state * state, uint16_t channel, struct amqp_bytes queue, struct amqp_bytes tag,
		int no_local, int no_ack, int exclusive, struct amqp_table arguments_table),
	(state, channel, queue, tag, no_local, no_ack, exclusive, arguments_table), AMQP_FD, NULL)
WRAP(void *, amqp_queue_declare,
	(struct connection_state * state, uint16_t channel, struct amqp_bytes queue, int passive, int durable,
		int exclusive, int auto_delete, struct amqp_table arguments_table),
	(state, channel, queue, passive, durable, exclusive, auto_delete, arguments_table), AMQP_FD, NULL)

/* ---- hiredis' parser, and the sockets whose other end is at FAIL_REDIS_PORT ---- */

static _Thread_local int redis_fd = -1; /* the one used last, which is the one whose bytes are parsed next */

static bool is_redis(const struct sockaddr *address)
{
	const char *port = getenv("FAIL_REDIS_PORT");
	struct sockaddr_in in;

	if (!port || address->sa_family != AF_INET)
		return false;
	memcpy(&in, address, sizeof(in));
	return ntohs(in.sin_port) == strtol(port, NULL, 10);
}

static bool to_redis(int fd)
{
	struct sockaddr_storage peer = { 0 };
	socklen_t size = sizeof(peer);
	int kept = errno;
	bool is = getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && is_redis((struct sockaddr *)&peer);

	errno = kept;
	if (is)
		redis_fd = fd;
	return is;
}

static int failed_as(int code)
{
	errno = code;
	return -1;
}

/* The same as WRAP, for functions of the C library: other sockets' calls pass, and are not counted. */
#define WRAP_SOCKET(type, name, told, parameters, arguments, ours, code)                                               \
	type name parameters;                                                                                          \
	type name parameters                                                                                           \
	{                                                                                                              \
		static struct counted counted = { .label = told };                                                     \
		static type(*real) parameters;                                                                         \
		enum fault fault = FAULT_NONE;                                                                         \
		type got;                                                                                              \
                                                                                                                       \
		if (!real)                                                                                             \
			find_function(#name, &real);                                                                   \
		if (ours)                                                                                              \
			fault = plan_next(&counted);                                                                   \
		if (fault == FAULT_BEFORE || fault == FAULT_ERROR)                                                     \
			cut(fd);                                                                                       \
		if (fault == FAULT_ERROR)                                                                              \
			return failed_as(code);                                                                        \
		got = real arguments;                                                                                  \
		if (fault == FAULT_AFTER)                                                                              \
			cut(fd);                                                                                       \
		return got;                                                                                            \
	}

WRAP_SOCKET(int, connect, "redis_connect", (int fd, const struct sockaddr *address, socklen_t size),
	(fd, address, size), is_redis(address), ECONNREFUSED)
WRAP_SOCKET(ssize_t, send, "redis_send", (int fd, const void *bytes, size_t n, int flags), (fd, bytes, n, flags),
	to_redis(fd), ECONNRESET)
WRAP_SOCKET(ssize_t, recv, "redis_recv", (int fd, void *bytes, size_t n, int flags), (fd, bytes, n, flags),
	to_redis(fd), ECONNRESET)

WRAP(int, redisReaderFeed, (void *reader, const char *bytes, size_t n), (reader, bytes, n), redis_fd, -1)
WRAP(int, redisReaderGetReply, (void *reader, void **reply), (reader, reply), redis_fd, -1)
