#include <stdalign.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "scratch.h"

static bool all_zero(const char *memory, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (memory[i])
			return false;
	return true;
}

static void memory_is_zeroed_and_aligned(void)
{
	CLEANUP(scratch_release) struct scratch scratch;

	scratch_init(&scratch, 1 << 20);
	for (int round = 0; round < 3; round++) {
		for (size_t size = 0; size < 300; size++) {
			char *memory = scratch_alloc(&scratch, size);

			CHECK_INT((uintptr_t)memory % alignof(max_align_t), 0);
			CHECK(all_zero(memory, size));
			memset(memory, 0xff, size);
		}
		scratch_reset(&scratch);
		CHECK_INT(scratch.used, 0);
	}
}

static void pieces_do_not_overlap(void)
{
	CLEANUP(scratch_release) struct scratch scratch;
	char *pieces[200];

	scratch_init(&scratch, 1 << 24);
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		pieces[i] = scratch_alloc(&scratch, i * 50 + 1);
		memset(pieces[i], (int)i, i * 50 + 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
		for (size_t j = 0; j <= i * 50; j++)
			if (!CHECK_INT((unsigned char)pieces[i][j], i))
				return;
}

static void the_cap_holds(void)
{
	CLEANUP(scratch_release) struct scratch scratch;

	scratch_init(&scratch, 1000);
	CHECK(!scratch_try(&scratch, 1001));
	CHECK(!scratch_try(&scratch, SIZE_MAX));
	CHECK(!scratch_try(&scratch, SIZE_MAX - 8));
	CHECK(scratch_try(&scratch, 960) != NULL);
	CHECK(scratch_try(&scratch, 32) != NULL);
	CHECK(!scratch_try(&scratch, 16));
	CHECK(scratch.used <= 1000);
	scratch_reset(&scratch);
	CHECK(scratch_try(&scratch, 992) != NULL);
	scratch_release(&scratch);
	CHECK(scratch_try(&scratch, 1) != NULL);
	scratch_release(&scratch);
	scratch_init(&scratch, 0);
	CHECK(!scratch_try(&scratch, 0));
}

static void large_memory_is_given_back(void)
{
	CLEANUP(scratch_release) struct scratch scratch;
	const void *kept;

	scratch_init(&scratch, 1 << 24);
	kept = scratch_alloc(&scratch, 100);
	scratch_alloc(&scratch, 8 << 20);
	scratch_reset(&scratch);
	/* One block is left, and it is the small one. */
	CHECK(scratch_alloc(&scratch, 100) == kept);
}

static void copies(void)
{
	CLEANUP(scratch_release) struct scratch scratch;
	int64_t *numbers;

	scratch_init(&scratch, 1 << 16);
	CHECK_STR(scratch_strdup(&scratch, "word"), "word");
	CHECK_STR(scratch_strdup(&scratch, ""), "");
	CHECK_STR(scratch_memdup(&scratch, "words", 4), "word");
	CHECK_STR(scratch_memdup(&scratch, NULL, 0), "");
	CHECK_STR(scratch_printf(&scratch, "%s-%d", "a", 7), "a-7");
	CHECK_INT(strlen(scratch_printf(&scratch, "%05000d", 1)), 5000);
	numbers = scratch_array(&scratch, 10, sizeof(*numbers));
	CHECK_INT(numbers[9], 0);
}

static const struct check_test tests[] = {
	CHECK_TEST(memory_is_zeroed_and_aligned),
	CHECK_TEST(pieces_do_not_overlap),
	CHECK_TEST(the_cap_holds),
	CHECK_TEST(large_memory_is_given_back),
	CHECK_TEST(copies),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
