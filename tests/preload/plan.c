#include "plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAILURES_MAX 64
#define NAME_MAX_LEN 48

struct failure {
	char name[NAME_MAX_LEN];
	long number;
	enum fault how;
};

static struct failure failures[FAILURES_MAX];
static size_t n_failures;
static atomic_bool active;
static struct counted *_Atomic counters;

static const char *const words[] = { "none", "before", "after", "error" };

static void say(const char *what, const char *name, long number, const char *how)
{
	const char *path = getenv("FAIL_REPORT");
	char line[160];
	int n = snprintf(line, sizeof(line), "%s %s %ld %s\n", what, name, number, how);
	int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (fd < 0)
		return;
	if (write(fd, line, (size_t)n) != n)
		abort();
	close(fd);
}

/* NAME@NUMBER/HOW */
static void add_failure(const char *text)
{
	struct failure *failure = &failures[n_failures];
	char how[16];

	if (n_failures == FAILURES_MAX ||
		sscanf(text, "%47[^@]@%ld/%15[a-z]", failure->name, &failure->number, how) != 3) {
		fprintf(stderr, "FAIL_CALLS: cannot read \"%s\"\n", text);
		_exit(64);
	}
	for (int i = FAULT_BEFORE; i <= FAULT_ERROR; i++)
		if (strcmp(how, words[i]) == 0)
			failure->how = (enum fault)i;
	n_failures++;
}

__attribute__((constructor)) static void plan_read(void)
{
	const char *calls = getenv("FAIL_CALLS");
	char text[NAME_MAX_LEN + 40];

	if (!calls || strncmp(program_invocation_short_name, "garrison", 8) != 0)
		return;
	while (*calls) {
		size_t len = strcspn(calls, ",");

		snprintf(text, sizeof(text), "%.*s", (int)len, calls);
		if (len)
			add_failure(text);
		calls += len + (calls[len] == ',');
	}
	atomic_store(&active, true);
}

__attribute__((destructor)) static void plan_tell(void)
{
	if (!atomic_exchange(&active, false))
		return;
	for (struct counted *counted = atomic_load(&counters); counted; counted = counted->next)
		say("calls", counted->label, atomic_load(&counted->calls), "");
}

enum fault plan_next(struct counted *counted)
{
	long number;
	int kept = errno;

	if (!atomic_load(&active))
		return FAULT_NONE;
	if (!atomic_exchange(&counted->listed, true)) {
		counted->next = atomic_load(&counters);
		while (!atomic_compare_exchange_weak(&counters, &counted->next, counted))
			;
	}
	number = atomic_fetch_add(&counted->calls, 1) + 1;
	for (size_t i = 0; i < n_failures; i++) {
		if (failures[i].number != number || strcmp(failures[i].name, counted->label) != 0)
			continue;
		say("fired", counted->label, number, words[failures[i].how]);
		errno = kept;
		return failures[i].how;
	}
	return FAULT_NONE;
}
