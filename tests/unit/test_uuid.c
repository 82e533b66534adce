#include <stdio.h>
#include <string.h>

#include "check.h"
#include "uuid.h"

static void goes_both_ways(void)
{
	char buffer[UUID_TEXT_MAX];
	struct uuid uuid;

	CHECK_INT(uuid_parse("0B9C0C1E-7a0e-4A53-9f3e-0d5a2f1a6b11", &uuid), 0);
	CHECK_INT(uuid.bytes[0], 0x0b);
	CHECK_INT(uuid.bytes[15], 0x11);
	CHECK_STR(uuid_format(&uuid, buffer), "0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11");
}

static void refuses_what_is_no_uuid(void)
{
	static const char *const cases[] = { "", "0b9c0c1e", "0b9c0c1e7a0e4a539f3e0d5a2f1a6b11",
		"0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b1", "0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b111",
		"0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b1g", "{0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11}",
		"0b9c0c1e_7a0e-4a53-9f3e-0d5a2f1a6b11", " 0b9c0c1e-7a0e-4a53-9f3e-0d5a2f1a6b11",
		"0b9c0c1-e7a0e-4a53-9f3e-0d5a2f1a6b11", "0b9c0c1e-7a0e-4a53-9f3e-", "0" };
	struct uuid uuid = { "untouched" };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (!CHECK_INT(uuid_parse(cases[i], &uuid), -1))
			fprintf(stderr, "\tfor %s\n", cases[i]);
	CHECK(!memcmp(uuid.bytes, "untouched", 9));
}

static void orders_as_its_text(void)
{
	struct uuid before = { { 0 } }, after;

	for (int i = 0; i < 200; i++) {
		char a[UUID_TEXT_MAX], b[UUID_TEXT_MAX];

		after = uuid_random();
		CHECK((uuid_compare(&before, &after) < 0) ==
			(strcmp(uuid_format(&before, a), uuid_format(&after, b)) < 0));
		before = after;
	}
}

static void random_ones_are_version_4(void)
{
	struct uuid last = { { 0 } };

	CHECK(uuid_is_nil(&last));
	for (int i = 0; i < 100; i++) {
		struct uuid uuid = uuid_random();

		CHECK_INT(uuid.bytes[6] >> 4, 4);
		CHECK_INT(uuid.bytes[8] >> 6, 2);
		CHECK(uuid_compare(&uuid, &last) != 0);
		CHECK(!uuid_is_nil(&uuid));
		last = uuid;
	}
}

static const struct check_test tests[] = {
	CHECK_TEST(goes_both_ways),
	CHECK_TEST(refuses_what_is_no_uuid),
	CHECK_TEST(orders_as_its_text),
	CHECK_TEST(random_ones_are_version_4),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
