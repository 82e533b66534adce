/* link: services/gateway/target.c services/gateway/route.c services/gateway/request_headers.c */
/* link: services/gateway/command_body.c services/gateway/network.c */
/*
 * Any bytes are taken for a request: first line, headers, body. What the gateway makes of them must be a command's body that is one
 * JSON object, in which a player is nobody but its own character; and the same bytes must be read the same way twice.
 */
#include <string.h>

#include "input.h"
#include "json.h"
#include "services/gateway/command_body.h"
#include "services/gateway/network.h"
#include "services/gateway/request_headers.h"

#define CAP ((size_t)4 << 20)
#define MY_CHARACTER 7

const struct route routes[] = {
	{ "GET", "/q", .who = WHO_PLAYER, .command = "x.q", .query = { "id", "flag", "name", "number" },
		.subject = "id" },
	{ "POST", "/b", .who = WHO_PLAYER, .command = "x.b", .body = true, .subject = "id" },
	{ "DELETE", "/d", .who = WHO_PLAYER, .command = "x.d", .body = true, .query = { "id" }, .subject = "id" },
	{ "POST", "/t", .who = WHO_BEARER, .command = "x.t", .body = true, .token = "token" },
	{ "POST", "/commands/{service}/{command}", .who = WHO_SERVICE, .body = true },
};
const size_t n_routes = ARRAY_LEN(routes);

enum field_form command_field_form(const struct known_command *command, const char *field)
{
	(void)command;
	return strcmp(field, "id") == 0	      ? FORM_INTEGER
	       : strcmp(field, "flag") == 0   ? FORM_BOOLEAN
	       : strcmp(field, "number") == 0 ? FORM_NUMBER
					      : FORM_TEXT;
}

/* Takes a part that ends with this character off the text; its length in *len. */
static const char *take(const char **text, char end, size_t *len)
{
	const char *part = *text, *stop = strchr(part, end);

	*len = stop ? (size_t)(stop - part) : strlen(part);
	*text = part + *len + (stop != NULL);
	return part;
}

static int read_headers(const char **text, struct request_headers *headers, struct scratch *scratch)
{
	request_headers_init(headers);
	for (;;) {
		size_t len;
		const char *line = take(text, '\n', &len), *colon = memchr(line, ':', len);

		if (!len)
			return request_headers_check(headers, "HTTP/1.1", NULL);
		if (!colon)
			return -1;
		char *name = scratch_memdup(scratch, line, (size_t)(colon - line));
		char *value = scratch_memdup(scratch, colon + 1, len - (size_t)(colon - line) - 1);

		if (request_headers_add(headers, name, strlen(name), value, strlen(value), scratch, NULL))
			return -1;
	}
}

static void check_client(const char *forwarded)
{
	struct network everybody = { 0 };
	struct address peer = { 0 }, client = client_address(&peer, forwarded, &everybody, 1), again;
	char text[ADDRESS_TEXT_MAX];

	address_format(&client, text);
	if (address_parse(text, strlen(text), &again) || !address_equal(&client, &again))
		BUG("%s is not read as it is written", text);
}

static void check_body(const struct text *body, const struct command_parts *parts)
{
	CLEANUP(scratch_release) struct scratch scratch;
	const char *subject = parts->route->subject;
	struct error err;
	const cJSON *tree, *member;

	scratch_init(&scratch, CAP);
	tree = json_parse(body->bytes, body->len, &scratch, &err);
	if (!tree || !cJSON_IsObject(tree))
		BUG("no JSON object: %s", text_str(body));
	if (parts->caller->kind != CALLER_PLAYER || !subject)
		return;
	if (!cJSON_GetObjectItemCaseSensitive(tree, subject))
		BUG("whose is it? %s", text_str(body));
	cJSON_ArrayForEach(member, tree)
	{
		if (strcmp(member->string, subject) == 0 && cJSON_IsNumber(member) &&
			member->valuedouble != MY_CHARACTER)
			BUG("somebody else's: %s", text_str(body));
	}
}

static void check_request(const char *text, struct scratch *scratch)
{
	static const struct caller callers[] = { { .kind = CALLER_SERVICE },
		{ .kind = CALLER_PLAYER, .claims = { .char_id = MY_CHARACTER } } };
	size_t method_len, target_len;
	const char *method_at = take(&text, ' ', &method_len), *target_at = take(&text, '\n', &target_len);
	const char *method = scratch_memdup(scratch, method_at, method_len);
	struct request_headers headers;
	struct route_match match;
	struct target target;
	struct error err;

	if (target_parse(scratch_memdup(scratch, target_at, target_len), &target, scratch, &err))
		return;
	route_find(method, target.path, &match);
	if (read_headers(&text, &headers, scratch))
		return;
	check_client(headers.forwarded);
	for (size_t i = 0; match.route && i < ARRAY_LEN(callers); i++) {
		CLEANUP(text_release) struct text body = { 0 };
		struct problem problem = { 0 };
		struct command_parts parts = { match.route, NULL, &target, &callers[i],
			request_headers_bearer(&headers), text, strlen(text) };

		if (match.route->who == WHO_BEARER && !parts.bearer)
			continue;
		if (command_body(&parts, &body, &problem, scratch, &err) == 0)
			check_body(&body, &parts);
		else if (!*err.text)
			BUG("refused without words");
	}
}

void take_input(const uint8_t *data, size_t size)
{
	CLEANUP(scratch_release) struct scratch scratch;

	if (size > 65536)
		return;
	scratch_init(&scratch, CAP);
	check_request(scratch_memdup(&scratch, data, size), &scratch);
}

static const char *const methods[] = { "GET", "POST", "DELETE", "get", "PUT", "", "POST " };
static const char *const target_parts[] = { "/q", "/b", "/d", "/t", "/commands/arena/join_queue", "/commands//", "/q?",
	"?id=7", "&id=8", "&flag=true", "&name=%D0%A8", "&number=1.5e3", "%", "%2", "%00", "//", "/../", "#", "&&", "=",
	"+", "&id=07", "&wait=100", "&wait=-1" };
static const char *const header_lines[] = { "Content-Length: 2", "Content-Length: 2, 3", "Content-Length : 2",
	"Content-Length: +2", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked, gzip",
	"Content-Type: text/plain", "Content-Type: application/json; charset=utf-8", "Authorization: Bearer abc",
	"Authorization: bearer  x y", "Authorization: Basic eDp5", "Idempotency-Key: a",
	"Idempotency-Key:", "X-Forwarded-For: 1.2.3.4, [::1]:80, x", "X-Forwarded-For: ::ffff:10.0.0.1",
	"X-Forwarded-For: fe80::1%eth0", "Host: a", "Host: b", "Expect: 100-continue",
	"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "Origin: https://a", "X: \x01", ": x" };
static const char *const bodies[] = { "{}", "{\"id\":7}", "{\"id\":8}", "{\"id\":7,\"id\":8}", "{\"id\":\"7\"}", "[1]",
	"", "{\"token\":\"x\",\"a\":[1,2,{}]}", " {\"i\\u0064\":8} ", "{\"id\":7.0}", "{\"id\":", "null" };

static void add_any(struct text *out, const char *const *pieces, size_t n, uint64_t *state)
{
	text_str_add(out, pieces[random_below(state, (unsigned)n)]);
}

size_t make_input(uint8_t *data, size_t size, size_t max, uint64_t seed)
{
	CLEANUP(text_release) struct text request = { 0 };

	(void)size;
	add_any(&request, methods, ARRAY_LEN(methods), &seed);
	text_char(&request, ' ');
	for (unsigned n = 1 + random_below(&seed, 6); n; n--)
		add_any(&request, target_parts, ARRAY_LEN(target_parts), &seed);
	text_char(&request, '\n');
	for (unsigned n = random_below(&seed, 6); n; n--) {
		add_any(&request, header_lines, ARRAY_LEN(header_lines), &seed);
		text_char(&request, '\n');
	}
	text_char(&request, '\n');
	add_any(&request, bodies, ARRAY_LEN(bodies), &seed);
	if (request.len > max)
		request.len = max;
	memcpy(data, request.bytes, request.len);
	return request.len;
}
