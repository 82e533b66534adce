/* One HTTP request and its answer. */
#ifndef GATEWAY_EXCHANGE_H
#define GATEWAY_EXCHANGE_H

#include <microhttpd.h>

#include "caller.h"
#include "commands.h"
#include "connections.h"
#include "naming.h"
#include "problem.h"
#include "request_headers.h"
#include "target.h"
#include "trace.h"

enum exchange_state {
	EXCHANGE_NEW,	  /* the headers are not complete */
	EXCHANGE_READING, /* the body comes */
	EXCHANGE_WAITING, /* suspended: somebody else has the word */
	EXCHANGE_ANSWERED
};

struct exchange {
	/* Held by the server until the request is completed, and by whoever was asked for the answer until that has been told. */
	atomic_int holders;
	enum exchange_state state;
	struct MHD_Connection *connection;
	struct connection *peer;
	struct scratch scratch;
	int64_t began_us;

	/* What was asked. */
	char method[16];
	const char *target_text; /* as it came, in scratch */
	struct target target;
	struct route_match match;
	const struct known_command *command;
	struct request_headers headers;
	struct caller caller;
	struct address client;
	char traceparent[TRACEPARENT_LEN + 1];
	char routing_key[BROKER_NAME_MAX];
	char message_id[IDEMPOTENCY_KEY_MAX + 1];
	bool durable; /* to be published, instead of asked and answered */
	int timeout_ms;
	struct text body;
	size_t body_seen, body_max;
	struct refusal refusal; /* found before the body was read to its end */

	/* How it ended, for one in flight; see flights.h. */
	struct exchange *next, **link;
	int64_t deadline_ms;
	bool ended;
	enum code code;
	struct text reply;
	char message[160];

	unsigned status; /* answered */
	size_t answer_len;
};

/* A new exchange, held once. text: the request's target. The server's threads. */
struct exchange *exchange_new(struct MHD_Connection *connection, struct connection *peer, const char *text);
void exchange_hold(struct exchange *exchange);
/* Frees it with the last holder. Any thread. */
void exchange_release(struct exchange *exchange);
/* The trace id of its traceparent: TRACE_ID_LEN characters, no NUL behind them. */
const char *exchange_trace_id(const struct exchange *exchange);
/* Adds to the body; false when the memory for all bodies is used up. */
bool exchange_add_body(struct exchange *exchange, const char *bytes, size_t len);
/* Gives the body's memory back. */
void exchange_drop_body(struct exchange *exchange);

#endif
