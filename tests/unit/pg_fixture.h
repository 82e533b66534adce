/* What the tests of pg share: a real PostgreSQL (GARRISON_TEST_DATABASE_URL) and a schema of the test's own in it. */
#ifndef GARRISON_PG_FIXTURE_H
#define GARRISON_PG_FIXTURE_H

#include "check.h"
#include "pg.h"
#include "text.h"

#define STATEMENT(id, text) static const struct pg_statement id = { #id, text }

/* check_main() between making and dropping the schema; 77 (skipped) when there is no server to test with. */
int pg_fixture_main(const struct check_test *tests, size_t n_tests, int argc, char **argv);

/* Connections that have ten seconds. url NULL: the test server's. The caller frees them. */
struct pg *open_pg(void);
struct pg *open_at(const char *url, int64_t statement_timeout_ms, int64_t lock_timeout_ms);
/* The test server's URL with these host:port pairs in place of its own, in memory that the caller frees. */
char *url_with_hosts(const char *hosts);
/* The test server's own "host:port". */
const char *server_host(void);

/* The one integer that a statement without parameters returns. */
int64_t ask_int(struct pg *pg, const struct pg_statement *statement);
/* Empty tables things(id, name) and parts(id, thing). */
void fresh_things(struct pg *pg);
int add_thing(struct pg *pg, int64_t id, const char *name, struct error *err);
void queue_thing(struct pg *pg, int64_t id);
int64_t count_things(struct pg *pg);
int64_t backend_pid(struct pg *pg);
/* Ends another connection's backend. */
void end_backend(struct pg *pg, int64_t pid);
int sleep_in_server(struct pg *pg, double seconds, struct error *err);

/* A listening socket that nobody serves: connections to it succeed, and then nothing. port gets its number. */
int silent_server(char port[static 8]);

#endif
