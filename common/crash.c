#include "crash.h"

#ifdef GARRISON_CRASH_POINTS
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

void crash_point(const char *site)
{
	static atomic_long reached;
	const char *wanted = getenv("CRASH_AT");
	size_t len = strlen(site);

	if (!wanted || strncmp(wanted, site, len) != 0 || wanted[len] != ':')
		return;
	if (atomic_fetch_add(&reached, 1) + 1 == strtol(wanted + len + 1, NULL, 10))
		raise(SIGKILL);
}
#endif
