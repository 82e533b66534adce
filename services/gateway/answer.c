#include "answer.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "gateway_settings.h"

#define RETRY_SOON_S "1"
#define RETRY_LIMITED_S "60" /* auth's window */
#define PREFLIGHT_AGE_S "600"
#define NOTHING_ALLOWED "default-src 'none'; frame-ancestors 'none'"

static atomic_bool closing_all;

void answers_close_connections(bool closing)
{
	atomic_store(&closing_all, closing);
}

static void add(struct MHD_Response *response, const char *name, const char *value)
{
	MHD_add_response_header(response, name, value);
}

static bool origin_allowed(const char *origin)
{
	const struct setting_word *origins = gateway_settings.cors_origins.items;

	for (size_t i = 0; i < gateway_settings.cors_origins.n; i++)
		if (strcmp(origins[i].text, "*") == 0 || strcmp(origins[i].text, origin) == 0)
			return true;
	return false;
}

static void add_cors(const struct exchange *exchange, struct MHD_Response *response)
{
	const char *origin = exchange->headers.origin;

	if (!gateway_settings.cors_origins.n)
		return;
	add(response, "Vary", "Origin");
	if (!origin || !origin_allowed(origin))
		return;
	add(response, "Access-Control-Allow-Origin", origin);
	add(response, "Access-Control-Expose-Headers", "Retry-After, traceparent, WWW-Authenticate");
	if (!exchange->headers.request_method)
		return;
	add(response, "Access-Control-Allow-Methods", exchange->match.allowed);
	add(response, "Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, traceparent");
	add(response, "Access-Control-Max-Age", PREFLIGHT_AGE_S);
}

static void add_of_status(const struct exchange *exchange, struct MHD_Response *response, unsigned status)
{
	switch (status) {
	case MHD_HTTP_UNAUTHORIZED:
		add(response, "WWW-Authenticate",
			exchange->headers.authorization ? "Bearer realm=\"garrison\", error=\"invalid_token\""
							: "Bearer realm=\"garrison\"");
		break;
	case MHD_HTTP_METHOD_NOT_ALLOWED:
	case MHD_HTTP_NO_CONTENT:
		add(response, "Allow", exchange->match.allowed);
		break;
	case MHD_HTTP_TOO_MANY_REQUESTS:
		add(response, "Retry-After", RETRY_LIMITED_S);
		break;
	case MHD_HTTP_SERVICE_UNAVAILABLE:
		add(response, "Retry-After", RETRY_SOON_S);
		break;
	default:
		break;
	}
}

static enum MHD_Result send_response(
	struct exchange *exchange, unsigned status, const char *content_type, struct MHD_Response *response)
{
	const struct page *page = exchange->match.route ? exchange->match.route->page : NULL;
	enum MHD_Result queued;

	if (!response)
		return MHD_NO;
	if (content_type)
		add(response, "Content-Type", content_type);
	add(response, "Cache-Control", "no-store");
	add(response, "X-Content-Type-Options", "nosniff");
	add(response, "Content-Security-Policy",
		page && page->security_policy && *page->security_policy ? page->security_policy : NOTHING_ALLOWED);
	add(response, "traceparent", exchange->traceparent);
	add_of_status(exchange, response, status);
	add_cors(exchange, response);
	if (atomic_load(&closing_all))
		add(response, "Connection", "close");
	atomic_store(&exchange->peer->deadline_ms, clock_ms() + gateway_settings.write_timeout_ms);
	exchange->state = EXCHANGE_ANSWERED;
	exchange->status = status;
	queued = MHD_queue_response(exchange->connection, status, response);
	MHD_destroy_response(response);
	return queued;
}

enum MHD_Result answer_body(struct exchange *exchange, unsigned status, const char *content_type, struct text *body)
{
	size_t len = body->len;

	exchange->answer_len = len;
	if (!len)
		return send_response(exchange, status, content_type,
			MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT));
	return send_response(exchange, status, content_type,
		MHD_create_response_from_buffer(len, TAKE(body->bytes), MHD_RESPMEM_MUST_FREE));
}

enum MHD_Result answer_refusal(struct exchange *exchange)
{
	CLEANUP(text_release) struct text body = { 0 };

	problem_write(&exchange->refusal, exchange_trace_id(exchange), &body);
	return answer_body(exchange, exchange->refusal.status, TYPE_PROBLEM, &body);
}

enum MHD_Result answer_refusal_and_close(struct exchange *exchange)
{
	CLEANUP(text_release) struct text body = { 0 };
	struct MHD_Response *response;
	size_t len;

	problem_write(&exchange->refusal, exchange_trace_id(exchange), &body);
	len = exchange->answer_len = body.len;
	response = MHD_create_response_from_buffer(len, TAKE(body.bytes), MHD_RESPMEM_MUST_FREE);
	if (response && !atomic_load(&closing_all))
		add(response, "Connection", "close");
	return send_response(exchange, exchange->refusal.status, TYPE_PROBLEM, response);
}

enum MHD_Result answer_error(struct exchange *exchange, const struct error *err)
{
	refusal_set(&exchange->refusal, err);
	return answer_refusal(exchange);
}

enum MHD_Result answer_options(struct exchange *exchange)
{
	struct text nothing = { 0 };

	return answer_body(exchange, MHD_HTTP_NO_CONTENT, NULL, &nothing);
}

enum MHD_Result answer_page(struct exchange *exchange, const struct page *page)
{
	CLEANUP(text_release) struct text body = { 0 };
	const struct text *whole = NULL;
	unsigned status = page->write(&body, &whole);
	struct error err;

	if (status >= MHD_HTTP_BAD_REQUEST) {
		error_set(&err, CODE_UNAVAILABLE, "%s", text_str(&body));
		return answer_error(exchange, &err);
	}
	if (!whole)
		return answer_body(exchange, status, page->content_type, &body);
	exchange->answer_len = whole->len;
	return send_response(exchange, status, page->content_type,
		MHD_create_response_from_buffer(whole->len, whole->bytes, MHD_RESPMEM_PERSISTENT));
}
