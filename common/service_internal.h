/* What service_main's files share. */
#ifndef GARRISON_SERVICE_INTERNAL_H
#define GARRISON_SERVICE_INTERNAL_H

#include "bus.h"
#include "service.h"

#define EXIT_USAGE 64
#define EXIT_UNAVAILABLE 69
#define EXIT_INTERNAL 70

/* service_settings.c: the settings every service has; the default of MAX_CONCURRENT_TASKS is the service's own. At start. */
const struct schema *common_settings_schema(const struct service *service);

/*
 * service_start.c: waits until all servers the service needs answer and hold what it needs (topology, schema), and runs its
 * .start. 0; the exit code when that cannot be; -1 when asked to stop meanwhile. Leaves bus connected. Main thread.
 */
int await_servers(const struct service *service, struct bus *bus);
/* True when SIGTERM or SIGINT came within wait_ms. Main thread. */
bool stop_asked(int wait_ms);

#endif
