#include "request.h"

#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "clock.h"
#include "flights.h"
#include "forward.h"
#include "gateway_settings.h"
#include "service.h"

#define BODY_MAX ((size_t)1 << 20)
#define WAIT_MAX_MS 30000
/* A body that is refused is read on up to here, for many callers read no answer before they have sent it all. */
#define THROWN_AWAY_MAX ((size_t)32 << 20)

static void refuse_by(struct exchange *exchange, const struct error *err)
{
	if (!exchange->refusal.status)
		refusal_set(&exchange->refusal, err);
}

static void refuse_with(struct exchange *exchange, unsigned status, const char *code, const char *text)
{
	if (exchange->refusal.status)
		return;
	exchange->refusal.status = status;
	exchange->refusal.code = code;
	snprintf(exchange->refusal.text, sizeof(exchange->refusal.text), "%s", text);
}

/* ---- headers ---- */

struct header_reader {
	struct exchange *exchange;
	struct error *err;
	int failed;
};

static enum MHD_Result take_header(
	void *arg, enum MHD_ValueKind kind, const char *name, size_t name_len, const char *value, size_t value_len)
{
	struct header_reader *reader = arg;
	struct exchange *exchange = reader->exchange;

	(void)kind;
	reader->failed = request_headers_add(&exchange->headers, name, name_len, value ? value : "",
		value ? value_len : 0, &exchange->scratch, reader->err);
	return reader->failed ? MHD_NO : MHD_YES;
}

static int read_headers(struct exchange *exchange, const char *version, struct error *err)
{
	struct header_reader reader = { exchange, err, 0 };

	request_headers_init(&exchange->headers);
	MHD_get_connection_values_n(exchange->connection, MHD_HEADER_KIND, take_header, &reader);
	if (reader.failed || request_headers_check(&exchange->headers, version, err))
		return -1;
	exchange->client = client_address(&exchange->peer->peer, exchange->headers.forwarded, gateway_settings.networks,
		gateway_settings.n_networks);
	return 0;
}

/* What is longer than the server's own room, twice as much, it refuses itself and in its own words. */
static unsigned too_long(const struct exchange *exchange)
{
	size_t line = strlen(exchange->method) + strlen(exchange->target_text) + sizeof("  HTTP/1.1\r\n\r\n") - 1;

	if (line > (size_t)gateway_settings.max_header)
		return MHD_HTTP_URI_TOO_LONG;
	return line + exchange->headers.bytes > (size_t)gateway_settings.max_header
		       ? MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE
		       : 0;
}

/* ---- which command ---- */

static int find_route(struct exchange *exchange, struct error *err)
{
	if (target_parse(exchange->target_text, &exchange->target, &exchange->scratch, err)) {
		refuse_with(exchange, MHD_HTTP_BAD_REQUEST, CODE_WORD_BAD_REQUEST, err->text);
		return -1;
	}
	route_find(exchange->method, exchange->target.path, &exchange->match);
	if (exchange->match.route || (strcmp(exchange->method, "OPTIONS") == 0 && *exchange->match.allowed))
		return 0;
	if (*exchange->match.allowed)
		refuse_with(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, CODE_WORD_METHOD_NOT_ALLOWED,
			"this path has other methods: see Allow");
	return error_set(err, CODE_NOT_FOUND, "there is nothing at this path; see /docs");
}

static int read_wait(struct exchange *exchange, struct error *err)
{
	size_t n;
	const char *wait = target_parameter(&exchange->target, "wait", &n);
	char *end;
	long long ms;

	exchange->durable = !wait;
	if (!wait) {
		exchange->timeout_ms = (int)common_settings.command_processing_timeout_ms;
		return 0;
	}
	ms = strtoll(wait, &end, 10);
	if (n > 1 || *wait < '0' || *wait > '9' || *end || ms < 1 || ms > WAIT_MAX_MS) {
		exchange->refusal.field = (struct problem){ "wait",
			"must be once, a number of milliseconds from 1 to 30000" };
		return error_set(err, CODE_INVALID_PAYLOAD, "wait: %s", exchange->refusal.field.problem);
	}
	exchange->timeout_ms = (int)ms;
	return 0;
}

/* The path names the command. */
static int find_named_command(struct exchange *exchange, struct error *err)
{
	name_routing_key(exchange->match.service, exchange->match.command, exchange->routing_key);
	exchange->command = command_known(exchange->routing_key);
	if (!exchange->command)
		return error_set(err, CODE_UNKNOWN_COMMAND, "there is no command %s", exchange->routing_key);
	if (read_wait(exchange, err))
		return -1;
	if (exchange->durable && !exchange->command->durable)
		return error_set(
			err, CODE_FORBIDDEN, "use game.rpc: %s is called with ?wait=<ms>", exchange->routing_key);
	if (!exchange->durable && !exchange->command->rpc)
		return error_set(
			err, CODE_FORBIDDEN, "use game.commands: %s is sent without ?wait", exchange->routing_key);
	return 0;
}

static int find_command(struct exchange *exchange, struct error *err)
{
	const struct route *route = exchange->match.route;

	exchange->body_max = BODY_MAX;
	if (!route || route->page)
		return 0;
	if (!route->command) {
		if (find_named_command(exchange, err))
			return -1;
	} else {
		snprintf(exchange->routing_key, sizeof(exchange->routing_key), "%s", route->command);
		exchange->command = command_known(route->command);
		exchange->timeout_ms = exchange->command->timeout_ms;
	}
	exchange->body_max = exchange->command->body_max;
	return 0;
}

static int check_caller(struct exchange *exchange, struct error *err)
{
	const struct route *route = exchange->match.route;

	if (!route)
		return 0;
	return caller_check(route->who, request_headers_bearer(&exchange->headers), &exchange->caller, err);
}

static void refuse_too_large(struct exchange *exchange)
{
	refuse_with(exchange, MHD_HTTP_CONTENT_TOO_LARGE, code_name(CODE_INVALID_PAYLOAD),
		"the body is larger than this command takes");
}

bool request_begin(struct exchange *exchange, const char *method, const char *version)
{
	struct error err;
	unsigned status;

	snprintf(exchange->method, sizeof(exchange->method), "%s", method);
	exchange->began_us = clock_us();
	exchange->state = EXCHANGE_READING;
	atomic_store(&exchange->peer->deadline_ms, clock_ms() + gateway_settings.body_timeout_ms);
	if (read_headers(exchange, version, &err)) {
		trace_continue(NULL, exchange->traceparent);
		refuse_with(exchange, MHD_HTTP_BAD_REQUEST, CODE_WORD_BAD_REQUEST, err.text);
		return false;
	}
	trace_continue(exchange->headers.traceparent, exchange->traceparent);
	status = too_long(exchange);
	if (status) {
		refuse_with(exchange, status, CODE_WORD_BAD_REQUEST, "the first line and the headers are too long");
		return false;
	}
	if (find_route(exchange, &err) || check_caller(exchange, &err) || find_command(exchange, &err))
		refuse_by(exchange, &err);
	if (exchange->headers.content_length > (int64_t)exchange->body_max)
		refuse_too_large(exchange);
	/* Who asks before sending the body is told before; who sends more than is read is cut short. */
	return !exchange->refusal.status ||
	       (!exchange->headers.expects_continue && exchange->headers.content_length <= (int64_t)THROWN_AWAY_MAX);
}

bool request_body(struct exchange *exchange, const char *bytes, size_t len)
{
	struct error err;

	exchange->body_seen += len;
	if (exchange->body_seen > exchange->body_max)
		refuse_too_large(exchange);
	if (!exchange->refusal.status && exchange->match.route && exchange->match.route->body &&
		!exchange_add_body(exchange, bytes, len)) {
		error_set(&err, CODE_UNAVAILABLE, "too many large requests at one time");
		refuse_by(exchange, &err);
	}
	if (exchange->refusal.status)
		exchange_drop_body(exchange);
	return exchange->body_seen <= THROWN_AWAY_MAX;
}

enum MHD_Result request_complete(struct exchange *exchange)
{
	if (exchange->refusal.status)
		return answer_refusal(exchange);
	if (!exchange->match.route)
		return answer_options(exchange);
	if (exchange->match.route->page)
		return answer_page(exchange, exchange->match.route->page);
	return forward_command(exchange);
}
