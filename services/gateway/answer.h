/* What goes back to the HTTP caller: a response with the headers that every answer has. All on the connection's thread. */
#ifndef GATEWAY_ANSWER_H
#define GATEWAY_ANSWER_H

#include "exchange.h"

#define TYPE_JSON "application/json"
#define TYPE_PROBLEM "application/problem+json"

/* Sets whether every answer now closes its connection. Any thread. */
void answers_close_connections(bool closing);

/* A JSON or other body; its memory is taken over. */
enum MHD_Result answer_body(struct exchange *exchange, unsigned status, const char *content_type, struct text *body);
/* The exchange's refusal, as a problem. */
enum MHD_Result answer_refusal(struct exchange *exchange);
/* The same, closing the connection: what follows on it cannot be told from this request. */
enum MHD_Result answer_refusal_and_close(struct exchange *exchange);
/* An error, as a problem. */
enum MHD_Result answer_error(struct exchange *exchange, const struct error *err);
/* 204 with what OPTIONS asks: the methods of the path, and for a page of another origin what it may send. */
enum MHD_Result answer_options(struct exchange *exchange);
/* A page of the gateway's own. */
enum MHD_Result answer_page(struct exchange *exchange, const struct page *page);

#endif
