#include "request_headers.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "utf8.h"

#define LENGTH_DIGITS_MAX 15
#define BETWEEN_LEN (sizeof(": \r\n") - 1)

void request_headers_init(struct request_headers *headers)
{
	*headers = (struct request_headers){ .content_length = -1 };
}

/* RFC 9110, 5.6.2. */
static bool is_token(const char *text, size_t len)
{
	static const char allowed[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	for (size_t i = 0; i < len; i++)
		if (!text[i] || !strchr(allowed, text[i]))
			return false;
	return len > 0;
}

static bool is_value(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static int twice(const char *name, struct error *err)
{
	return error_set(err, CODE_INVALID_PAYLOAD, "the header %s is given twice", name);
}

/* One that may be there once. */
static int take(const char **slot, const char *name, const char *value, struct error *err)
{
	if (*slot)
		return twice(name, err);
	*slot = value;
	return 0;
}

static int take_length(struct request_headers *headers, const char *value, struct error *err)
{
	size_t digits = strspn(value, "0123456789");

	if (headers->lengths++)
		return twice("Content-Length", err);
	if (!digits || value[digits] || digits > LENGTH_DIGITS_MAX)
		return error_set(err, CODE_INVALID_PAYLOAD, "Content-Length is not a number of bytes");
	headers->content_length = strtoll(value, NULL, 10);
	return 0;
}

static int take_encoding(struct request_headers *headers, const char *value, struct error *err)
{
	if (headers->encodings++)
		return twice("Transfer-Encoding", err);
	if (strcasecmp(value, "chunked") != 0)
		return error_set(err, CODE_INVALID_PAYLOAD, "Transfer-Encoding may be chunked, nothing else");
	headers->chunked = true;
	return 0;
}

static int take_key(struct request_headers *headers, const char *value, struct error *err)
{
	size_t len = strlen(value);

	if (len == 0 || len > IDEMPOTENCY_KEY_MAX || !utf8_valid(value, len))
		return error_set(err, CODE_INVALID_PAYLOAD, "Idempotency-Key must have 1 to %d bytes of UTF-8",
			IDEMPOTENCY_KEY_MAX);
	return take(&headers->idempotency_key, "Idempotency-Key", value, err);
}

int request_headers_add(struct request_headers *headers, const char *name, size_t name_len, const char *value,
	size_t value_len, struct scratch *scratch, struct error *err)
{
	headers->bytes += name_len + value_len + BETWEEN_LEN;
	if (!is_token(name, name_len))
		return error_set(err, CODE_INVALID_PAYLOAD, "a header's name has a character that no name may have");
	if (!is_value(value, value_len))
		return error_set(
			err, CODE_INVALID_PAYLOAD, "the header %.*s has a control character", (int)name_len, name);
	if (strcasecmp(name, "Content-Length") == 0)
		return take_length(headers, value, err);
	if (strcasecmp(name, "Transfer-Encoding") == 0)
		return take_encoding(headers, value, err);
	if (strcasecmp(name, "Host") == 0)
		return headers->hosts++ ? twice("Host", err) : 0;
	if (strcasecmp(name, "Authorization") == 0)
		return take(&headers->authorization, "Authorization", value, err);
	if (strcasecmp(name, "Idempotency-Key") == 0)
		return take_key(headers, value, err);
	if (strcasecmp(name, "Origin") == 0)
		return take(&headers->origin, "Origin", value, err);
	if (strcasecmp(name, "Access-Control-Request-Method") == 0)
		headers->request_method = value;
	else if (strcasecmp(name, "traceparent") == 0)
		headers->traceparent = value;
	else if (strcasecmp(name, "Expect") == 0)
		headers->expects_continue = strcasecmp(value, "100-continue") == 0;
	else if (strcasecmp(name, "X-Forwarded-For") == 0)
		headers->forwarded = headers->forwarded ? scratch_printf(scratch, "%s,%s", headers->forwarded, value)
							: value;
	return 0;
}

int request_headers_check(const struct request_headers *headers, const char *version, struct error *err)
{
	bool new = strcmp(version, "HTTP/1.1") == 0;

	if (!new &&strcmp(version, "HTTP/1.0") != 0)
		return error_set(err, CODE_INVALID_PAYLOAD, "this is an HTTP/1.1 server");
	if (headers->lengths && headers->encodings)
		return error_set(err, CODE_INVALID_PAYLOAD, "Content-Length and Transfer-Encoding exclude each other");
	if (headers->encodings && !new)
		return error_set(err, CODE_INVALID_PAYLOAD, "HTTP/1.0 knows no Transfer-Encoding");
	if (new && headers->hosts != 1)
		return error_set(err, CODE_INVALID_PAYLOAD, "HTTP/1.1 wants one Host header");
	return 0;
}

const char *request_headers_bearer(const struct request_headers *headers)
{
	static const char scheme[] = "Bearer ";
	const char *token = headers->authorization;

	if (!token || strncasecmp(token, scheme, sizeof(scheme) - 1) != 0)
		return NULL;
	token += sizeof(scheme) - 1;
	token += strspn(token, " ");
	return *token ? token : NULL;
}
