/*
 * The operator's tool: verbs in a table. A verb is one row in main.c and one file; this is what they stand on.
 */
#ifndef GARRISON_CTL_H
#define GARRISON_CTL_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "field.h"
#include "scratch.h"

/* sysexits.h's numbers. */
enum ctl_exit { CTL_DONE = 0, CTL_FAILED = 1, CTL_USAGE = 64, CTL_UNREACHABLE = 69, CTL_INTERNAL = 70 };

/* Settings that garrisonctl takes, of the same names as everywhere. Read-only after start. */
struct ctl_settings {
	const char *amqp_url;
	const char *rabbitmq_api_url;
	const char *redis_url;
	const char *database_url;
	int64_t startup_timeout_ms;
	struct list retry_delays; /* of struct retry_delay */
};
extern struct ctl_settings ctl_settings;

/* One run of one verb. */
struct invocation {
	const struct verb *verb;
	char **args; /* what follows the verb, without options and settings; verb->n_args of them */
	const void *options;
	bool json; /* --json: standard output holds JSON and nothing else */
	struct scratch scratch;
};

struct verb {
	const char *name;      /* one word or two */
	const char *arguments; /* as shown in --help */
	size_t n_args;
	const char *help;
	const struct schema *options; /* NULL for none but --json and --help */
	/*
	 * Does it, and writes the result to standard output. Returns an enum ctl_exit; for any but CTL_DONE err holds the one
	 * line that standard error gets.
	 */
	int (*run)(struct invocation *in, struct error *err);
	void (*more_help)(void); /* what else --help prints, or NULL */
};

/* Everything from argv to the exit code. */
int ctl_main(const struct verb *verbs, size_t n_verbs, int argc, char **argv);

/* The exit code for a failed operation: a server out of reach 69, what the caller wrote 64, internal 70, anything else 1. */
int ctl_failed(const struct error *err);

/* The rungs as milliseconds, in the scratch. */
const int64_t *ctl_delays(struct invocation *in, size_t *n);

/*
 * Of n names, those nearest to the word (few edits away), as " did you mean a or b?" in scratch; "" when none is near. names are
 * read by name(context, i).
 */
const char *ctl_suggest(const char *word, const char *(*name)(const void *context, size_t i), const void *context,
	size_t n, struct scratch *scratch);

#endif
