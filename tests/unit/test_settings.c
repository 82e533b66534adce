#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "settings.h"

struct common {
	int64_t interval_ms;
	const char *password;
	int level;
};
struct own {
	int64_t batch;
	const char *modes;
};

static const char *const levels[] = { "debug", "info" };
static const struct field common_fields[] = {
	FIELD(struct common, interval_ms, .as = "TICK_INTERVAL", .unit = UNIT_MS, .min = 1, .max = -1, .preset = "6m"),
	FIELD(struct common, password, .as = "PASSWORD", .secret = true, .min = 8, .max = 64),
	FIELD(struct common, level, .as = "LOG_LEVEL", .choices = levels, .n_choices = 2, .preset = "info"),
};
static const struct schema common_schema = SCHEMA(struct common, common_fields);
static const struct field own_fields[] = {
	FIELD(struct own, batch, .as = "BATCH_SIZE", .min = 1, .max = 1000, .preset = "500"),
	FIELD(struct own, modes, .as = "MODES", .required = true),
};
static const struct schema own_schema = SCHEMA(struct own, own_fields);

static struct common common;
static struct own own;
static const struct settings_group groups[] = { { &common_schema, &common }, { &own_schema, &own } };
static struct scratch scratch;
static char folder[] = "/tmp/test_settings.XXXXXX";

static void clear(void)
{
	static const char *const names[] = { "TICK_INTERVAL", "PASSWORD", "LOG_LEVEL", "BATCH_SIZE" };
	char file[64];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(file, sizeof(file), "%s_FILE", names[i]);
		unsetenv(names[i]);
		unsetenv(file);
	}
	setenv("MODES", "1v1", 1);
}

/* Loads with these arguments (NULL at the end); "" or what is said against it. */
static const char *load(const char *first, const char *second)
{
	static struct error err;
	char one[256], two[256];
	char *arguments[2] = { one, two };

	scratch_reset(&scratch);
	snprintf(one, sizeof(one), "%s", first ? first : "");
	snprintf(two, sizeof(two), "%s", second ? second : "");
	if (settings_load(groups, ARRAY_LEN(groups), !!first + !!second, arguments, &scratch, &err)) {
		CHECK_INT(err.code, CODE_INVALID_PAYLOAD);
		return err.text;
	}
	return "";
}

/* Writes a file of the test's folder; its path. */
static const char *file_with(const char *name, const void *bytes, size_t len)
{
	static char path[128];
	CLEANUP(release_fd) int fd = -1;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	return path;
}

static void defaults_then_environment_then_arguments(void)
{
	clear();
	CHECK_STR(load(NULL, NULL), "");
	CHECK_INT(common.interval_ms, 360000);
	CHECK_STR(common.password, NULL);
	CHECK_INT(common.level, 1);
	CHECK_INT(own.batch, 500);
	CHECK_STR(own.modes, "1v1");
	setenv("TICK_INTERVAL", "2s", 1);
	setenv("LOG_LEVEL", "debug", 1);
	CHECK_STR(load(NULL, NULL), "");
	CHECK_INT(common.interval_ms, 2000);
	CHECK_INT(common.level, 0);
	CHECK_STR(load("TICK_INTERVAL=500ms", "MODES=a=b"), "");
	CHECK_INT(common.interval_ms, 500);
	CHECK_STR(own.modes, "a=b");
	CHECK_INT(common.level, 0);
}

static void empty_values_are_none(void)
{
	clear();
	setenv("TICK_INTERVAL", "", 1);
	CHECK_STR(load(NULL, NULL), "");
	CHECK_INT(common.interval_ms, 360000);
	setenv("TICK_INTERVAL", "2s", 1);
	CHECK_STR(load("TICK_INTERVAL=", NULL), "");
	CHECK_INT(common.interval_ms, 360000);
	CHECK_STR(load("MODES=", NULL), "MODES is required");
	setenv("PASSWORD", "", 1);
	setenv("PASSWORD_FILE", file_with("empty", "\n", 1), 1);
	CHECK_STR(load(NULL, NULL), "");
	CHECK_STR(common.password, NULL);
}

static void values_come_from_files(void)
{
	clear();
	setenv("PASSWORD_FILE", file_with("password", "correct horse\n", 14), 1);
	CHECK_STR(load(NULL, NULL), "");
	CHECK_STR(common.password, "correct horse");
	setenv("PASSWORD_FILE", file_with("two", "correct horse\n\n", 15), 1);
	CHECK_STR(load(NULL, NULL), "");
	CHECK_STR(common.password, "correct horse\n");
	setenv("PASSWORD", "battery staple", 1);
	CHECK_STR(load(NULL, NULL), "PASSWORD and PASSWORD_FILE are both given");
	CHECK_STR(load("PASSWORD=an argument", NULL), "");
	CHECK_STR(common.password, "an argument");
	CHECK_STR(load("PASSWORD_FILE=/nowhere/at/all", NULL),
		"PASSWORD_FILE: cannot read /nowhere/at/all: No such file or directory");
	clear();
	setenv("PASSWORD_FILE", folder, 1);
	CHECK_HAS(load(NULL, NULL), "Is a directory");
	setenv("PASSWORD_FILE", file_with("nul", "12345678\0x", 10), 1);
	CHECK_HAS(load(NULL, NULL), "it holds a NUL byte");
}

static void large_files_are_refused(void)
{
	static char bytes[64 * 1024 + 1];
	const char *path;

	clear();
	memset(bytes, 'x', sizeof(bytes));
	path = file_with("large", bytes, sizeof(bytes));
	setenv("MODES", "", 1);
	setenv("MODES_FILE", path, 1);
	CHECK_HAS(load(NULL, NULL), "larger than 64 KiB");
	file_with("large", bytes, sizeof(bytes) - 1);
	CHECK_STR(load(NULL, NULL), "");
	CHECK_INT(strlen(own.modes), sizeof(bytes) - 1);
	unsetenv("MODES_FILE");
}

static void bad_values_are_named(void)
{
	clear();
	setenv("TICK_INTERVAL", "6x", 1);
	CHECK_STR(load(NULL, NULL), "TICK_INTERVAL: \"6x\" is not a duration (a whole number and its unit: 500ms, 10s, "
				    "6m, 24h, 30d)");
	CHECK_STR(load("TICK_INTERVAL=0", NULL), "TICK_INTERVAL: \"0\" must be at least 1ms");
	clear();
	CHECK_STR(load("LOG_LEVEL=loud", NULL), "LOG_LEVEL: \"loud\" must be one of debug, info");
	CHECK_STR(load("BATCH_SIZE=1001", NULL), "BATCH_SIZE: \"1001\" must be between 1 and 1000");
}

static void secrets_are_never_repeated(void)
{
	clear();
	CHECK_STR(load("PASSWORD=short", NULL), "PASSWORD: the value must be 8 to 64 characters long");
	setenv("PASSWORD_FILE", file_with("short", "short", 5), 1);
	CHECK_STR(load(NULL, NULL), "PASSWORD: the value must be 8 to 64 characters long");
}

static void unknown_arguments_are_refused(void)
{
	clear();
	CHECK_STR(load("TICK_INTERVALL=1s", NULL), "there is no setting TICK_INTERVALL; --help lists them");
	CHECK_STR(load("_FILE=x", NULL), "there is no setting _FILE; --help lists them");
	CHECK_STR(load("=x", NULL), "there is no setting ; --help lists them");
	CHECK_STR(load("TICK_INTERVAL", NULL), "\"TICK_INTERVAL\" is not NAME=value");
	/* A URL where a setting is wanted: its password stays unseen. */
	CHECK_STR(load("amqp://u:hunter2@h/", NULL), "\"amqp\" is not NAME=value");
	CHECK_STR(load("amqp://u:hunter2@h/?heartbeat=5", NULL), "there is no setting amqp; --help lists them");
	CHECK_STR(load("TICK_INTERVAL=1s", "TICK_INTERVAL=1s"), "TICK_INTERVAL is given twice");
	CHECK_STR(load("PASSWORD=12345678", "PASSWORD_FILE=/x"), "PASSWORD and PASSWORD_FILE are both given");
}

static void durations_go_both_ways(void)
{
	static const struct {
		const char *text;
		int64_t ms;
		const char *again;
	} cases[] = {
		{ "0", 0, "0" },
		{ "0s", 0, "0" },
		{ "500ms", 500, "500ms" },
		{ "1500ms", 1500, "1500ms" },
		{ "90s", 90000, "90s" },
		{ "60s", 60000, "1m" },
		{ "10m", 600000, "10m" },
		{ "24h", 86400000, "1d" },
		{ "30d", 2592000000, "30d" },
	};
	static const char *const bad[] = { "", "1", "s", "-1s", "+1s", " 1s", "1 s", "1S", "1sec", "1.5s", "1s ",
		"99999999999999999d", "99999999999999999999999s", "0x10s" };
	char buffer[DURATION_TEXT_MAX];
	int64_t ms;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CHECK_INT(duration_parse(cases[i].text, &ms), 0);
		CHECK_INT(ms, cases[i].ms);
		CHECK_STR(duration_format(ms, buffer), cases[i].again);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ms = 77;
		if (!CHECK_INT(duration_parse(bad[i], &ms), -1) || !CHECK_INT(ms, 77))
			fprintf(stderr, "\tfor \"%s\"\n", bad[i]);
	}
}

static const struct check_test tests[] = {
	CHECK_TEST(defaults_then_environment_then_arguments),
	CHECK_TEST(empty_values_are_none),
	CHECK_TEST(values_come_from_files),
	CHECK_TEST(large_files_are_refused),
	CHECK_TEST(bad_values_are_named),
	CHECK_TEST(secrets_are_never_repeated),
	CHECK_TEST(unknown_arguments_are_refused),
	CHECK_TEST(durations_go_both_ways),
};

int main(int argc, char **argv)
{
	static const char *const files[] = { "empty", "password", "two", "nul", "large", "short" };
	int rc;

	if (!mkdtemp(folder))
		return 1;
	scratch_init(&scratch, 1 << 20);
	rc = check_main(tests, ARRAY_LEN(tests), argc, argv);
	scratch_release(&scratch);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
		unlink(path);
	}
	rmdir(folder);
	return rc;
}
