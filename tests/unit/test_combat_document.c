/* link: services/combat-settlement/result_document.c services/combat-settlement/fight_summary.c services/combat-settlement/result_text.c */
#include <string.h>

#include "check.h"
#include "json.h"
#include "services/combat-settlement/fight_summary.h"
#include "services/combat-settlement/result_document.h"
#include "services/combat-settlement/result_text.h"

static const struct document_limits limits = { 64, 1000000000000, 1000000 };
static const struct item_names no_names;

static const char example[] =
	"{\"session_id\":\"0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11\","
	"\"meta\":{\"end_timestamp\":1735460000,\"winner_team\":\"blue\",\"finish_reason\":\"victory\"},"
	"\"participants\":{\"101\":{\"is_winner\":true,\"state_snapshot\":{\"hp\":450,\"energy\":20},"
	"\"changes\":{\"xp_gained\":1250,\"gold_gained\":100,"
	"\"items_consumed\":[{\"inventory_id\":55,\"item_template_id\":\"hp_pot_small\",\"qty\":2}],"
	"\"items_gained\":[{\"item_template_id\":\"wolf_pelt\",\"qty\":1}],\"durability_loss\":{\"item:sword_epic\":5}}"
	","
	"\"ui_report\":{\"damage_dealt\":5000,\"loot_obtained\":[{\"name\":\"Шкура "
	"волка\",\"qty\":1}]}}},\"replay_log\":[]}";

static bool read_document(const char *text, struct result_document *document, struct scratch *scratch)
{
	struct problems problems = { 0 };
	struct error err;
	const cJSON *json = json_parse(text, strlen(text), scratch, &err);

	return CHECK(json) && CHECK(!schema_read(&settle_combat_request, json, document, scratch, &problems));
}

static void reads_the_contracts_example(void)
{
	CLEANUP(scratch_release) struct scratch scratch = { .cap = 1 << 20 };
	struct document_problem problem;
	struct result_document document;
	const struct participant *hero;

	if (!read_document(example, &document, &scratch) || !CHECK_INT(document.participants.n, 1))
		return;
	CHECK_INT(document_check(&document, &limits, &problem, 1, &scratch), 0);
	hero = document_participant(&document, 0);
	CHECK_INT(hero->char_id, 101);
	CHECK_INT(hero->state_snapshot.hp.value, 450);
	CHECK_INT(hero->changes.items_consumed.n, 1);
	CHECK_STR(durability_template(hero->changes.durability_loss.items), "sword_epic");
	CHECK_INT(grants_count(hero), 1);
	CHECK_STR(grant_at(hero, 0).item_template_id, "wolf_pelt");
	CHECK_STR(grant_at(hero, 0).name, "Шкура волка");
}

static void says_it_in_both_languages(void)
{
	CLEANUP(scratch_release) struct scratch scratch = { .cap = 1 << 20 };
	CLEANUP(text_release) struct text text = { 0 };
	struct result_document document;
	struct fight_summary summary;

	if (!read_document(example, &document, &scratch))
		return;
	summary = fight_summary_of(&document, &no_names, &scratch);
	result_text_write(LANGUAGE_RU, &summary, summary.participants.items, &text);
	CHECK_STR(text_str(&text),
		"Бой уже завершен!\nПобедитель: Синие\nНаграда: 1250 опыта, 100 золота, Шкура волка ×1");
	text_reset(&text);
	result_text_write(LANGUAGE_EN, &summary, summary.participants.items, &text);
	CHECK_STR(text_str(&text), "The fight is over!\nWinner: Blue\nReward: 1250 xp, 100 gold, Шкура волка ×1");
}

static void leaves_out_lines_without_content(void)
{
	CLEANUP(text_release) struct text text = { 0 };
	struct fight_share nothing = { .char_id = 1 };
	struct fight_summary summary = { .finish_reason = FINISH_DRAW, .winner_team = "red" };

	result_text_write(LANGUAGE_EN, &summary, &nothing, &text);
	CHECK_STR(text_str(&text), "The fight is over!\nDraw");
	text_reset(&text);
	summary = (struct fight_summary){ .finish_reason = FINISH_FLEE };
	nothing.gold_gained = 3;
	result_text_write(LANGUAGE_RU, &summary, &nothing, &text);
	CHECK_STR(text_str(&text), "Бой уже завершен!\nНаграда: 3 золота");
}

static void grants_loot_only_where_items_gained_is_absent(void)
{
	struct gained_item none[1];
	struct loot_entry loot[] = { { .name = "fang", .qty = 2 },
		{ .item_template_id = "pelt", .name = "Pelt", .qty = 1 } };
	struct participant absent = { .ui_report = { .loot_obtained = { 2, loot } } };
	struct participant empty = { .changes = { .items_gained = { 0, none } },
		.ui_report = { .loot_obtained = { 2, loot } } };

	CHECK_INT(grants_count(&empty), 0);
	CHECK_INT(grants_count(&absent), 2);
	CHECK_STR(grant_at(&absent, 0).item_template_id, "fang");
	CHECK(grant_at(&absent, 0).by_name);
	CHECK_STR(grant_at(&absent, 1).item_template_id, "pelt");
	CHECK(!grant_at(&absent, 1).by_name);
}

static void names_loot_by_report_then_template_then_id(void)
{
	CLEANUP(scratch_release) struct scratch scratch = { .cap = 1 << 20 };
	const struct item_name known[] = { { "claw", "Коготь", "Claw" }, { "pelt", "Шкура", NULL } };
	struct gained_item gained[] = { { "pelt", 1 }, { "claw", 2 }, { "dust", 3 } };
	struct loot_entry loot[] = { { .item_template_id = "pelt", .name = "Шкура волка", .qty = 1 } };
	struct participant hero = { .changes = { .items_gained = { 3, gained } },
		.ui_report = { .loot_obtained = { 1, loot } } };
	struct fight_share share = fight_share_of(&hero, &(struct item_names){ known, 2 }, &scratch);
	const struct granted_item *items = share.items_gained.items;

	CHECK_STR(items[0].name, "Шкура волка");
	CHECK_STR(items[0].name_en, NULL);
	CHECK_STR(items[1].name, "Коготь");
	CHECK_STR(items[1].name_en, "Claw");
	CHECK_STR(items[2].name, NULL);
}

static void finds_what_tables_cannot_say(void)
{
	CLEANUP(scratch_release) struct scratch scratch = { .cap = 1 << 20 };
	const struct document_limits low = { 1, 10, 3 };
	struct durability_loss losses[] = { { "sword", 1 } };
	struct loot_entry loot[] = { { .qty = 4 } };
	struct participant people[] = {
		{ .char_id = 5,
			.changes = { .xp_gained = 11, .durability_loss = { 1, losses } },
			.ui_report = { .loot_obtained = { 1, loot } } },
		{ .char_id = 6 },
	};
	struct result_document document = { .participants = { 2, people } };
	static const char *const expected[] = { "meta.winner_team", "participants", "participants.5.changes.xp_gained",
		"participants.5.ui_report.loot_obtained.0.qty", "participants.5.ui_report.loot_obtained.0.name",
		"participants.5.changes.durability_loss.sword" };
	struct document_problem problems[8];

	if (!CHECK_INT(document_check(&document, &low, problems, 8, &scratch), ARRAY_LEN(expected)))
		return;
	for (size_t i = 0; i < ARRAY_LEN(expected); i++)
		CHECK_STR(problems[i].field, expected[i]);
	CHECK_INT(document_check(&document, &low, problems, 2, &scratch), 2);
}

static void a_tombstone_reads_back_as_it_was_written(void)
{
	CLEANUP(scratch_release) struct scratch scratch = { .cap = 1 << 20 };
	CLEANUP(text_release) struct text text = { 0 };
	struct problems problems = { 0 };
	struct result_document document;
	struct fight_summary summary, again;
	const struct fight_share *share;
	struct error err;

	if (!read_document(example, &document, &scratch))
		return;
	summary = fight_summary_of(&document, &no_names, &scratch);
	schema_write(&fight_summary_schema, &summary, &text);
	if (!CHECK(!schema_read(&fight_summary_schema, json_parse(text.bytes, text.len, &scratch, &err), &again,
		    &scratch, &problems)))
		return;
	share = fight_summary_find(&again, 101);
	if (!CHECK(share))
		return;
	CHECK_INT(share->xp_gained, 1250);
	CHECK_STR(((const struct granted_item *)share->items_gained.items)[0].name, "Шкура волка");
	CHECK(!fight_summary_find(&again, 102));
	text_reset(&text);
	fight_event_write(&again, "[]", 2, &text);
	CHECK_HAS(text_str(&text), "\"finished_at\":\"2024-12-29T08:13:20.000Z\"");
	CHECK_HAS(text_str(&text), "\"items_gained\":[{\"item_template_id\":\"wolf_pelt\",\"qty\":1}]");
}

static void an_event_is_as_its_schema_says(void)
{
	static const char shortfalls[] =
		"[{\"char_id\":101,\"inventory_id\":55,\"item_template_id\":\"hp_pot_small\",\"missing\":2}]";
	CLEANUP(scratch_release) struct scratch scratch;
	CLEANUP(text_release) struct text text = { 0 };
	struct fight_share share = { .char_id = 101, .xp_gained = 5 };
	struct fight_summary summary = { .session_id = { { 1 } }, .finished_at = { 1 }, .participants = { 1, &share } };
	struct problems problems = { 0 };
	struct error err;
	void *read;

	scratch_init(&scratch, 1 << 20);
	fight_event_write(&summary, shortfalls, sizeof(shortfalls) - 1, &text);
	read = scratch_alloc(&scratch, fight_event_schema.size);
	CHECK_INT(schema_read(&fight_event_schema, json_parse(text.bytes, text.len, &scratch, &err), read, &scratch,
			  &problems),
		0);
	text_reset(&text);
	schema_write(&fight_event_schema, read, &text);
	CHECK_HAS(text_str(&text), shortfalls);
	CHECK_HAS(text_str(&text), "\"participants\":{\"101\":{\"session_id\":");
}

static const struct check_test tests[] = {
	CHECK_TEST(reads_the_contracts_example),
	CHECK_TEST(says_it_in_both_languages),
	CHECK_TEST(leaves_out_lines_without_content),
	CHECK_TEST(grants_loot_only_where_items_gained_is_absent),
	CHECK_TEST(names_loot_by_report_then_template_then_id),
	CHECK_TEST(finds_what_tables_cannot_say),
	CHECK_TEST(an_event_is_as_its_schema_says),
	CHECK_TEST(a_tombstone_reads_back_as_it_was_written),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
