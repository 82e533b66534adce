#include "check.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static atomic_size_t failures;

static void failed_at(const char *file, int line)
{
	atomic_fetch_add(&failures, 1);
	fprintf(stderr, "%s:%d: ", file, line);
}

bool check_true(bool held, const char *expression, const char *file, int line)
{
	if (held)
		return true;
	failed_at(file, line);
	fprintf(stderr, "%s does not hold\n", expression);
	return false;
}

bool check_int(int64_t actual, int64_t expected, const char *expression, const char *file, int line)
{
	if (actual == expected)
		return true;
	failed_at(file, line);
	fprintf(stderr, "%s is %" PRId64 ", expected %" PRId64 "\n", expression, actual, expected);
	return false;
}

bool check_str(const char *actual, const char *expected, const char *expression, const char *file, int line)
{
	if (actual == expected || (actual && expected && strcmp(actual, expected) == 0))
		return true;
	failed_at(file, line);
	fprintf(stderr, "%s is \"%s\", expected \"%s\"\n", expression, actual ? actual : "(null)",
		expected ? expected : "(null)");
	return false;
}

bool check_has(const char *actual, const char *part, const char *expression, const char *file, int line)
{
	if (actual && strstr(actual, part))
		return true;
	failed_at(file, line);
	fprintf(stderr, "%s is \"%s\", which does not hold \"%s\"\n", expression, actual ? actual : "(null)", part);
	return false;
}

static void run_one(const struct check_test *test)
{
	size_t before = atomic_load(&failures);

	test->run();
	printf("%s %s\n", atomic_load(&failures) == before ? "ok" : "FAILED", test->name);
	fflush(stdout);
}

static const struct check_test *find_test(const struct check_test *tests, size_t n_tests, const char *name)
{
	for (size_t i = 0; i < n_tests; i++)
		if (strcmp(tests[i].name, name) == 0)
			return &tests[i];
	return NULL;
}

int check_main(const struct check_test *tests, size_t n_tests, int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (size_t i = 0; i < n_tests; i++)
			printf("%s\n", tests[i].name);
		return 0;
	}
	for (size_t i = 0; argc == 1 && i < n_tests; i++)
		run_one(&tests[i]);
	for (int i = 1; i < argc; i++) {
		const struct check_test *test = find_test(tests, n_tests, argv[i]);

		if (!test) {
			fprintf(stderr, "there is no test named %s\n", argv[i]);
			return 1;
		}
		run_one(test);
	}
	return atomic_load(&failures) ? 1 : 0;
}
