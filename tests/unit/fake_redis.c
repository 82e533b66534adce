#include "fake_redis.h"
#include "cleanup.h"
#include "text.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct fake_redis {
	int listener, stop;
	char port[8];
	const char *answer;
	pthread_t thread;
};

/* True when there is something to read on fd; false when the server shall stop. */
static bool readable(const struct fake_redis *fake, int fd)
{
	struct pollfd fds[] = { { .fd = fake->stop, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
	while (poll(fds, ARRAY_LEN(fds), -1) < 0)
		continue;
	return !fds[0].revents;
}

static void *serve(void *arg)
{
	const struct fake_redis *fake = arg;
	char buffer[4096];
	while (readable(fake, fake->listener)) {
		CLEANUP(release_fd) int fd = accept(fake->listener, NULL, NULL);
		while (readable(fake, fd) && recv(fd, buffer, sizeof(buffer), 0) > 0)
			if (send(fd, fake->answer, strlen(fake->answer), MSG_NOSIGNAL) < 0)
				break;
	}
	return NULL;
}

struct fake_redis *fake_redis_start(const char *answer)
{
	struct fake_redis *fake = must_zalloc(sizeof(*fake));
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(address);
	fake->answer = answer;
	fake->stop = eventfd(0, EFD_CLOEXEC);
	fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fake->stop < 0 || bind(fake->listener, (struct sockaddr *)&address, size) || listen(fake->listener, 8) ||
		getsockname(fake->listener, (struct sockaddr *)&address, &size) ||
		pthread_create(&fake->thread, NULL, serve, fake))
		BUG("no server on loopback");
	snprintf(fake->port, sizeof(fake->port), "%u", ntohs(address.sin_port));
	return fake;
}

void fake_redis_stop(struct fake_redis **fake)
{
	struct fake_redis *f = *fake;
	const uint64_t one = 1;
	if (!f)
		return;
	if (write(f->stop, &one, sizeof(one)) != sizeof(one))
		BUG("the eventfd takes nothing");
	pthread_join(f->thread, NULL);
	close(f->listener);
	close(f->stop);
	free(f);
}

const char *fake_redis_port(const struct fake_redis *fake)
{
	return fake->port;
}

char *fake_redis_url(const struct fake_redis *fake, const char *format)
{
	struct text url = { 0 };
	const char *port = strstr(format, "%s");
	text_add(&url, format, (size_t)(port - format));
	text_str_add(&url, fake->port);
	text_str_add(&url, port + 2);
	return url.bytes;
}
