/* A request from its headers to the moment its body is complete. All on the connection's thread. */
#ifndef GATEWAY_REQUEST_H
#define GATEWAY_REQUEST_H

#include "exchange.h"

/*
 * The headers are complete: who calls what. Fills the exchange, and its refusal where there is one: the body is then read and thrown
 * away, so that the caller gets to read the answer. False: the refusal must be answered now and the connection closed.
 */
bool request_begin(struct exchange *exchange, const char *method, const char *version);
/* A part of the body. False: the connection must be cut. */
bool request_body(struct exchange *exchange, const char *bytes, size_t len);
/* The body is complete: answers, or sends the command on. */
enum MHD_Result request_complete(struct exchange *exchange);

#endif
