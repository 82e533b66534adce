#include <string.h>

#include "check.h"
#include "publisher_internal.h"

static struct audience audience;
static struct outgoing_queue waiting;
static size_t kept, dropped;

static void set_up(void)
{
	audience = (struct audience){ 0 };
	outgoing_queue_init(&waiting);
	kept = 0;
	dropped = 0;
}

static void count(void *arg, bool confirmed)
{
	CHECK(arg == &audience);
	kept += confirmed;
	dropped += !confirmed;
}

static struct outgoing *event(const char *routing_key)
{
	struct outgoing *out = outgoing_new(strlen(routing_key) + 1, 0);

	out->promise = PROMISE_HEARD;
	out->routing_key = outgoing_text(out, routing_key);
	out->done = count;
	out->arg = &audience;
	return out;
}

static void hand_over(int n, const char *routing_key)
{
	for (int i = 0; i < n; i++) {
		struct outgoing *out = event(routing_key);

		if (!audience_hold(&audience, out))
			outgoing_queue_add(&waiting, out);
	}
}

static struct outgoing *ask(void)
{
	audience_ask(&audience, &waiting);
	CHECK_INT(waiting.n, 1);
	return outgoing_queue_take(&waiting);
}

static void answer(struct outgoing *out, bool heard, size_t unheard)
{
	CHECK_INT(audience_answer(&audience, out, heard, &waiting), unheard);
	outgoing_end(out, true);
}

static void tear_down(void)
{
	while (waiting.head)
		outgoing_free(outgoing_queue_take(&waiting));
	audience_release(&audience);
}

static void other_messages_pass(void)
{
	struct outgoing *out = event("a.b");

	set_up();
	out->promise = PROMISE_CONFIRM;
	CHECK(!audience_hold(&audience, out));
	outgoing_free(out);
	tear_down();
}

static void one_asks_for_all_that_were_there_before_it(void)
{
	set_up();
	hand_over(5, "a.b");
	CHECK_INT(audience.n, 5);
	struct outgoing *question = ask();
	hand_over(3, "a.b");
	audience_ask(&audience, &waiting);
	CHECK_INT(waiting.n, 0);
	answer(question, false, 5);
	CHECK_INT(kept, 5);
	CHECK_INT(audience.n, 3);
	question = ask();
	answer(question, false, 3);
	CHECK_INT(kept, 8);
	CHECK_INT(audience.n, 0);
	tear_down();
	CHECK_INT(dropped, 0);
}

static void where_somebody_listens_all_are_sent(void)
{
	set_up();
	hand_over(5, "a.b");
	struct outgoing *question = ask();
	hand_over(3, "a.b");
	answer(question, true, 0);
	CHECK_INT(waiting.n, 7);
	CHECK_INT(audience.n, 0);
	hand_over(2, "a.b");
	CHECK_INT(waiting.n, 9);
	tear_down();
	CHECK_INT(kept, 1);
}

static void who_has_gone_is_noticed_and_who_comes_as_well(void)
{
	set_up();
	hand_over(1, "a.b");
	answer(ask(), true, 0);
	hand_over(2, "a.b");
	answer(outgoing_queue_take(&waiting), false, 1);
	hand_over(4, "a.b");
	CHECK_INT(waiting.n, 1);
	CHECK_INT(audience.n, 4);
	/* The last of those that went out unasked finds somebody. */
	answer(outgoing_queue_take(&waiting), true, 0);
	CHECK_INT(waiting.n, 4);
	tear_down();
	CHECK_INT(kept, 3);
}

static void each_routing_key_has_listeners_of_its_own(void)
{
	set_up();
	hand_over(2, "a.b");
	hand_over(2, "a.c");
	audience_ask(&audience, &waiting);
	CHECK_INT(waiting.n, 2);
	for (int i = 0; i < 2; i++) {
		struct outgoing *question = outgoing_queue_take(&waiting);
		bool heard = strcmp(question->routing_key, "a.c") == 0;

		answer(question, heard, heard ? 0 : 2);
	}
	CHECK_INT(waiting.n, 1);
	CHECK_STR(waiting.head->routing_key, "a.c");
	CHECK_INT(kept, 3);
	tear_down();
}

static void a_lost_question_is_asked_again(void)
{
	set_up();
	hand_over(3, "a.b");
	struct outgoing *question = ask();
	hand_over(1, "a.b");
	audience_lost(&audience);
	/* The connection gives it back; it is sent again, and its answer decides for nobody else. */
	outgoing_queue_add(&waiting, question);
	audience_ask(&audience, &waiting);
	CHECK_INT(waiting.n, 2);
	answer(outgoing_queue_take(&waiting), false, 1);
	CHECK_INT(kept, 1);
	answer(outgoing_queue_take(&waiting), false, 3);
	CHECK_INT(kept, 4);
	tear_down();
}

static void what_is_held_at_the_end_is_told_so(void)
{
	set_up();
	hand_over(3, "a.b");
	struct outgoing *question = ask();
	hand_over(2, "a.b");
	audience_release(&audience);
	CHECK_INT(dropped, 4);
	CHECK_INT(audience.n, 0);
	outgoing_end(question, false);
}

static const struct check_test tests[] = {
	CHECK_TEST(other_messages_pass),
	CHECK_TEST(one_asks_for_all_that_were_there_before_it),
	CHECK_TEST(where_somebody_listens_all_are_sent),
	CHECK_TEST(who_has_gone_is_noticed_and_who_comes_as_well),
	CHECK_TEST(each_routing_key_has_listeners_of_its_own),
	CHECK_TEST(a_lost_question_is_asked_again),
	CHECK_TEST(what_is_held_at_the_end_is_told_so),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
