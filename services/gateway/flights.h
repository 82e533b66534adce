/*
 * The exchanges in flight: their connections are suspended until the answer is there, or the time is up. While a connection is
 * suspended libmicrohttpd looks neither at its time nor at its other end, and must not be stopped.
 */
#ifndef GATEWAY_FLIGHTS_H
#define GATEWAY_FLIGHTS_H

#include "exchange.h"

/* Is there room for one more? The server's threads. */
bool flights_have_room(void);
/*
 * Suspends the exchange's connection until flight_end(); timeout_ms from now at the latest. False, and nothing done: no room, or closed. The server's
 * threads.
 */
bool flight_begin(struct exchange *exchange, int timeout_ms);
/*
 * The end of an exchange in flight, told to whoever waits; only the first end counts. body (copied) is a service's whole reply,
 * for CODE_OK. message: for the others. Any thread.
 */
void flight_end(struct exchange *exchange, enum code code, const char *body, size_t body_len, const char *message);
/* Ends those past their time. Any thread. */
void flights_expire(int64_t now_ms);
/* Ends all, and lets no more begin. Returns when none is suspended. Main thread. */
void flights_close(const char *message);

#endif
