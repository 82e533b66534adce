#include "pg_fixture.h"
#include "clock.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SKIPPED 77

static const char *database_url;
static char search_path[64], host[300];

struct pg *open_at(const char *url, int64_t statement_timeout_ms, int64_t lock_timeout_ms)
{
	const struct pg_options options = { .url = url ? url : database_url,
		.application_name = "test_pg",
		.statement_timeout_ms = statement_timeout_ms,
		.lock_timeout_ms = lock_timeout_ms,
		.idle_in_transaction_ms = 30000,
		.session_settings = search_path };
	struct pg *pg = pg_new(&options);
	pg_set_deadline(pg, clock_ms() + 10000);
	return pg;
}

struct pg *open_pg(void)
{
	return open_at(NULL, 10000, 0);
}

/* Where the hosts of the URL stand: behind the user, before the database. */
static const char *hosts_at(size_t *len)
{
	const char *hosts = strstr(database_url, "://");
	hosts = hosts ? hosts + 3 : database_url;
	const char *at = memchr(hosts, '@', strcspn(hosts, "/"));
	hosts = at ? at + 1 : hosts;
	*len = strcspn(hosts, "/?");
	return hosts;
}

char *url_with_hosts(const char *hosts)
{
	size_t len;
	const char *old = hosts_at(&len);
	struct text url = { 0 };
	text_add(&url, database_url, (size_t)(old - database_url));
	text_str_add(&url, hosts);
	text_str_add(&url, old + len);
	return url.bytes;
}

const char *server_host(void)
{
	size_t len;
	const char *hosts = hosts_at(&len);
	snprintf(host, sizeof(host), "%.*s", (int)len, hosts);
	return host;
}

int64_t ask_int(struct pg *pg, const struct pg_statement *statement)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct error err = { 0 };
	if (pg_query(pg, statement, NULL, &rows, &err)) {
		CHECK_STR(err.text, "");
		return -1;
	}
	return pg_int(&rows, 0, 0);
}

void fresh_things(struct pg *pg)
{
	struct error err = { 0 };
	if (pg_script(pg,
		    "DROP TABLE IF EXISTS parts, things;"
		    "CREATE TABLE things(id bigint PRIMARY KEY CHECK (id > 0), name text NOT NULL);"
		    "CREATE TABLE parts(id bigint PRIMARY KEY, thing bigint REFERENCES things)",
		    &err))
		CHECK_STR(err.text, "");
}

static const struct pg_statement insert_thing = { "insert_thing", "INSERT INTO things(id, name) VALUES ($1, $2)" };

int add_thing(struct pg *pg, int64_t id, const char *name, struct error *err)
{
	struct pg_params params = { 0 };
	pg_add_int8(&params, id);
	pg_add_text(&params, name);
	return pg_query(pg, &insert_thing, &params, NULL, err);
}

void queue_thing(struct pg *pg, int64_t id)
{
	struct pg_params params = { 0 };
	pg_add_int8(&params, id);
	pg_add_text(&params, "queued");
	pg_queue(pg, &insert_thing, &params);
}

int64_t count_things(struct pg *pg)
{
	STATEMENT(count, "SELECT count(*) FROM things");
	return ask_int(pg, &count);
}

int64_t backend_pid(struct pg *pg)
{
	STATEMENT(own_pid, "SELECT pg_backend_pid()");
	return ask_int(pg, &own_pid);
}

void end_backend(struct pg *pg, int64_t pid)
{
	STATEMENT(terminate, "SELECT pg_terminate_backend($1, 5000)");
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };
	struct error err = { 0 };
	pg_add_int4(&params, (int32_t)pid);
	if (CHECK_INT(pg_query(pg, &terminate, &params, &rows, &err), 0))
		CHECK(pg_bool(&rows, 0, 0));
}

int sleep_in_server(struct pg *pg, double seconds, struct error *err)
{
	STATEMENT(sleep_for, "SELECT pg_sleep($1)");
	struct pg_params params = { 0 };
	pg_add_float8(&params, seconds);
	return pg_query(pg, &sleep_for, &params, NULL, err);
}

int silent_server(char port[static 8])
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) || listen(fd, 8) ||
		getsockname(fd, (struct sockaddr *)&address, &size))
		BUG("no listening socket");
	snprintf(port, 8, "%u", ntohs(address.sin_port));
	return fd;
}

static int run_script(const char *format)
{
	CLEANUP(pg_drop) struct pg *pg = open_pg();
	CLEANUP(text_release) struct text sql = { 0 };
	struct error err;
	text_printf(&sql, "%s test_pg_%d%s", format, (int)getpid(), format[0] == 'D' ? " CASCADE" : "");
	if (pg_script(pg, text_str(&sql), &err) == 0)
		return 0;
	fprintf(stderr, "%s\n", err.text);
	return -1;
}

int pg_fixture_main(const struct check_test *tests, size_t n_tests, int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--list") == 0)
		return check_main(tests, n_tests, argc, argv);
	database_url = getenv("GARRISON_TEST_DATABASE_URL");
	if (!database_url) {
		fprintf(stderr, "skipped: GARRISON_TEST_DATABASE_URL is not set\n");
		return SKIPPED;
	}
	snprintf(search_path, sizeof(search_path), "-c search_path=test_pg_%d", (int)getpid());
	if (run_script("CREATE SCHEMA"))
		return 1;
	int code = check_main(tests, n_tests, argc, argv);
	return run_script("DROP SCHEMA") ? 1 : code;
}
