/* What a container's health check runs: the binary itself asks the process that serves on ADMIN_ADDR, so no shell is needed. */
#ifndef GARRISON_HEALTHCHECK_H
#define GARRISON_HEALTHCHECK_H

#include "error.h"

/*
 * GET /healthz of the process that listens on this "host:port" (a host that means every address means this machine). 0 when it
 * answers 200 within timeout_ms; -1 with what it did instead. Any thread.
 */
int healthcheck(const char *address, int timeout_ms, struct error *err);

#endif
