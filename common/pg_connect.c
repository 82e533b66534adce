#include "pg_internal.h"
#include "clock.h"
#include "log.h"
#include "text.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define KEYWORDS_MAX 16
/* With several hosts, the least time one is given before the next is tried. */
#define HOST_SLICE_MIN_MS 100
#define PORT_MAX 65535
#define PORT_DIGITS_MAX 5

DEFINE_CLEANUP(PQconninfoOption *, drop_conninfo, PQconninfoFree)

/* libpq's keywords and values, and the memory some of the values live in. */
struct parameters {
	const char *keywords[KEYWORDS_MAX + 1];
	const char *values[KEYWORDS_MAX + 1];
	int n;
	struct text options, host, hostaddr, port;
};

static void parameters_release(struct parameters *parameters)
{
	text_release(&parameters->options);
	text_release(&parameters->host);
	text_release(&parameters->hostaddr);
	text_release(&parameters->port);
}

static void add(struct parameters *parameters, const char *keyword, const char *value)
{
	if (parameters->n == KEYWORDS_MAX)
		BUG("too many connection parameters");
	parameters->keywords[parameters->n] = keyword;
	parameters->values[parameters->n++] = value;
}

/* The value the URL gives a keyword, or NULL. */
static const char *given(const PQconninfoOption *conninfo, const char *keyword)
{
	for (; conninfo->keyword; conninfo++)
		if (strcmp(conninfo->keyword, keyword) == 0)
			return conninfo->val && *conninfo->val ? conninfo->val : NULL;
	return NULL;
}

static PQconninfoOption *parse(const char *url, struct error *err)
{
	char *message = NULL;
	PQconninfoOption *conninfo = PQconninfoParse(url, &message);
	/* A good URL must not be called bad for want of memory: the command would be refused for ever. */
	if (!conninfo && (!message || strstr(message, "out of memory")))
		BUG("out of memory");
	/* libpq's own message may quote the URL, password and all. */
	if (!conninfo)
		error_set(err, CODE_INVALID_PAYLOAD,
			"not a PostgreSQL URL (postgresql://user:password@host:port/database?option=value)");
	PQfreemem(message);
	return conninfo;
}

/* One port, or a list with one for each host, where none means the usual one. */
static bool valid_ports(const char *list)
{
	for (;;) {
		size_t len = strspn(list, "0123456789");
		long port = len <= PORT_DIGITS_MAX ? strtol(list, NULL, 10) : 0;

		if ((list[len] && list[len] != ',') || (len && (port < 1 || port > PORT_MAX)))
			return false;
		if (!list[len])
			return true;
		list += len + 1;
	}
}

int pg_check_url(const char *url, struct error *err)
{
	CLEANUP(drop_conninfo) PQconninfoOption *conninfo = NULL;
	const char *ports;

	if (strncmp(url, "postgresql://", 13) != 0 && strncmp(url, "postgres://", 11) != 0 && !strchr(url, '='))
		return error_set(err, CODE_INVALID_PAYLOAD, "must begin with postgresql://");
	conninfo = parse(url, err);
	if (!conninfo)
		return -1;
	ports = given(conninfo, "port");
	/* libpq finds that out when it connects, and then quotes what may be the first half of a password. */
	if (ports && !valid_ports(ports))
		return error_set(err, CODE_INVALID_PAYLOAD,
			"the port must be a number from 1 to 65535 (in a password, write / as %%2F and @ as %%40)");
	return 0;
}

static unsigned count(const char *list)
{
	unsigned n = list ? 1 : 0;
	for (; list && *list; list++)
		n += *list == ',';
	return n;
}

/* A comma-separated list from its nth element on, and then those before it. */
static void add_rotated(
	struct parameters *parameters, const char *keyword, const char *list, unsigned n, struct text *text)
{
	if (count(list) < 2)
		return;
	const char *tail = list;
	for (unsigned i = 0; i < n; i++)
		tail = strchr(tail, ',') + 1;
	text_str_add(text, tail);
	text_char(text, ',');
	text_add(text, list, (size_t)(tail - list) - 1);
	add(parameters, keyword, text_str(text));
}

static void add_unless_given(
	struct parameters *parameters, const PQconninfoOption *conninfo, const char *keyword, const char *value)
{
	if (!given(conninfo, keyword))
		add(parameters, keyword, value);
}

static void build_options(const struct pg_options *options, const char *from_url, struct text *text)
{
	text_printf(text, "%s -c statement_timeout=%" PRId64 " -c lock_timeout=%" PRId64, from_url ? from_url : "",
		options->statement_timeout_ms, options->lock_timeout_ms);
	text_printf(text, " -c idle_in_transaction_session_timeout=%" PRId64, options->idle_in_transaction_ms);
	/* A statement whose client has given up and gone ends soon, wherever it stands. */
	text_str_add(text, " -c client_connection_check_interval=1000");
	if (options->session_settings)
		text_printf(text, " %s", options->session_settings);
}

static void build(struct pg *pg, const PQconninfoOption *conninfo, unsigned first_host, struct parameters *parameters)
{
	add(parameters, "dbname", pg->options.url); /* expanded; what follows overrides it */
	if (first_host) {
		add_rotated(parameters, "host", given(conninfo, "host"), first_host, &parameters->host);
		add_rotated(parameters, "hostaddr", given(conninfo, "hostaddr"), first_host, &parameters->hostaddr);
		add_rotated(parameters, "port", given(conninfo, "port"), first_host, &parameters->port);
	}
	build_options(&pg->options, given(conninfo, "options"), &parameters->options);
	add(parameters, "options", text_str(&parameters->options));
	if (pg->options.application_name)
		add(parameters, "fallback_application_name", pg->options.application_name);
	add(parameters, "client_encoding", "UTF8");
	add_unless_given(parameters, conninfo, "gssencmode", "disable"); /* Kerberos costs memory and a round trip */
	add_unless_given(parameters, conninfo, "keepalives_idle", "10");
	add_unless_given(parameters, conninfo, "keepalives_interval", "5");
	add_unless_given(parameters, conninfo, "keepalives_count", "3");
	add_unless_given(parameters, conninfo, "tcp_user_timeout", "15000");
}

static void on_notice(void *arg, const PGresult *result)
{
	(void)arg;
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	if (log_enabled(LOG_DEBUG))
		log_line(LOG_DEBUG, "postgres_notice", "%s", message ? message : "");
}

/* Drives the connection forward: 0 when it stands, -1 with err, or 1 when the time of this attempt is up. */
static int establish(struct pg *pg, int64_t deadline_ms, struct error *err)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;
	for (;;) {
		struct pollfd fd = { .fd = PQsocket(pg->conn),
			.events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT };
		int left = clock_left_ms(deadline_ms);
		if (left == 0)
			return 1;
		if (fd.fd >= 0 && poll(&fd, 1, left) <= 0)
			continue;
		status = PQconnectPoll(pg->conn);
		if (status == PGRES_POLLING_OK)
			break;
		if (status == PGRES_POLLING_FAILED) {
			pg_error_lost(pg->conn, "cannot connect", "", err);
			return -1;
		}
	}
	if (PQsetnonblocking(pg->conn, 1) || !PQenterPipelineMode(pg->conn)) {
		pg_error_lost(pg->conn, "cannot connect", "", err);
		return -1;
	}
	return 0;
}

static int attempt(
	struct pg *pg, const PQconninfoOption *conninfo, unsigned first_host, int64_t deadline_ms, struct error *err)
{
	CLEANUP(parameters_release) struct parameters parameters = { 0 };
	build(pg, conninfo, first_host, &parameters);
	pg->conn = PQconnectStartParams(parameters.keywords, parameters.values, 1);
	if (!pg->conn)
		BUG("out of memory");
	int rc = -1;
	PQsetNoticeReceiver(pg->conn, on_notice, NULL);
	if (PQstatus(pg->conn) == CONNECTION_BAD)
		pg_error_lost(pg->conn, "cannot connect", "", err);
	else
		rc = establish(pg, deadline_ms, err);
	if (rc)
		pg_disconnect(pg);
	return rc;
}

int pg_connect(struct pg *pg, struct error *err)
{
	CLEANUP(drop_conninfo) PQconninfoOption *conninfo = parse(pg->options.url, err);
	if (!conninfo)
		return -1;
	/*
	 * libpq goes from a host that refuses to the next one by itself, but not away from one that never answers: each is given
	 * its share of the time.
	 */
	unsigned n = count(given(conninfo, "hostaddr") ? given(conninfo, "hostaddr") : given(conninfo, "host"));
	for (unsigned i = 0; i < (n ? n : 1); i++) {
		unsigned first_host = n ? (pg->first_host + i) % n : 0;
		int left = clock_left_ms(pg->deadline_ms);
		int slice = n > i + 1 ? left / (int)(n - i) : left;
		if (slice < HOST_SLICE_MIN_MS)
			slice = left < HOST_SLICE_MIN_MS ? left : HOST_SLICE_MIN_MS;
		int rc = attempt(pg, conninfo, first_host, clock_ms() + slice, err);
		if (rc < 0)
			return -1;
		if (rc == 0) {
			pg->first_host = first_host;
			pg->server_timeout_ms = pg->options.statement_timeout_ms;
			return 0;
		}
	}
	return error_down(err, STORE_POSTGRES, "PostgreSQL: no connection within the deadline");
}

void pg_disconnect(struct pg *pg)
{
	PQfinish(pg->conn);
	pg->conn = NULL;
	pg->in_transaction = false;
	pg->rollback_due = false;
	pg_prepared_forget(pg, true);
	pg->n_prepared = 0;
}
