/* The HTTP front: libmicrohttpd with limits and deadlines of our own, started, drained and stopped by service_main. */
#ifndef GATEWAY_HTTP_SERVER_H
#define GATEWAY_HTTP_SERVER_H

#include "service.h"

/*
 * Takes requests at GATEWAY_ADDR. Draining, it takes no more connections, closes each after its answer, answers what is in flight; at
 * the deadline with unavailable.
 */
extern const struct front http_server;

#endif
