/* A request's headers: which of them matter here, and whether they frame the body beyond doubt. Pure. */
#ifndef GATEWAY_REQUEST_HEADERS_H
#define GATEWAY_REQUEST_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "scratch.h"

#define IDEMPOTENCY_KEY_MAX 255

/* Strings are the caller's, or in scratch where several lines were joined; NULL when absent. */
struct request_headers {
	const char *authorization;
	const char *traceparent;
	const char *idempotency_key;
	const char *origin;
	const char *forwarded;	    /* X-Forwarded-For, all lines, in order */
	const char *request_method; /* Access-Control-Request-Method */
	bool chunked;
	bool expects_continue;
	int64_t content_length; /* -1: none given */
	size_t bytes;		/* of all lines, as usually written */
	unsigned hosts, lengths, encodings;
};

void request_headers_init(struct request_headers *headers);

/*
 * Takes one header line. 0, or -1: a name that is none (`Content-Length :`), a control character, a second line of one that may be
 * there once only, a length that is no number, an encoding other than chunked. Any thread.
 */
int request_headers_add(struct request_headers *headers, const char *name, size_t name_len, const char *value,
	size_t value_len, struct scratch *scratch, struct error *err);

/*
 * After the last line. 0, or -1: both a length and an encoding, an encoding in HTTP/1.0, not one Host in HTTP/1.1, another version of
 * HTTP. A request refused here may be two for the server behind the next one: answer it, then close. Any thread.
 */
int request_headers_check(const struct request_headers *headers, const char *version, struct error *err);

/* The token of "Bearer <token>"; NULL when there is none. Any thread. */
const char *request_headers_bearer(const struct request_headers *headers);

#endif
