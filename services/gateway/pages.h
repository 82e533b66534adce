/* What the gateway itself answers: probes, keys, its own description. */
#ifndef GATEWAY_PAGES_H
#define GATEWAY_PAGES_H

#include "route.h"

extern const struct page health_page, readiness_page, openapi_page, docs_page, jwks_page;

/* Makes what stays the same for the process's life. Main thread, before any request; and at the end. */
void pages_make(void);
void pages_release(void);

#endif
