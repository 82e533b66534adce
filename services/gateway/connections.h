/* The open connections: whose they are, how many one address has, and until when each may take for what it does. */
#ifndef GATEWAY_CONNECTIONS_H
#define GATEWAY_CONNECTIONS_H

#include <stdatomic.h>
#include <stdint.h>

#include "network.h"

/* No deadline: the connection waits for us. */
#define CONNECTION_PATIENT INT64_MAX

struct connection {
	struct connection *next, **link;
	int fd;
	struct address peer;
	_Atomic int64_t deadline_ms; /* monotonic; past it the connection is cut */
};

/* A new connection, in the list; freed by connection_close(). The server's threads. */
struct connection *connection_open(int fd, const struct address *peer, int64_t deadline_ms);
/* Before its descriptor is closed. */
void connection_close(struct connection *connection);
/* How many connections this address has. Any thread. */
size_t connections_of(const struct address *address);
/* Cuts those past their deadline. Any thread. */
void connections_sweep(int64_t now_ms);

#endif
