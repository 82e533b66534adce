/* Commands on their way to the services, and the answers on their way back. */
#ifndef GATEWAY_FORWARD_H
#define GATEWAY_FORWARD_H

#include "exchange.h"

/*
 * The request has been read to its end: sends its command and suspends the connection, or answers at once why not. The
 * connection's thread.
 */
enum MHD_Result forward_command(struct exchange *exchange);
/* The connection has been resumed: answers with what came. The connection's thread. */
enum MHD_Result forward_answer(struct exchange *exchange);

#endif
