/* One message on its way through a handler: what came, what the handler may use, what goes out. */
#ifndef GARRISON_CALL_H
#define GARRISON_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "field.h"
#include "json.h"
#include "kv.h"
#include "pg.h"
#include "scratch.h"
#include "trace.h"

struct command;
struct service;
struct outgoing;

enum lane { LANE_DURABLE = 1, LANE_RPC = 2, LANE_BOTH = 3 };

/* What became of a message. */
enum outcome {
	DONE,	 /* effect committed: ack, reply */
	REFUSED, /* would fail the same way again: dead queue (durable) or error reply (rpc) */
	RETRY	 /* the cause is transient: rung (durable) or retryable error reply (rpc) */
};

/* How far a message came: header g-stage of its copies. */
enum stage { STAGE_PARSE, STAGE_UNKNOWN, STAGE_VALIDATE, STAGE_HANDLE, STAGE_TIMEOUT, STAGE_CRASH };

/* A message as it came, free of any broker's types. All strings are NUL-terminated and may be NULL unless said. */
struct message {
	enum lane lane;
	const char *body; /* body_len bytes and a NUL */
	size_t body_len;
	const char *routing_key; /* never NULL; the original one for a copy that came back */
	const char *type;
	const char *message_id;
	const char *correlation_id;
	const char *reply_to;
	const char *traceparent;
	const char *client;	  /* header g-client: the HTTP caller's address, set by the gateway */
	int attempt;		  /* g-attempt, 1 when absent */
	int64_t first_at_us;	  /* g-first-at in Unix microseconds, 0 when absent */
	int64_t deadline_real_ms; /* g-deadline, Unix milliseconds, 0 when absent */
	int64_t expiration_ms;	  /* the property, 0 when absent */
	int64_t delivery_count;	  /* the broker's, 0 when absent */
	int64_t received_us;	  /* monotonic: when this process got it */
	bool redelivered;
};

/* The reply being made. */
struct reply {
	enum code code;
	const char *message; /* for errors; in the call's scratch */
	size_t n_fields;
	struct problem *fields; /* PROBLEMS_MAX of them once there is one, in the call's scratch */
	struct text result;	/* JSON of the result, for CODE_OK */
};

struct call {
	const struct service *service;
	const struct command *command;
	const struct message *message;	       /* a timer's run has an empty one */
	const void *args;		       /* the command's struct, parsed */
	unsigned char digest[JSON_DIGEST_LEN]; /* of the body's canonical form, where the row says .digest */
	struct scratch scratch;		       /* this message's memory */
	int64_t begun_us;		       /* Unix microseconds: when this attempt began */
	int64_t deadline_ms;		       /* monotonic, soft */
	char message_id[64];		       /* the sender's or its digest; or one made for the logs */
	bool idempotency_key;		       /* message_id was given by the sender */
	char traceparent[TRACEPARENT_LEN + 1]; /* continued from the sender's, or new */
	struct pg *pg;			       /* this thread's; NULL when the service does not need PostgreSQL */
	struct kv *kv;			       /* this thread's; NULL when the service does not need Redis */
	struct outgoing *outbox;	       /* events and commands to publish once the handler is DONE */
	struct outgoing *outbox_last;
	enum outcome outcome;
	enum stage stage; /* where it was refused or failed */
	enum store down;  /* of RETRY: the store that could not be reached */
	struct reply reply;
};

/* Calls of one command handed over together. Each gets its own outcome, by reply_ok(), refuse() or retry() on it. */
struct batch {
	struct call **calls;
	size_t n;
	struct pg *pg;
	struct kv *kv;
	struct scratch *scratch; /* the batch's own memory */
	int64_t deadline_ms;
};

/* The command's parsed struct: `const struct join *in = call_args(call);`. */
static inline const void *call_args(const struct call *call)
{
	return call->args;
}

/*
 * Queues the event <service>.<event>, which the service's table must name, published with broker confirm after the handler returned DONE and before the message is
 * acked. message_id must be the same on every repeat. The body is copied into the call's scratch.
 */
void publish_event(
	struct call *call, const char *event, const char *message_id, const struct schema *schema, const void *body);
/* The same with a body already in JSON. */
void publish_event_json(struct call *call, const char *event, const char *message_id, const struct text *body);
/* Queues a command for another service on game.commands, in the same way; routing_key is "<service>.<command>". */
void publish_command(struct call *call, const char *routing_key, const char *message_id, const struct text *body);

/*
 * Publishes what is queued in the outbox now and waits for the broker's confirms; for timers, and for handlers that must do
 * something after the publication. 0, or -1 (unavailable, timeout): the broker may or may not get them yet, so queue and flush
 * them again later, under the same message ids. The call's thread.
 */
int publish_flush(struct call *call, struct error *err);

/*
 * Asks another service on game.rpc and waits for its reply, at most until the call's deadline and timeout_ms. 0 and the reply's
 * result as JSON in the call's scratch; or -1 with the peer's error code, or timeout / unavailable. The call's thread.
 */
int call_service(struct call *call, const char *routing_key, const struct text *body, int timeout_ms,
	struct json_text *result, struct error *err);

#endif
