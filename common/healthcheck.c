#include "healthcheck.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "cleanup.h"
#include "listen_address.h"

static const char request[] = "GET /healthz HTTP/1.0\r\n\r\n";

DEFINE_CLEANUP(struct addrinfo *, drop_addresses, freeaddrinfo)

static int ask(int fd, const struct addrinfo *to, char *answer, size_t size)
{
	size_t len = 0;
	ssize_t n;

	if (connect(fd, to->ai_addr, to->ai_addrlen) ||
		send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof(request) - 1))
		return -1;
	while (len < size - 1 && (n = recv(fd, answer + len, size - 1 - len, 0)) != 0) {
		if (n < 0)
			return -1;
		len += (size_t)n;
	}
	answer[len] = '\0';
	return 0;
}

int healthcheck(const char *address, int timeout_ms, struct error *err)
{
	const struct timeval limit = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };
	CLEANUP(drop_addresses) struct addrinfo *found = NULL;
	CLEANUP(release_fd) int fd = -1;
	char answer[512];
	struct error why;

	if (listen_address(address, &found, &why))
		return error_set(err, CODE_INVALID_PAYLOAD, "ADMIN_ADDR: %s", why.text);
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ||
		ask(fd, found, answer, sizeof(answer)))
		return error_set(err, CODE_UNAVAILABLE, "%s: %s", address,
			errno == EAGAIN || errno == EINPROGRESS ? "no answer in time" : strerror(errno));
	if (strncmp(answer, "HTTP/1.", 7) != 0 || strncmp(answer + 8, " 200 ", 5) != 0)
		return error_set(
			err, CODE_UNAVAILABLE, "%s: answers \"%.*s\"", address, (int)strcspn(answer, "\r\n"), answer);
	return 0;
}
