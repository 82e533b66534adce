/*
 * From a message to an outcome: name -> schema -> handler. Needs no broker, so tests call handlers through it as workers do:
 *
 *	call_init(&call, &service, &message, pg, kv);
 *	dispatch(&call, &tree);
 *	… call.outcome, call.reply …
 *	call_release(&call);
 */
#ifndef GARRISON_DISPATCH_H
#define GARRISON_DISPATCH_H

#include "call.h"
#include "service.h"

/* The row for this name, NULL when there is none. Any thread. */
const struct command *command_find(const struct service *service, const char *name);
/* The row's own value, or the setting's. Any thread. */
int64_t command_timeout_ms(const struct command *command);
int command_max_attempts(const struct command *command);
size_t command_body_max(const struct command *command);
enum lane command_lanes(const struct command *command);

/* The header value and log word of a stage; static. Any thread. */
const char *stage_name(enum stage stage);

/*
 * Makes the call of a message: ids, trace, command (NULL when unknown), deadline. The message must outlive it. A timer's run passes
 * an empty message. The call's thread.
 */
void call_init(
	struct call *call, const struct service *service, const struct message *message, struct pg *pg, struct kv *kv);
/* Frees what the call holds, its outbox included. */
void call_release(struct call *call);

/*
 * Everything before the handler: is the command known, on its lane, within its size, one JSON object, valid by its schema? True:
 * call->args is ready. False: the call is refused, outcome and reply set. tree is scratch for the JSON tree, reset here.
 */
bool dispatch_prepare(struct call *call, struct scratch *tree);
/* Runs n prepared calls of one command by its handler, singly or as a batch; sets the stores' deadline first. */
void dispatch_run(struct call **calls, size_t n, struct scratch *scratch);
/* Both, for one call. */
void dispatch(struct call *call, struct scratch *tree);

/* Counts the finished call, and logs its line; us is how long it took. Any thread. */
void dispatch_account(const struct call *call, int64_t us);
/* Prepares the counters. Once, at start. */
void dispatch_setup(const struct service *service);
/* The counters as Prometheus text. Any thread. */
void dispatch_metrics(struct text *out);

#endif
