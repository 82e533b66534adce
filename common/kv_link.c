#include "kv_internal.h"
#include "clock.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE (16 * 1024)
/* What a peer that vanished may leave unacknowledged before the kernel gives the connection up. */
#define USER_TIMEOUT_MS 15000

DEFINE_CLEANUP(struct addrinfo *, drop_addresses, freeaddrinfo)

void kv_link_close(struct kv_link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	if (link->reader)
		redisReaderFree(link->reader);
	*link = KV_LINK_NONE;
}

static int link_down(struct kv_link *link, struct error *err, const char *why)
{
	error_down(err, STORE_REDIS, "Redis: %s", why); /* first, for why may be the reader's */
	kv_link_close(link);
	return -1;
}

static void set_options(int fd)
{
	/* Best effort: without them a dead peer is only found later. */
	int on = 1, idle_s = 10, interval_s = 5, probes = 3, user_timeout_ms = USER_TIMEOUT_MS;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof(user_timeout_ms));
}

/* Waits until the socket can be read or, for POLLOUT, written: what it can, or -1 past the deadline. */
static int wait_for(int fd, short events, int64_t deadline_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };
	int left = clock_left_ms(deadline_ms);
	if (left == 0)
		return -1;
	/* Interrupted or out of time: the next turn tells. */
	return poll(&poll_fd, 1, left) > 0 ? poll_fd.revents : 0;
}

/* Connects to one address: 0, or an errno (ETIMEDOUT past the deadline). */
static int connect_to(int fd, const struct addrinfo *address, int64_t deadline_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
	int code = 0;
	socklen_t size = sizeof(code);
	if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	while (poll(&poll_fd, 1, clock_left_ms(deadline_ms)) <= 0)
		if (clock_left_ms(deadline_ms) == 0)
			return ETIMEDOUT;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) ? errno : code;
}

int kv_link_open(struct kv_link *link, const struct kv_host *host, int64_t deadline_ms, struct error *err)
{
	CLEANUP(drop_addresses) struct addrinfo *addresses = NULL;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	int code = getaddrinfo(host->name, host->port, &hints, &addresses);
	if (code)
		return error_down(err, STORE_REDIS, "Redis: %s: %s", host->name, gai_strerror(code));
	for (const struct addrinfo *address = addresses; address; address = address->ai_next) {
		link->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (link->fd < 0) {
			code = errno;
			continue;
		}
		set_options(link->fd);
		code = connect_to(link->fd, address, deadline_ms);
		if (code) {
			kv_link_close(link);
			continue;
		}
		link->reader = redisReaderCreate();
		if (!link->reader)
			BUG("out of memory");
		return 0;
	}
	return error_down(err, STORE_REDIS, "Redis: cannot connect to %s port %s: %s", host->name, host->port,
		strerrordesc_np(code));
}

bool kv_link_is_dead(const struct kv_link *link)
{
	struct pollfd poll_fd = { .fd = link->fd, .events = POLLIN | POLLRDHUP };
	return poll(&poll_fd, 1, 0) > 0;
}

/* Sends what the socket takes: 0, or an errno. */
static int write_some(int fd, const struct text *bytes, size_t *sent)
{
	while (*sent < bytes->len) {
		ssize_t n = send(fd, bytes->bytes + *sent, bytes->len - *sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : errno;
		*sent += (size_t)n;
	}
	return 0;
}

/*
 * Reads some of what has come: 0, -1 at the end of the stream, or an errno. One buffer at a time: hiredis moves all that it holds
 * to the front with every answer taken, so it must never hold much.
 */
static int read_some(struct kv_link *link, bool *more)
{
	char buffer[READ_SIZE];
	ssize_t n = recv(link->fd, buffer, sizeof(buffer), 0);
	*more = n == sizeof(buffer);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : errno;
	if (n == 0)
		return -1;
	return redisReaderFeed(link->reader, buffer, (size_t)n) == REDIS_OK ? 0 : ENOMEM;
}

/* Takes the answers that are complete: 0, or -1 when what came is not Redis's protocol. */
static int take(struct kv_link *link, redisReply **answers, size_t n, size_t *taken)
{
	while (*taken < n) {
		void *answer = NULL;
		if (redisReaderGetReply(link->reader, &answer) != REDIS_OK)
			return -1;
		if (!answer)
			return 0;
		answers[(*taken)++] = answer;
	}
	return 0;
}

static int exchange(struct kv_link *link, const struct text *bytes, redisReply **answers, size_t n, int64_t deadline_ms,
	struct error *err)
{
	size_t sent = 0, taken = 0;
	for (int events = POLLOUT;;) {
		bool more = false;
		int code = events & POLLOUT ? write_some(link->fd, bytes, &sent) : 0;
		/* Reading goes on while writing: a server whose answers nobody takes would stop reading itself. */
		if (code || (events & ~POLLOUT))
			code = read_some(link, &more) ?: code;
		if (take(link, answers, n, &taken))
			return link_down(link, err, link->reader->errstr);
		if (taken == n)
			return 0;
		if (code)
			return link_down(
				link, err, code < 0 ? "the server closed the connection" : strerrordesc_np(code));
		if (more && clock_left_ms(deadline_ms))
			continue;
		events = wait_for(link->fd, sent < bytes->len ? POLLIN | POLLOUT : POLLIN, deadline_ms);
		if (events < 0) {
			kv_link_close(link);
			return error_set(err, CODE_TIMEOUT, "Redis: no answer within the deadline");
		}
	}
}

int kv_link_exchange(struct kv_link *link, const struct text *bytes, redisReply **answers, size_t n,
	int64_t deadline_ms, struct error *err)
{
	for (size_t i = 0; i < n; i++)
		answers[i] = NULL;
	if (exchange(link, bytes, answers, n, deadline_ms, err) == 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (answers[i])
			freeReplyObject(answers[i]);
		answers[i] = NULL;
	}
	return -1;
}

redisReply *kv_link_command(
	struct kv_link *link, int64_t deadline_ms, struct error *err, size_t n, const char *const *arguments)
{
	CLEANUP(text_release) struct text bytes = { 0 };
	redisReply *answer;
	kv_format_args(&bytes, n, arguments, NULL);
	return kv_link_exchange(link, &bytes, &answer, 1, deadline_ms, err) ? NULL : answer;
}
