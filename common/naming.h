/*
 * What things in the broker are called. A service has a durable queue game.<service>, a request queue game.<service>.rpc, one rung
 * game.<service>.retry.<delay> per delay and a dead queue game.<service>.dead; each is bound by <service>.# to its exchange. A delay is written in its largest
 * whole unit ("10m", "90s", "1500ms"), but a minute is "60s".
 */
#ifndef GARRISON_NAMING_H
#define GARRISON_NAMING_H

#include <stdbool.h>
#include <stdint.h>

#define EXCHANGE_COMMANDS "game.commands"
#define EXCHANGE_RPC "game.rpc"
#define EXCHANGE_EVENTS "game.events"
#define EXCHANGE_DEAD "game.dead"

/* AMQP's short string, and its NUL. */
#define BROKER_NAME_MAX 256

/* Each writes a name into buffer and returns it. BUG() when it would be longer than AMQP allows. Any thread. */
char *name_queue(const char *service, char buffer[static BROKER_NAME_MAX]);
char *name_rpc_queue(const char *service, char buffer[static BROKER_NAME_MAX]);
char *name_dead_queue(const char *service, char buffer[static BROKER_NAME_MAX]);
char *name_rung_queue(const char *service, int64_t delay_ms, char buffer[static BROKER_NAME_MAX]);
char *name_rung_exchange(int64_t delay_ms, char buffer[static BROKER_NAME_MAX]);
/* The binding key of all of a service's queues: "<service>.#". */
char *name_binding(const char *service, char buffer[static BROKER_NAME_MAX]);
/* "<service>.<command>": the routing key of commands, events and dead letters alike. */
char *name_routing_key(const char *service, const char *command, char buffer[static BROKER_NAME_MAX]);

/* The last part of a routing key ("join_queue" of "arena.join_queue"), which may be all of it; points into key. Any thread. */
const char *name_command_of(const char *routing_key);

/*
 * False for a reply_to that no requester can have been given: a direct one that does not name a process of the broker. Replying there
 * makes RabbitMQ close the connection that the reply came by, and all others' with it. Any thread.
 */
bool name_takes_replies(const char *reply_to);

#endif
