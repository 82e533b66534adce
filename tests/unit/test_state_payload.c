/* link: services/state-backup/payload.c */
#include "services/state-backup/payload.h"

#include <string.h>

#include "tests/unit/check.h"

static void what_is_added_comes_back(void)
{
	struct scratch scratch;
	struct text payload = { 0 };
	struct bytes *parts = NULL;
	char every[256];
	size_t n = 0;

	for (size_t i = 0; i < sizeof(every); i++)
		every[i] = (char)i;
	scratch_init(&scratch, 1 << 20);
	payload_add(&payload, every, sizeof(every));
	payload_add(&payload, "", 0);
	CHECK_INT((int64_t)payload.len, 4 + 256 + 4);
	CHECK_INT(payload.bytes[2], 1); /* most significant first */
	CHECK_INT(payload_split(payload.bytes, payload.len, &scratch, &parts, &n), 0);
	CHECK_INT((int64_t)n, 2);
	CHECK(parts[0].len == sizeof(every) && !memcmp(parts[0].at, every, sizeof(every)));
	CHECK_INT((int64_t)parts[1].len, 0);
	text_release(&payload);
	scratch_release(&scratch);
}

static void what_is_no_payload_is_refused(void)
{
	struct scratch scratch;
	struct text payload = { 0 };
	struct bytes *parts = NULL;
	size_t n = 77;

	scratch_init(&scratch, 1 << 20);
	payload_add(&payload, "field", 5);
	CHECK_INT(payload_split(payload.bytes, payload.len, &scratch, &parts, &n), -1); /* a field without a value */
	payload_add(&payload, "value", 5);
	for (size_t len = 0; len < payload.len; len++)
		CHECK_INT(payload_split(payload.bytes, len, &scratch, &parts, &n), -1);
	CHECK_INT(payload_split("\xff\xff\xff\xff....", 8, &scratch, &parts, &n), -1);
	CHECK(!parts && n == 77);
	text_release(&payload);
	scratch_release(&scratch);
}

static const struct check_test tests[] = {
	CHECK_TEST(what_is_added_comes_back),
	CHECK_TEST(what_is_no_payload_is_refused),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
