/* /metrics, /healthz and /readyz on ADMIN_ADDR, by libmicrohttpd in a thread of its own. */
#ifndef GARRISON_ADMIN_H
#define GARRISON_ADMIN_H

#include <stdbool.h>

#include "error.h"
#include "text.h"

/* What the process says of itself. Called on the admin thread: must not block. */
struct admin_source {
	bool (*healthy)(struct text *why);
	bool (*ready)(struct text *why); /* false while starting, draining or cut off; why in words */
	void (*metrics)(struct text *out);
};

/* Listens on "host:port" ("[::1]:9100" too). 0, or -1: err names the address. Main thread. */
int admin_start(const char *address, const struct admin_source *source, struct error *err);
void admin_stop(void);

#endif
