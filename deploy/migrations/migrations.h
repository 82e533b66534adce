#ifndef MIGRATIONS_H
#define MIGRATIONS_H

#include <stddef.h>

/* One file deploy/migrations/NNNN_name.sql, embedded by the build. */
struct migration {
	int number;
	const char *name; /* the file's name without .sql */
	const char *sql;
};

/* All of them, numbered from 1 without a gap, in their order. Static data, for any thread. */
extern const struct migration migrations[];
extern const size_t n_migrations;

#endif
