/* A command's row with the defaults for what it leaves out. Used by describe*.c alone. */
#ifndef GARRISON_DESCRIBE_FACTS_H
#define GARRISON_DESCRIBE_FACTS_H

#include "describe.h"

struct command_facts {
	bool durable, rpc;
	int64_t timeout_ms;
	int64_t max_attempts;
	size_t body_max;
};

/* Main thread. */
struct command_facts command_facts(const struct command *command, const struct settings_group *groups, size_t n_groups);
/* What a setting takes, in words: "duration, 1ms to 1h". Main thread. */
void setting_in_words(const struct field *field, struct text *out);
/* The default of a setting as its table spells it, or NULL. Main thread. */
const char *setting_preset(const struct settings_group *groups, size_t n_groups, const char *name);

#endif
