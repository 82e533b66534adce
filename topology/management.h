/* RabbitMQ's management API, for what AMQP does not tell: bindings, arguments, rates. Read only. In this folder, the only file that knows libcurl. */
#ifndef GARRISON_MANAGEMENT_H
#define GARRISON_MANAGEMENT_H

#include <cjson/cJSON.h>

#include "cleanup.h"
#include "error.h"
#include "scratch.h"

#define VHOST_MAX 256

struct management;

/*
 * The vhost that the first of the comma-separated AMQP URLs names, "/" where it names none, into vhost. 0, or -1 with
 * invalid_payload for one that is too long or wrongly escaped. Any thread.
 */
int vhost_of_url(const char *amqp_urls, char vhost[static VHOST_MAX], struct error *err);

/*
 * api_url: http(s)://user:password@host:port/, and the vhost to look at. The caller frees. NULL: invalid_payload, never showing the
 * password. One thread at a time.
 */
struct management *management_new(const char *api_url, const char *vhost, struct error *err);
/* NULL is nothing. */
void management_free(struct management *management);
DEFINE_CLEANUP(struct management *, management_drop, management_free)

/*
 * GET /api/<what>/<vhost>?<query>: an array for "exchanges", "queues" and "bindings". query may be NULL. *answer lives in scratch.
 * 0, or -1: unavailable (down = STORE_BROKER) when the API does not answer, forbidden when it refuses the user, not_found for the
 * vhost, internal for anything else.
 */
int management_get(struct management *management, const char *what, const char *query, struct scratch *scratch,
	const cJSON **answer, struct error *err);

#endif
