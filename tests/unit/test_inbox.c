#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "check.h"
#include "clock.h"
#include "publisher_internal.h"

#define SENDERS 4
#define MESSAGES_EACH 20000
#define HELD_EACH 7
#define FOR_EVER_MS 20000

static struct inbox inbox;
static size_t sent;	    /* with the turn */
static atomic_bool waiting; /* for the broker: nobody may send but the publisher's thread */
static atomic_size_t refused;

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

static bool send_now(void *arg)
{
	CHECK(arg == &inbox);
	if (atomic_load(&waiting)) {
		refused++;
		return false;
	}
	sent += take_all();
	return true;
}

static void hand_over(void)
{
	inbox_add(&inbox, outgoing_new(0, 0));
	inbox_send(&inbox, send_now, &inbox);
}

static void let_go(void)
{
	inbox_hold(false);
	inbox_send(&inbox, send_now, &inbox);
}

static void begin(void)
{
	inbox = (struct inbox){ 0 };
	inbox_init(&inbox);
	sent = 0;
	refused = 0;
	waiting = false;
}

/* Every other sender hands its messages over by the handful. */
static void *send_much(void *number)
{
	bool holds = *(const int *)number % 2;

	for (int i = 0; i < MESSAGES_EACH; i++) {
		if (holds && i % HELD_EACH == 0)
			inbox_hold(true);
		if (i % 100 == 0)
			atomic_store(&waiting, i % 200 == 0);
		hand_over();
		if (holds && (i % HELD_EACH == HELD_EACH - 1 || i == MESSAGES_EACH - 1))
			let_go();
	}
	return NULL;
}

static void nothing_is_left_lying(void)
{
	pthread_t senders[SENDERS];
	int numbers[SENDERS];
	size_t taken = 0;
	int64_t began_ms = clock_ms();

	begin();
	for (int i = 0; i < SENDERS; i++) {
		numbers[i] = i;
		CHECK_INT(pthread_create(&senders[i], NULL, send_much, &numbers[i]), 0);
	}
	inbox_begin_turn(&inbox);
	while (taken + sent < SENDERS * MESSAGES_EACH && clock_ms() - began_ms < FOR_EVER_MS) {
		/* The last may be sent by another thread, which wakes nobody. */
		inbox_wait(&inbox, -1, 100);
		taken += take_all();
	}
	inbox_end_turn(&inbox);
	CHECK_INT(taken + sent, SENDERS * MESSAGES_EACH);
	CHECK(taken > 0);
	CHECK(sent > 0);
	CHECK(clock_ms() - began_ms < FOR_EVER_MS);
	for (int i = 0; i < SENDERS; i++)
		pthread_join(senders[i], NULL);
	inbox_release(&inbox);
}

static void who_hands_over_sends_it(void)
{
	begin();
	hand_over();
	CHECK_INT(sent, 1);
	CHECK(!inbox.woken);
	CHECK(inbox_is_empty(&inbox));
	CHECK_INT(inbox_bytes(&inbox), 0);
	inbox_release(&inbox);
}

static void *hand_one_over(void *arg)
{
	(void)arg;
	hand_over();
	return NULL;
}

static void from_another_thread(void *(*run)(void *))
{
	pthread_t thread;

	CHECK_INT(pthread_create(&thread, NULL, run, NULL), 0);
	pthread_join(thread, NULL);
}

static void what_is_held_goes_with_the_last_of_it(void)
{
	begin();
	inbox_hold(true);
	hand_over();
	hand_over();
	CHECK_INT(sent, 0);
	let_go();
	CHECK_INT(sent, 2);
	inbox_hold(true);
	hand_over();
	from_another_thread(hand_one_over); /* which holds nothing: it sends for both */
	CHECK_INT(sent, 4);
	let_go();
	CHECK(!inbox.woken);
	inbox_release(&inbox);
}

static void what_would_wait_is_left_to_the_thread(void)
{
	begin();
	waiting = true;
	hand_over();
	hand_over();
	CHECK_INT(sent, 0);
	CHECK_INT(refused, 2);
	CHECK(inbox.woken);
	inbox_begin_turn(&inbox);
	CHECK_INT(take_all(), 2);
	inbox_wait(&inbox, -1, FOR_EVER_MS); /* it was woken, and looks once more */
	CHECK(!inbox.woken);
	inbox_end_turn(&inbox);
	inbox_release(&inbox);
}

static void whoever_has_the_turn_sees_to_it(void)
{
	int64_t began_ms = clock_ms();

	begin();
	inbox_begin_turn(&inbox);
	from_another_thread(hand_one_over);
	CHECK_INT(sent, 0);
	CHECK(!inbox.woken);
	inbox_wait(&inbox, -1, FOR_EVER_MS); /* looks before it sleeps */
	CHECK(clock_ms() - began_ms < FOR_EVER_MS);
	CHECK_INT(take_all(), 1);
	inbox_end_turn(&inbox);
	inbox_release(&inbox);
}

static const struct check_test tests[] = {
	CHECK_TEST(nothing_is_left_lying),
	CHECK_TEST(who_hands_over_sends_it),
	CHECK_TEST(what_is_held_goes_with_the_last_of_it),
	CHECK_TEST(what_would_wait_is_left_to_the_thread),
	CHECK_TEST(whoever_has_the_turn_sees_to_it),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
