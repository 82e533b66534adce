/* The publisher's inbox: any thread puts in, the publisher's takes out. Nobody is woken who is awake. */
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "publisher_internal.h"

/* This thread's; a process has one inbox. */
static _Thread_local bool holding;

void inbox_init(struct inbox *inbox)
{
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
}

void inbox_wake(struct inbox *inbox)
{
	uint64_t one = 1;

	/* Full (EAGAIN) is as good as written: the thread will wake. */
	if (write(inbox->wake_fd, &one, sizeof(one)) < 0)
		return;
}

static bool is_empty(const struct inbox *inbox)
{
	return !inbox->messages.head && !inbox->requests_head;
}

/* With the mutex held, which it gives back. */
static void unlock_and_wake(struct inbox *inbox)
{
	bool wake = inbox->sleeping && !holding && !is_empty(inbox);

	if (wake)
		inbox->sleeping = false;
	pthread_mutex_unlock(&inbox->mutex);
	if (wake)
		inbox_wake(inbox);
}

void inbox_hold(struct inbox *inbox, bool held)
{
	holding = held;
	if (held)
		return;
	pthread_mutex_lock(&inbox->mutex);
	unlock_and_wake(inbox);
}

void inbox_add(struct inbox *inbox, struct outgoing *out)
{
	pthread_mutex_lock(&inbox->mutex);
	outgoing_queue_add(&inbox->messages, out);
	unlock_and_wake(inbox);
}

void inbox_add_request(struct inbox *inbox, struct request *request)
{
	pthread_mutex_lock(&inbox->mutex);
	*inbox->requests_tail = request;
	inbox->requests_tail = &request->next;
	unlock_and_wake(inbox);
}

void inbox_take(struct inbox *inbox, struct outgoing_queue *messages, struct request **requests)
{
	pthread_mutex_lock(&inbox->mutex);
	outgoing_queue_init(messages);
	while (inbox->messages.head)
		outgoing_queue_add(messages, outgoing_queue_take(&inbox->messages));
	*requests = inbox->requests_head;
	inbox->requests_head = NULL;
	inbox->requests_tail = &inbox->requests_head;
	pthread_mutex_unlock(&inbox->mutex);
}

bool inbox_is_empty(struct inbox *inbox)
{
	bool empty;

	pthread_mutex_lock(&inbox->mutex);
	empty = is_empty(inbox);
	pthread_mutex_unlock(&inbox->mutex);
	return empty;
}

void inbox_wait(struct inbox *inbox, int other_fd, int timeout_ms)
{
	struct pollfd fds[2] = { { .fd = inbox->wake_fd, .events = POLLIN }, { .fd = other_fd, .events = POLLIN } };
	uint64_t woken;
	bool sleeping;

	pthread_mutex_lock(&inbox->mutex);
	sleeping = inbox->sleeping = is_empty(inbox);
	pthread_mutex_unlock(&inbox->mutex);
	if (!sleeping)
		return;
	poll(fds, 2, timeout_ms);
	pthread_mutex_lock(&inbox->mutex);
	inbox->sleeping = false;
	pthread_mutex_unlock(&inbox->mutex);
	if (fds[0].revents && read(inbox->wake_fd, &woken, sizeof(woken)) < 0)
		return;
}
