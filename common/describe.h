/* What a service says of itself, from its tables. */
#ifndef GARRISON_DESCRIBE_H
#define GARRISON_DESCRIBE_H

#include "service.h"
#include "settings.h"

/* --help: summary, commands with their fields, every setting with default, unit and meaning. Main thread. */
void describe_help(
	const struct service *service, const struct settings_group *groups, size_t n_groups, struct text *out);
/*
 * --describe, as one JSON object:
 * {"service","summary","version","settings":[{"name","default","unit","help","secret"}],
 * "commands":[{"name","help","request":<JSON Schema>,"result":<JSON
 * Schema>,"lanes":["durable","rpc"],"timeout_ms","max_attempts", "body_max"}],"timers":[…],"queues":[…]}. Main thread.
 */
void describe_json(
	const struct service *service, const struct settings_group *groups, size_t n_groups, struct text *out);

#endif
