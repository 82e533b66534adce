/* link: services/combat-settlement/settlement_plan.c services/combat-settlement/result_document.c */
#include "check.h"
#include "services/combat-settlement/settlement_plan.h"

#define SESSION_LOW "00000000-0000-4000-8000-000000000001"
#define SESSION_HIGH "ffffffff-0000-4000-8000-000000000001"

static struct uuid uuid_of(const char *text)
{
	struct uuid uuid = { 0 };

	CHECK(!uuid_parse(text, &uuid));
	return uuid;
}

static struct result_document fight(const char *session, int64_t end, struct participant *participants, size_t n)
{
	return (struct result_document){
		.session_id = uuid_of(session),
		.meta = { .end_timestamp = end, .winner_team = "blue" },
		.participants = { .n = n, .items = participants },
	};
}

static void orders_by_end_then_session(void)
{
	struct result_document a = fight(SESSION_HIGH, 1, NULL, 0), b = fight(SESSION_LOW, 2, NULL, 0);
	struct result_document c = fight(SESSION_HIGH, 2, NULL, 0);

	CHECK(fight_order(&a, &b) < 0);
	CHECK(fight_order(&b, &c) < 0);
	CHECK(fight_order(&c, &a) > 0);
	CHECK_INT(fight_order(&b, &b), 0);
}

static void sums_up_a_character_of_several_fights(void)
{
	CLEANUP(scratch_release) struct scratch scratch = { .cap = 1 << 20 };
	struct participant first[] = {
		{ .char_id = 7, .changes = { .xp_gained = 1, .gold_gained = 10 } },
		{ .char_id = 9, .changes = { .xp_gained = 5 } },
	};
	struct participant second[] = { { .char_id = 7, .changes = { .xp_gained = 2, .gold_gained = 20 } } };
	struct result_document a = fight(SESSION_HIGH, 1, first, 2), b = fight(SESSION_LOW, 2, second, 1);
	const struct result_document *fights[] = { &a, &b };
	struct settlement_plan plan;

	plan_make(&plan, fights, 2, &scratch);
	CHECK_INT(plan.characters.n, 2);
	CHECK_INT(plan.characters.ids[0], 7);
	CHECK_INT(plan.characters.xp[0], 3);
	CHECK_INT(plan.characters.gold[0], 30);
	CHECK_INT(plan.characters.xp[1], 5);
	CHECK_INT(plan.characters.last.ended_us[0], 2000000);
	CHECK(uuid_compare(&plan.characters.last.sessions[0], &b.session_id) == 0);
	CHECK(uuid_compare(&plan.characters.last.sessions[1], &a.session_id) == 0);
}

static void takes_each_gauge_from_the_newest_fight_that_mentions_it(void)
{
	CLEANUP(scratch_release) struct scratch scratch = { .cap = 1 << 20 };
	struct participant first[] = { { .char_id = 7, .state_snapshot = { { true, 40 }, { true, 50 } } } };
	struct participant second[] = { { .char_id = 7, .state_snapshot = { .hp = { true, -4 } } } };
	struct participant third[] = { { .char_id = 7 } };
	struct result_document a = fight(SESSION_LOW, 1, first, 1), b = fight(SESSION_LOW, 2, second, 1);
	struct result_document c = fight(SESSION_LOW, 3, third, 1);
	const struct result_document *fights[] = { &a, &b, &c };
	struct settlement_plan plan;

	plan_make(&plan, fights, 3, &scratch);
	CHECK_INT(plan.characters.hp[0], 0);
	CHECK_INT(plan.characters.hp_set.ended_us[0], 2000000);
	CHECK_INT(plan.characters.energy[0], 50);
	CHECK_INT(plan.characters.energy_set.ended_us[0], 1000000);
	CHECK_INT(plan.characters.last.ended_us[0], 3000000);
	plan_make(&plan, &fights[2], 1, &scratch);
	CHECK_INT(plan.characters.hp[0], -1);
	CHECK_INT(plan.characters.energy[0], -1);
}

static struct participant drinker(int64_t char_id, struct consumed_item *items, size_t n)
{
	return (struct participant){ .char_id = char_id, .changes = { .items_consumed = { .n = n, .items = items } } };
}

static void shares_out_what_is_there_oldest_fight_first(void)
{
	CLEANUP(scratch_release) struct scratch scratch = { .cap = 1 << 20 };
	CLEANUP(text_release) struct text text = { 0 };
	struct consumed_item twice[] = { { 55, "pot", 2 }, { 55, "pot", 1 } }, once[] = { { 55, "pot", 4 } };
	struct participant first[] = { drinker(7, twice, 2) }, second[] = { drinker(7, once, 1) };
	struct result_document a = fight(SESSION_LOW, 1, first, 1), b = fight(SESSION_HIGH, 1, second, 1);
	const struct result_document *fights[] = { &a, &b };
	struct settlement_plan plan;
	size_t next = 0;

	plan_make(&plan, fights, 2, &scratch);
	CHECK_INT(plan.belt.n, 1);
	CHECK_INT(plan.belt.qty[0], 7);
	CHECK_INT(plan.n_claims, 2);
	plan_take(&plan, 0, 5);
	plan_gather_shortfalls(&plan, &scratch);
	if (!CHECK_INT(plan.n_shortfalls, 1))
		return;
	CHECK_INT(plan_write_shortfalls(&plan, &next, &text), 1);
	CHECK_INT(next, 1);
	CHECK_STR(text_str(&text), "[{\"char_id\":7,\"inventory_id\":55,\"item_template_id\":\"pot\",\"missing\":2}]");
}

static void keeps_claims_of_others_and_of_other_templates_apart(void)
{
	CLEANUP(scratch_release) struct scratch scratch = { .cap = 1 << 20 };
	CLEANUP(text_release) struct text text = { 0 };
	struct consumed_item own[] = { { 55, "pot", 2 }, { 55, "bomb", 3 } }, foreign[] = { { 55, "pot", 1 } };
	struct participant people[] = { drinker(7, own, 2), drinker(8, foreign, 1) };
	struct result_document a = fight(SESSION_LOW, 1, people, 2);
	const struct result_document *fights[] = { &a };
	struct settlement_plan plan;
	size_t next = 0;

	plan_make(&plan, fights, 1, &scratch);
	CHECK_INT(plan.belt.n, 3);
	for (size_t i = 0; i < plan.belt.n; i++)
		if (plan.belt.owners[i] == 7 && plan.belt.templates[i][0] == 'p')
			plan_take(&plan, i, 2);
	plan_gather_shortfalls(&plan, &scratch);
	CHECK_INT(plan.n_shortfalls, 2);
	plan_write_shortfalls(&plan, &next, &text);
	CHECK_HAS(text_str(&text), "\"item_template_id\":\"bomb\",\"missing\":3");
	CHECK_HAS(text_str(&text), "{\"char_id\":8,\"inventory_id\":55,\"item_template_id\":\"pot\",\"missing\":1}");
}

static void sums_up_loot_and_wear_by_owner_and_template(void)
{
	CLEANUP(scratch_release) struct scratch scratch = { .cap = 1 << 20 };
	struct gained_item gained[] = { { "pelt", 1 }, { "claw", 2 }, { "pelt", 3 } };
	struct loot_entry loot[] = { { .name = "Клык", .qty = 4 }, { .item_template_id = "pelt", .qty = 1 } };
	struct durability_loss losses[] = { { "item:sword", 5 } };
	struct participant first[] = {
		{ .char_id = 7, .changes = { .items_gained = { 3, gained }, .durability_loss = { 1, losses } } },
		{ .char_id = 8, .ui_report = { .loot_obtained = { 2, loot } } },
	};
	struct participant second[] = {
		{ .char_id = 7, .changes = { .items_gained = { 3, gained }, .durability_loss = { 1, losses } } },
	};
	struct result_document a = fight(SESSION_LOW, 1, first, 2), b = fight(SESSION_LOW, 2, second, 1);
	const struct result_document *fights[] = { &a, &b };
	struct settlement_plan plan;

	plan_make(&plan, fights, 2, &scratch);
	CHECK_INT(plan.loot.n, 4);
	CHECK_STR(plan.loot.templates[0], "claw");
	CHECK_INT(plan.loot.qty[0], 4);
	CHECK_STR(plan.loot.templates[1], "pelt");
	CHECK_INT(plan.loot.qty[1], 8);
	CHECK_INT(plan.loot.owners[2], 8);
	CHECK_INT(plan.n_made, 1);
	CHECK_STR(plan.made[0], "Клык");
	CHECK_INT(plan.wear.n, 1);
	CHECK_STR(plan.wear.templates[0], "sword");
	CHECK_INT(plan.wear.qty[0], 10);
}

static const struct check_test tests[] = {
	CHECK_TEST(orders_by_end_then_session),
	CHECK_TEST(sums_up_a_character_of_several_fights),
	CHECK_TEST(takes_each_gauge_from_the_newest_fight_that_mentions_it),
	CHECK_TEST(shares_out_what_is_there_oldest_fight_first),
	CHECK_TEST(keeps_claims_of_others_and_of_other_templates_apart),
	CHECK_TEST(sums_up_loot_and_wear_by_owner_and_template),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
