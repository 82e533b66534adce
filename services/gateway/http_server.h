/* The HTTP front: libmicrohttpd with limits and deadlines of our own, started, drained and stopped by service_main. */
#ifndef GATEWAY_HTTP_SERVER_H
#define GATEWAY_HTTP_SERVER_H

#include "error.h"
#include "text.h"

/* Begins to take requests at GATEWAY_ADDR. 0/-1. Main thread, like the next two. */
int http_server_start(struct error *err);
/* Takes no more connections, closes each after its answer, answers what is in flight; at the deadline with unavailable. */
void http_server_drain(int64_t deadline_ms);
/* Frees everything. */
void http_server_stop(void);
/* More of /metrics. The admin port's thread. */
void http_server_metrics(struct text *out);

#endif
