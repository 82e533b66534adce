/* Whether the database is as this program needs it. */
#ifndef GARRISON_SCHEMA_VERSION_H
#define GARRISON_SCHEMA_VERSION_H

#include "pg.h"

/* 0; -1: not_found with the command that applies what is missing, or why the database cannot be asked. The connection's thread. */
int schema_version_check(struct pg *pg, struct error *err);

#endif
