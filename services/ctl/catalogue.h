/* The commands of all services, as the build found them: what each binary's --describe says, embedded. */
#ifndef GARRISON_CATALOGUE_H
#define GARRISON_CATALOGUE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "error.h"
#include "scratch.h"

/*
 * The description of the command "service.command", living in scratch. NULL: unknown_command, with the nearest names. Any thread.
 */
const cJSON *catalogue_find(const char *routing_key, struct scratch *scratch, struct error *err);
/* True when a request of any of the service's commands has a secret field. Any thread. */
bool catalogue_takes_secrets(const char *service);
/* True when the command may be sent by this lane, "durable" or "rpc". */
bool catalogue_has_lane(const cJSON *command, const char *lane);
/* Prints the names of all commands, each with its help. */
void catalogue_print(void);

#endif
