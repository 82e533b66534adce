/* One log line a request. */
#ifndef GATEWAY_ACCESS_LOG_H
#define GATEWAY_ACCESS_LOG_H

#include "exchange.h"

/* Logs and counts an exchange that is over; whole: the caller has got its answer. The connection's thread. */
void access_log_write(const struct exchange *exchange, bool whole);

#endif
