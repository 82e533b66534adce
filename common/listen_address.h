/* Where to listen: "host:port" of a setting. */
#ifndef GARRISON_LISTEN_ADDRESS_H
#define GARRISON_LISTEN_ADDRESS_H

#include <netdb.h>

#include "error.h"

/*
 * Resolves "host:port", "[::1]:port" or ":port" (every address). 0 and *found, which the caller frees by freeaddrinfo(); -1 with err
 * quoting the text. Main thread, at start.
 */
int listen_address(const char *text, struct addrinfo **found, struct error *err);

#endif
