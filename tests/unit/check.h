/*
 * Unit tests are plain functions in a const table:
 *
 *	static void adds_up(void)
 *	{
 *		CHECK_INT(1 + 1, 2);
 *	}
 *
 *	static const struct check_test tests[] = {
 *		CHECK_TEST(adds_up),
 *	};
 *
 *	int main(int argc, char **argv)
 *	{
 *		return check_main(tests, ARRAY_LEN(tests), argc, argv);
 *	}
 *
 * Each tests/unit/test_*.c is a program of its own, linked with common/ and topology/, and with the files of services that it
 * names in comments of one line each, spelled just so:
 *
 *	/ * link: services/tick/rules.c services/tick/loot.c * /	(without the spaces inside the delimiters)
 *
 * A failed check is printed with its place and counted; the test goes on. Each check says whether it held, so that a test
 * can stop where going on makes no sense. Checks may be made from any thread.
 */
#ifndef GARRISON_CHECK_H
#define GARRISON_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"

struct check_test {
	const char *name;
	void (*run)(void);
};

#define CHECK_TEST(function)                                                                                           \
	{                                                                                                              \
#function, function                                                                                    \
	}

/* The condition holds. */
#define CHECK(condition) check_true((condition), #condition, __FILE__, __LINE__)
/* Two integers that fit int64_t are equal. */
#define CHECK_INT(actual, expected) check_int((actual), (expected), #actual, __FILE__, __LINE__)
/* Two strings are equal; NULL equals NULL only. */
#define CHECK_STR(actual, expected) check_str((actual), (expected), #actual, __FILE__, __LINE__)
/* The string holds the part. */
#define CHECK_HAS(actual, part) check_has((actual), (part), #actual, __FILE__, __LINE__)

bool check_true(bool held, const char *expression, const char *file, int line);
bool check_int(int64_t actual, int64_t expected, const char *expression, const char *file, int line);
bool check_str(const char *actual, const char *expected, const char *expression, const char *file, int line);
bool check_has(const char *actual, const char *part, const char *expression, const char *file, int line);

/* Runs all tests, or those named by the arguments; --list names them. Returns the exit code: 0, or 1 if a check failed. */
int check_main(const struct check_test *tests, size_t n_tests, int argc, char **argv);

#endif
