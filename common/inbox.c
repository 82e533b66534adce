/* The publisher's inbox, and whose turn it is at the connection. */
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "publisher_internal.h"

/* A thread that sends for others, too, goes back to its own work after so many times. */
#define TURNS_MAX 4
/* What frames and properties add to a message, roughly. */
#define OVERHEAD 256

/* This thread's; a process has one inbox. */
static _Thread_local bool holding;

void inbox_init(struct inbox *inbox)
{
	pthread_mutex_init(&inbox->turn, NULL);
	pthread_mutex_init(&inbox->mutex, NULL);
	outgoing_queue_init(&inbox->messages);
	inbox->requests_tail = &inbox->requests_head;
	inbox->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (inbox->wake_fd < 0)
		BUG("eventfd");
}

void inbox_release(struct inbox *inbox)
{
	close(inbox->wake_fd);
	pthread_mutex_destroy(&inbox->mutex);
	pthread_mutex_destroy(&inbox->turn);
}

/* ---- what is in it ---- */

void inbox_add(struct inbox *inbox, struct outgoing *out)
{
	pthread_mutex_lock(&inbox->mutex);
	outgoing_queue_add(&inbox->messages, out);
	inbox->bytes += outgoing_size(out) + OVERHEAD;
	pthread_mutex_unlock(&inbox->mutex);
}

void inbox_add_request(struct inbox *inbox, struct request *request)
{
	pthread_mutex_lock(&inbox->mutex);
	*inbox->requests_tail = request;
	inbox->requests_tail = &request->next;
	inbox->bytes += request->body_len + OVERHEAD;
	pthread_mutex_unlock(&inbox->mutex);
}

void inbox_take(struct inbox *inbox, struct outgoing_queue *messages, struct request **requests)
{
	pthread_mutex_lock(&inbox->mutex);
	outgoing_queue_init(messages);
	outgoing_queue_move(messages, &inbox->messages);
	*requests = inbox->requests_head;
	inbox->requests_head = NULL;
	inbox->requests_tail = &inbox->requests_head;
	inbox->bytes = 0;
	pthread_mutex_unlock(&inbox->mutex);
}

bool inbox_is_empty(struct inbox *inbox)
{
	bool empty;

	pthread_mutex_lock(&inbox->mutex);
	empty = !inbox->messages.head && !inbox->requests_head;
	pthread_mutex_unlock(&inbox->mutex);
	return empty;
}

size_t inbox_bytes(struct inbox *inbox)
{
	size_t bytes;

	pthread_mutex_lock(&inbox->mutex);
	bytes = inbox->bytes;
	pthread_mutex_unlock(&inbox->mutex);
	return bytes;
}

/* ---- whose turn it is ---- */

void inbox_hold(bool held)
{
	holding = held;
}

void inbox_send(struct inbox *inbox, bool (*send)(void *arg), void *arg)
{
	bool sent = true;

	if (holding)
		return;
	for (int i = 0; sent && !inbox_is_empty(inbox); i++) {
		/* Whoever has the turn looks once more when it has ended. */
		if (pthread_mutex_trylock(&inbox->turn))
			return;
		sent = i < TURNS_MAX && send(arg);
		pthread_mutex_unlock(&inbox->turn);
	}
	if (!sent)
		inbox_wake(inbox);
}

void inbox_begin_turn(struct inbox *inbox)
{
	pthread_mutex_lock(&inbox->turn);
}

void inbox_end_turn(struct inbox *inbox)
{
	pthread_mutex_unlock(&inbox->turn);
}

void inbox_wake(struct inbox *inbox)
{
	uint64_t one = 1;
	bool first;

	pthread_mutex_lock(&inbox->mutex);
	first = !inbox->woken;
	inbox->woken = true;
	pthread_mutex_unlock(&inbox->mutex);
	/* Full (EAGAIN) is as good as written: the thread will wake. */
	if (first && write(inbox->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void inbox_wait(struct inbox *inbox, int other_fd, int timeout_ms)
{
	struct pollfd fds[2] = { { .fd = inbox->wake_fd, .events = POLLIN }, { .fd = other_fd, .events = POLLIN } };
	uint64_t woken;

	inbox_end_turn(inbox);
	/* After the turn: what was left to it until then is seen here; what comes later is sent by who brings it, or he wakes. */
	if (inbox_is_empty(inbox)) {
		poll(fds, 2, timeout_ms);
		if (fds[0].revents && read(inbox->wake_fd, &woken, sizeof(woken)) > 0) {
			pthread_mutex_lock(&inbox->mutex);
			inbox->woken = false;
			pthread_mutex_unlock(&inbox->mutex);
		}
	}
	inbox_begin_turn(inbox);
}
