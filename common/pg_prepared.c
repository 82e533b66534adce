#include "pg_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pg_prepared **bucket(struct pg *pg, const char *name)
{
	unsigned hash = 2166136261u;
	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return &pg->prepared[hash % PG_PREPARED_BUCKETS];
}

/* A NULL fits any type; everything else must be what the server was told when it prepared the statement. */
static bool types_fit(const struct pg_prepared *prepared, const struct pg_queued *queued)
{
	if (prepared->n != queued->n)
		return false;
	for (int i = 0; i < queued->n; i++)
		if (!queued->params[i].null && queued->params[i].type != prepared->types[i])
			return false;
	return true;
}

struct pg_prepared *pg_prepared_find(struct pg *pg, const struct pg_queued *queued)
{
	const struct pg_statement *statement = queued->statement;
	for (struct pg_prepared *p = *bucket(pg, statement->name); p; p = p->next) {
		if (p->statement != statement && strcmp(p->statement->name, statement->name) != 0)
			continue;
		if (p->statement != statement && strcmp(p->statement->sql, statement->sql) != 0)
			BUG("two statements are named %s", statement->name);
		if (types_fit(p, queued))
			return p;
	}
	return NULL;
}

struct pg_prepared *pg_prepared_add(struct pg *pg, const struct pg_queued *queued)
{
	struct pg_prepared *p = must_zalloc(sizeof(*p) + (size_t)queued->n * sizeof(p->types[0]));
	p->statement = queued->statement;
	p->n = queued->n;
	for (int i = 0; i < queued->n; i++)
		p->types[i] = queued->params[i].type;
	/* The number keeps the names of two sets of types apart, and of two names that begin alike. */
	snprintf(p->name, sizeof(p->name), "%.50s_%u", queued->statement->name, ++pg->n_prepared);
	struct pg_prepared **head = bucket(pg, queued->statement->name);
	p->next = *head;
	*head = p;
	return p;
}

void pg_prepared_forget(struct pg *pg, bool all)
{
	for (size_t i = 0; i < ARRAY_LEN(pg->prepared); i++) {
		struct pg_prepared **link = &pg->prepared[i];
		while (*link) {
			struct pg_prepared *p = *link;
			if (!all && p->confirmed) {
				link = &p->next;
				continue;
			}
			*link = p->next;
			free(p);
		}
	}
}
