#include <string.h>

#include "check.h"
#include "naming.h"

static void queues_are_named_for_their_service(void)
{
	char name[BROKER_NAME_MAX];

	CHECK_STR(name_queue("tick", name), "game.tick");
	CHECK_STR(name_rpc_queue("combat-settlement", name), "game.combat-settlement.rpc");
	CHECK_STR(name_dead_queue("state-backup", name), "game.state-backup.dead");
	CHECK_STR(name_binding("arena", name), "arena.#");
	CHECK_STR(name_routing_key("arena", "join_queue", name), "arena.join_queue");
}

static void rungs_are_named_for_their_delay(void)
{
	char name[BROKER_NAME_MAX];

	CHECK_STR(name_rung_exchange(1000, name), "game.retry.1s");
	CHECK_STR(name_rung_exchange(10000, name), "game.retry.10s");
	CHECK_STR(name_rung_exchange(60000, name), "game.retry.60s");
	CHECK_STR(name_rung_exchange(600000, name), "game.retry.10m");
	CHECK_STR(name_rung_exchange(90000, name), "game.retry.90s");
	CHECK_STR(name_rung_exchange(1500, name), "game.retry.1500ms");
	CHECK_STR(name_rung_queue("tick", 250, name), "game.tick.retry.250ms");
	CHECK_STR(name_rung_queue("tick", 7200000, name), "game.tick.retry.2h");
}

static void a_command_is_the_last_part_of_its_key(void)
{
	CHECK_STR(name_command_of("arena.join_queue"), "join_queue");
	CHECK_STR(name_command_of("a.b.c"), "c");
	CHECK_STR(name_command_of("alone"), "alone");
	CHECK_STR(name_command_of("arena."), "");
	CHECK_STR(name_command_of(""), "");
}

static void replies_go_where_somebody_can_be(void)
{
	CHECK(name_takes_replies("game.answers"));
	CHECK(name_takes_replies("amq.gen-JzTY20BRgKO-HjmUJj0wLg"));
	CHECK(name_takes_replies("amq.rabbitmq.reply-to.g1hoAA5yYWJiaXRAbG9jYWxob3N0AAAEKgAAAABkAAA=.bXlrZXk="));
	CHECK(name_takes_replies("amq.rabbitmq.reply-to.g2dkAA5yYWJiaXRAbG9jYWxob3N0AAAEKgAAAABk.key"));
	CHECK(!name_takes_replies(""));
	CHECK(!name_takes_replies("amq.rabbitmq.reply-to"));
	CHECK(!name_takes_replies("amq.rabbitmq.reply-to."));
	CHECK(!name_takes_replies("amq.rabbitmq.reply-to.forged.key"));
	CHECK(!name_takes_replies("amq.rabbitmq.reply-to.g1h.key"));
	CHECK(!name_takes_replies("amq.rabbitmq.reply-to.g1hoAA5y"));
	CHECK(!name_takes_replies("amq.rabbitmq.reply-to.g1hoAA5y."));
	CHECK(!name_takes_replies("amq.rabbitmq.reply-to.g1hoAA5!.key"));
}

static const struct check_test tests[] = {
	CHECK_TEST(queues_are_named_for_their_service),
	CHECK_TEST(rungs_are_named_for_their_delay),
	CHECK_TEST(a_command_is_the_last_part_of_its_key),
	CHECK_TEST(replies_go_where_somebody_can_be),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
