#include "http_server.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "access_log.h"
#include "answer.h"
#include "clock.h"
#include "flights.h"
#include "forward.h"
#include "gateway_metrics.h"
#include "gateway_settings.h"
#include "listen_address.h"
#include "log.h"
#include "openapi.h"
#include "pages.h"
#include "request.h"

#define SERVER_THREADS 2
/* Room for headers that are refused in words, too; libmicrohttpd's own refusals are pages of HTML. */
#define ROOM_PER_HEADER_BYTE 2
#define SWEEP_EVERY_MS 100
#define DRAIN_POLL_MS 2
#define LAST_ANSWERS_MS 500
#define LISTEN_BACKLOG 1024
#define OTHER_DESCRIPTORS 128
#define SWEEPER_STACK ((size_t)128 << 10)

static struct {
	struct MHD_Daemon *daemon;
	pthread_t sweeper;
	atomic_bool stopping;
	_Atomic int64_t begun; /* exchanges whose headers are complete and that are not yet completed */
} server;

/* ---- libmicrohttpd's callbacks, on its threads ---- */

static enum MHD_Result admit(void *arg, const struct sockaddr *peer, socklen_t len)
{
	struct address address = address_of_peer(peer);

	(void)arg;
	(void)len;
	if (network_has(gateway_settings.networks, gateway_settings.n_networks, &address) ||
		connections_of(&address) < (size_t)gateway_settings.max_connections_per_address)
		return MHD_YES;
	metric_add(&gateway_metrics[CONNECTIONS_REFUSED], 1);
	return MHD_NO;
}

static void connection_changed(
	void *arg, struct MHD_Connection *connection, void **context, enum MHD_ConnectionNotificationCode what)
{
	const union MHD_ConnectionInfo *peer, *fd;
	struct address address;

	(void)arg;
	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		connection_close(TAKE(*context));
		return;
	}
	peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	address = address_of_peer(peer->client_addr);
	*context = connection_open(fd->connect_fd, &address, clock_ms() + gateway_settings.header_timeout_ms);
}

static struct connection *connection_behind(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* The first line has come: the only place where the target is shown as it was sent. */
static void *target_came(void *arg, const char *target, struct MHD_Connection *connection)
{
	(void)arg;
	return exchange_new(connection, connection_behind(connection), target);
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *upload, size_t *upload_size, void **context)
{
	struct exchange *exchange = *context;
	size_t len = *upload_size;

	(void)arg;
	(void)connection;
	(void)url;
	switch (exchange->state) {
	case EXCHANGE_NEW:
		atomic_fetch_add(&server.begun, 1);
		return request_begin(exchange, method, version) ? MHD_YES : answer_refusal_and_close(exchange);
	case EXCHANGE_READING:
		if (!len)
			return request_complete(exchange);
		*upload_size = 0;
		return request_body(exchange, upload, len) ? MHD_YES : MHD_NO;
	case EXCHANGE_WAITING:
		return forward_answer(exchange);
	default:
		return MHD_YES;
	}
}

static void completed(void *arg, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode how)
{
	struct exchange *exchange = TAKE(*context);

	(void)arg;
	(void)connection;
	if (!exchange)
		return;
	atomic_store(&exchange->peer->deadline_ms, clock_ms() + gateway_settings.keepalive_timeout_ms);
	if (exchange->state != EXCHANGE_NEW) {
		access_log_write(exchange, how == MHD_REQUEST_TERMINATED_COMPLETED_OK);
		atomic_fetch_sub(&server.begun, 1);
	}
	exchange_release(exchange);
}

/* ---- the sweeper ---- */

static void *sweep(void *arg)
{
	(void)arg;
	while (!atomic_load(&server.stopping)) {
		connections_sweep(clock_ms());
		flights_expire(clock_ms());
		clock_sleep_ms(SWEEP_EVERY_MS);
	}
	return NULL;
}

static void start_sweeper(void)
{
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, SWEEPER_STACK);
	if (pthread_create(&server.sweeper, &attributes, sweep, NULL))
		BUG("cannot start a thread");
	pthread_attr_destroy(&attributes);
}

/* ---- starting and stopping ---- */

static void raise_descriptor_limit(void)
{
	struct rlimit limit;
	rlim_t wanted = (rlim_t)gateway_settings.max_connections + OTHER_DESCRIPTORS;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur < wanted)
		log_line(LOG_WARN, "descriptors", "GATEWAY_MAX_CONNECTIONS needs %llu open files, %llu are allowed",
			(unsigned long long)wanted, (unsigned long long)limit.rlim_cur);
}

static struct MHD_Daemon *start_daemon(const struct addrinfo *at)
{
	unsigned threads = gateway_settings.max_connections < SERVER_THREADS ? 1 : SERVER_THREADS;
	unsigned idle_limit_s = (unsigned)((gateway_settings.keepalive_timeout_ms + gateway_settings.body_timeout_ms) /
					   1000);
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
			 (at->ai_family == AF_INET6 ? MHD_USE_IPv6 : MHD_NO_FLAG);

	return MHD_start_daemon(flags, 0, admit, NULL, handle, NULL, MHD_OPTION_SOCK_ADDR, at->ai_addr,
		MHD_OPTION_THREAD_POOL_SIZE, threads > 1 ? threads : 0, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)gateway_settings.max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		ROOM_PER_HEADER_BYTE * (size_t)gateway_settings.max_header, MHD_OPTION_CONNECTION_TIMEOUT,
		idle_limit_s + 1, MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)LISTEN_BACKLOG,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_CONNECTION, connection_changed, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_URI_LOG_CALLBACK, target_came, NULL,
		MHD_OPTION_END);
}

static int start(struct error *err)
{
	struct addrinfo *at;
	struct error why;

	if (listen_address(gateway_settings.address, &at, &why))
		return error_set(err, CODE_INVALID_PAYLOAD, "GATEWAY_ADDR: %s", why.text);
	raise_descriptor_limit();
	commands_load();
	pages_make();
	gateway_metrics_init();
	server.daemon = start_daemon(at);
	freeaddrinfo(at);
	if (!server.daemon)
		return error_set(
			err, CODE_INVALID_PAYLOAD, "GATEWAY_ADDR: cannot listen on \"%s\"", gateway_settings.address);
	start_sweeper();
	log_line(LOG_INFO, "listening", "http://%s", gateway_settings.address);
	return 0;
}

static void await_answers(int64_t until_ms)
{
	while (atomic_load(&server.begun) > 0 && clock_ms() < until_ms)
		clock_sleep_ms(DRAIN_POLL_MS);
}

static void drain(int64_t deadline_ms)
{
	MHD_socket listening;

	answers_close_connections(true);
	listening = MHD_quiesce_daemon(server.daemon);
	if (listening != MHD_INVALID_SOCKET)
		close(listening);
	await_answers(deadline_ms);
	flights_close("the gateway stops");
	await_answers(clock_ms() + LAST_ANSWERS_MS);
}

static void stop(void)
{
	MHD_stop_daemon(TAKE(server.daemon));
	atomic_store(&server.stopping, true);
	pthread_join(server.sweeper, NULL);
	pages_release();
	commands_release();
	gateway_metrics_release();
	gateway_settings_release();
}

const struct front http_server = {
	.start = start,
	.drain = drain,
	.stop = stop,
	.metrics = gateway_metrics_write,
	.option = "--openapi",
	.document = openapi_write,
};
