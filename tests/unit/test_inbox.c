#include <pthread.h>
#include <stdlib.h>

#include "check.h"
#include "clock.h"
#include "publisher_internal.h"

#define SENDERS 4
#define MESSAGES_EACH 20000
#define HELD_EACH 7
#define FOR_EVER_MS 20000

static struct inbox inbox;

/* Every other sender hands its messages over by the handful. */
static void *send_much(void *number)
{
	bool holds = *(const int *)number % 2;

	for (int i = 0; i < MESSAGES_EACH; i++) {
		if (holds && i % HELD_EACH == 0)
			inbox_hold(&inbox, true);
		inbox_add(&inbox, outgoing_new(0, 0));
		if (holds && (i % HELD_EACH == HELD_EACH - 1 || i == MESSAGES_EACH - 1))
			inbox_hold(&inbox, false);
	}
	return NULL;
}

static size_t take_all(void)
{
	struct outgoing_queue messages;
	struct request *requests;
	size_t n = 0;

	inbox_take(&inbox, &messages, &requests);
	CHECK(!requests);
	for (; messages.head; n++)
		outgoing_free(outgoing_queue_take(&messages));
	return n;
}

static void nobody_sleeps_over_a_message(void)
{
	pthread_t senders[SENDERS];
	int numbers[SENDERS];
	size_t taken = 0;
	int64_t began_ms = clock_ms();

	inbox_init(&inbox);
	for (int i = 0; i < SENDERS; i++) {
		numbers[i] = i;
		CHECK_INT(pthread_create(&senders[i], NULL, send_much, &numbers[i]), 0);
	}
	while (taken < SENDERS * MESSAGES_EACH && clock_ms() - began_ms < FOR_EVER_MS) {
		inbox_wait(&inbox, -1, FOR_EVER_MS);
		taken += take_all();
	}
	CHECK_INT(taken, SENDERS * MESSAGES_EACH);
	CHECK(clock_ms() - began_ms < FOR_EVER_MS);
	for (int i = 0; i < SENDERS; i++)
		pthread_join(senders[i], NULL);
	inbox_release(&inbox);
}

static void *send_held(void *held)
{
	inbox_hold(&inbox, true);
	inbox_add(&inbox, outgoing_new(0, 0));
	if (!*(const bool *)held)
		inbox_hold(&inbox, false);
	return NULL;
}

static void run_sender(bool held)
{
	pthread_t sender;

	CHECK_INT(pthread_create(&sender, NULL, send_held, &held), 0);
	pthread_join(sender, NULL);
}

static void what_is_held_wakes_nobody_but_is_not_slept_over(void)
{
	inbox_init(&inbox);
	inbox.sleeping = true;
	run_sender(true);
	CHECK(inbox.sleeping);
	inbox_add(&inbox, outgoing_new(0, 0)); /* of a thread that holds nothing: it wakes for both */
	CHECK(!inbox.sleeping);
	CHECK_INT(take_all(), 2);
	inbox.sleeping = true;
	run_sender(false);
	CHECK(!inbox.sleeping);
	inbox_wait(&inbox, -1, FOR_EVER_MS);
	CHECK_INT(take_all(), 1);
	CHECK(inbox_is_empty(&inbox));
	inbox_release(&inbox);
}

static const struct check_test tests[] = {
	CHECK_TEST(nobody_sleeps_over_a_message),
	CHECK_TEST(what_is_held_wakes_nobody_but_is_not_slept_over),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
