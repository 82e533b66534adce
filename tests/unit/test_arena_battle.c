/* link: services/arena/battle.c */
#include "check.h"
#include "services/arena/battle.h"

#define SESSION "0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11"

static void reads_what_the_script_writes(void)
{
	CLEANUP(scratch_release) struct scratch scratch;
	struct battle battle;
	struct error err;
	char id[UUID_TEXT_MAX];

	scratch_init(&scratch, 4096);
	if (!CHECK(!battle_parse(SESSION, "1v1 101 100 102 117 1735460000123456", &scratch, &battle, &err)))
		return;
	const struct battle_participant *two = battle.participants.items;

	CHECK_STR(uuid_format(&battle.session_id, id), SESSION);
	CHECK_STR(battle.mode, "1v1");
	CHECK_INT(battle.participants.n, 2);
	CHECK_INT(two[0].char_id, 101);
	CHECK_INT(two[0].gear_score, 100);
	CHECK_INT(two[1].char_id, 102);
	CHECK_INT(two[1].gear_score, 117);
	CHECK_INT(battle.matched_at.us, 1735460000123456);
	CHECK_INT(battle_opponent(&battle, 101), 102);
	CHECK_INT(battle_opponent(&battle, 102), 101);
	CHECK_INT(battle_opponent(&battle, 103), 0);
}

static void refuses_what_is_no_battle(void)
{
	static const char *const texts[] = {
		"",
		"1v1",
		" 101 100 102 117 1735460000123456",
		"1v1 101 100 102 117",
		"1v1 101 100 102 117 1735460000123456 more",
		"1v1 101 one 102 117 1735460000123456",
	};
	CLEANUP(scratch_release) struct scratch scratch;
	struct battle battle;
	struct error err;

	scratch_init(&scratch, 4096);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CHECK(battle_parse(SESSION, texts[i], &scratch, &battle, &err) == -1);
		CHECK_INT(err.code, CODE_INTERNAL);
		CHECK_HAS(err.text, SESSION);
	}
	CHECK(battle_parse("no session", "1v1 101 100 102 117 1735460000123456", &scratch, &battle, &err) == -1);
}

static const struct check_test tests[] = {
	CHECK_TEST(reads_what_the_script_writes),
	CHECK_TEST(refuses_what_is_no_battle),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
