/* The routes: one row each. What is served, what comes from where, who may call. */
#ifndef GATEWAY_ROUTE_H
#define GATEWAY_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

enum who {
	WHO_ANYBODY, /* no token is looked at */
	WHO_BEARER,  /* any bearer token; the command itself judges it */
	WHO_PLAYER,  /* a player's token for its own character, a service token for any */
	WHO_SERVICE  /* a service token */
};

/* What the gateway itself answers. */
struct page {
	const char *content_type;
	/* Writes the page onto out, or sets *whole to one that stays for ever. The HTTP status. */
	unsigned (*write)(struct text *out, const struct text **whole);
	bool unready;		     /* its other answer is 503 */
	const char *security_policy; /* Content-Security-Policy; NULL: nothing may be loaded */
};

#define ROUTE_QUERY_MAX 4

struct route {
	const char *method;
	const char *path; /* {service} and {command} match one part each */
	const char *help;
	enum who who;
	const struct page *page;	    /* this, or a command */
	const char *command;		    /* "<service>.<command>"; NULL with neither: the one that the path names */
	bool body;			    /* fields come from a JSON body */
	const char *query[ROUTE_QUERY_MAX]; /* fields that come from the query */
	const char *subject;		    /* the field with the character a player acts for */
	const char *token;		    /* the field that takes the token from Authorization */
	unsigned status;		    /* of a success; 0 means 200 */
	const char *status_if;		    /* .status only where this field of the result is true, else 200 */
};

extern const struct route routes[];
extern const size_t n_routes;

#define ROUTE_PART_MAX 64

struct route_match {
	const struct route *route;			       /* NULL: none */
	char service[ROUTE_PART_MAX], command[ROUTE_PART_MAX]; /* of the path */
	char allowed[64]; /* without a route: the methods this path has ("GET, HEAD"), "" for an unknown path */
};

/* Finds the route of a request; HEAD is taken for GET. Any thread. */
void route_find(const char *method, const char *path, struct route_match *match);

#endif
