/* link: services/gateway/target.c services/gateway/route.c services/gateway/request_headers.c services/gateway/command_body.c */
#include <string.h>

#include "services/gateway/command_body.h"
#include "services/gateway/request_headers.h"
#include "services/gateway/route.h"
#include "services/gateway/target.h"
#include "tests/unit/check.h"

/* A table of the test's own. */
const struct route routes[] = {
	{ "GET", "/thing", .who = WHO_PLAYER, .command = "x.get", .query = { "id", "flag", "name" }, .subject = "id" },
	{ "POST", "/thing", .who = WHO_PLAYER, .command = "x.set", .body = true, .subject = "id" },
	{ "DELETE", "/thing", .who = WHO_PLAYER, .command = "x.drop", .body = true, .query = { "id" },
		.subject = "id" },
	{ "POST", "/leave", .who = WHO_BEARER, .command = "x.leave", .body = true, .token = "token" },
	{ "POST", "/commands/{service}/{command}", .who = WHO_SERVICE, .body = true },
};
const size_t n_routes = ARRAY_LEN(routes);
enum { GET_THING, POST_THING, DELETE_THING, LEAVE, ANY };

/* In place of the catalogue. */
enum field_form command_field_form(const struct known_command *command, const char *field)
{
	(void)command;
	if (strcmp(field, "id") == 0)
		return FORM_INTEGER;
	return strcmp(field, "flag") == 0 ? FORM_BOOLEAN : FORM_TEXT;
}

/* ---- targets ---- */

static void targets_are_taken_apart(void)
{
	CLEANUP(scratch_release) struct scratch scratch;
	struct target target;
	size_t n;

	scratch_init(&scratch, 1 << 16);
	CHECK_INT(target_parse("/a%2Fb%20c?x=1&y=a+b%26c&&flag&x=%D0%A9#piece?z=1", &target, &scratch, NULL), 0);
	CHECK_STR(target.path, "/a/b c");
	CHECK_STR(target_parameter(&target, "x", &n), "1");
	CHECK_INT((int64_t)n, 2);
	CHECK_STR(target.parameters[3].value, "Щ");
	CHECK_STR(target_parameter(&target, "y", NULL), "a b&c");
	CHECK_STR(target_parameter(&target, "flag", NULL), "");
	CHECK_STR(target_parameter(&target, "z", &n), NULL);
	CHECK_INT((int64_t)n, 0);
	CHECK_INT(target_parse("/a+b", &target, &scratch, NULL), 0);
	CHECK_STR(target.path, "/a+b");
	CHECK_INT(target_parse("/a?", &target, &scratch, NULL), 0);
	CHECK_INT((int64_t)target.n, 0);
}

static void targets_that_are_none(void)
{
	static const char *const texts[] = { "", "a", "*", "http://x/", "/%", "/%4", "/%zz", "/%00", "/%0a", "/%7f",
		"/%ff", "/%c3", "/\x01", "/a?b=%", "/a?%gg=1", "/a?b=%00", "/a?b=%e0%80", "?a=1" };
	CLEANUP(scratch_release) struct scratch scratch;
	struct target target;
	struct error err;

	scratch_init(&scratch, 1 << 16);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (!CHECK(target_parse(texts[i], &target, &scratch, &err) == -1) || !CHECK(*err.text))
			CHECK_STR(texts[i], NULL);
}

static void parameters_have_a_limit(void)
{
	char text[200] = "/?";
	CLEANUP(scratch_release) struct scratch scratch;
	struct target target;

	scratch_init(&scratch, 1 << 16);
	for (int i = 0; i < TARGET_PARAMETERS_MAX; i++)
		memcpy(text + 2 + 4 * i, "a=1&", 5);
	CHECK_INT(target_parse(text, &target, &scratch, NULL), 0);
	CHECK_INT((int64_t)target.n, TARGET_PARAMETERS_MAX);
	memcpy(text + 2 + 4 * TARGET_PARAMETERS_MAX, "b", 2);
	CHECK_INT(target_parse(text, &target, &scratch, NULL), -1);
}

/* ---- routes ---- */

static void check_route(const char *method, const char *path, const struct route *expected, const char *allowed)
{
	struct route_match match;

	route_find(method, path, &match);
	if (!CHECK(match.route == expected) || !CHECK_STR(expected ? allowed : match.allowed, allowed))
		CHECK_STR(path, NULL);
}

static void routes_are_found_by_method_and_path(void)
{
	struct route_match match;

	check_route("GET", "/thing", &routes[GET_THING], "");
	check_route("HEAD", "/thing", &routes[GET_THING], "");
	check_route("DELETE", "/thing", &routes[DELETE_THING], "");
	check_route("PUT", "/thing", NULL, "GET, HEAD, POST, DELETE");
	check_route("get", "/thing", NULL, "GET, HEAD, POST, DELETE");
	check_route("GET", "/thing/", NULL, "");
	check_route("GET", "/thin", NULL, "");
	check_route("GET", "", NULL, "");
	check_route("GET", "/commands/a/b", NULL, "POST");
	check_route("POST", "/commands/a", NULL, "");
	check_route("POST", "/commands//b", NULL, "");
	check_route("POST", "/commands/a/", NULL, "");
	check_route("POST", "/commands/a/b/c", NULL, "");
	check_route("POST", "/commands/a.b/c", NULL, "");
	check_route("POST", "/commands/a/b c", NULL, "");
	route_find("POST", "/commands/combat-settlement/settle_combat", &match);
	CHECK(match.route == &routes[ANY]);
	CHECK_STR(match.service, "combat-settlement");
	CHECK_STR(match.command, "settle_combat");
}

static void a_part_of_a_path_has_a_limit(void)
{
	char path[100] = "/commands/";
	struct route_match match;

	memset(path + 10, 'a', 63);
	memcpy(path + 73, "/b", 3);
	route_find("POST", path, &match);
	CHECK(match.route != NULL);
	memcpy(path + 73, "a/b", 4);
	route_find("POST", path, &match);
	CHECK(match.route == NULL);
}

/* ---- headers ---- */

static struct request_headers headers;

static int add(const char *name, const char *value)
{
	static struct scratch scratch = { .cap = 1 << 16 };

	return request_headers_add(&headers, name, strlen(name), value, strlen(value), &scratch, NULL);
}

static void headers_that_matter_are_kept(void)
{
	request_headers_init(&headers);
	CHECK_INT(add("Host", "x"), 0);
	CHECK_INT(add("content-length", "12"), 0);
	CHECK_INT(add("AUTHORIZATION", "bEaReR   abc"), 0);
	CHECK_INT(add("Idempotency-Key", "k"), 0);
	CHECK_INT(add("X-Other", "\tanything \x80"), 0);
	CHECK_INT(request_headers_check(&headers, "HTTP/1.1", NULL), 0);
	CHECK_INT(headers.content_length, 12);
	CHECK_STR(request_headers_bearer(&headers), "abc");
	CHECK_STR(headers.idempotency_key, "k");
	CHECK(!headers.chunked);
}

static void lines_that_are_refused(void)
{
	char long_key[IDEMPOTENCY_KEY_MAX + 2] = "";
	const struct {
		const char *name, *value;
	} lines[] = { { "", "x" }, { "Content-Length ", "1" }, { "Content-Length\t", "1" }, { "A b", "x" },
		{ "A(", "x" }, { "\xc3\xa9", "x" }, { "A", "a\rb" }, { "A", "a\nb" }, { "A", "\x7f" },
		{ "Content-Length", "" }, { "Content-Length", "1x" }, { "Content-Length", "+1" },
		{ "Content-Length", "-1" }, { "Content-Length", "1, 1" }, { "Content-Length", "0x10" },
		{ "Content-Length", "9999999999999999" }, { "Transfer-Encoding", "gzip" },
		{ "Transfer-Encoding", "chunked, gzip" }, { "Transfer-Encoding", "" }, { "Idempotency-Key", "" },
		{ "Idempotency-Key", "\xff" }, { "Idempotency-Key", long_key } };

	memset(long_key, 'k', IDEMPOTENCY_KEY_MAX + 1);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		request_headers_init(&headers);
		if (!CHECK(add(lines[i].name, lines[i].value) == -1))
			CHECK_STR(lines[i].name, lines[i].value);
	}
}

static void lines_that_may_be_there_once(void)
{
	static const char *const names[] = { "Host", "Content-Length", "Authorization", "Idempotency-Key", "Origin" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		request_headers_init(&headers);
		CHECK_INT(add(names[i], "1"), 0);
		CHECK_INT(add(names[i], "1"), -1);
	}
	request_headers_init(&headers);
	CHECK_INT(add("Transfer-Encoding", "Chunked"), 0);
	CHECK_INT(add("Transfer-Encoding", "chunked"), -1);
}

static void framing_beyond_doubt(void)
{
	request_headers_init(&headers);
	CHECK_INT(request_headers_check(&headers, "HTTP/1.1", NULL), -1);
	CHECK_INT(request_headers_check(&headers, "HTTP/1.0", NULL), 0);
	add("Host", "x");
	CHECK_INT(request_headers_check(&headers, "HTTP/1.1", NULL), 0);
	CHECK_INT(request_headers_check(&headers, "HTTP/1.2", NULL), -1);
	CHECK_INT(request_headers_check(&headers, "HTTP/2.0", NULL), -1);
	add("Transfer-Encoding", "chunked");
	CHECK_INT(request_headers_check(&headers, "HTTP/1.1", NULL), 0);
	CHECK_INT(request_headers_check(&headers, "HTTP/1.0", NULL), -1);
	add("Content-Length", "0");
	CHECK_INT(request_headers_check(&headers, "HTTP/1.1", NULL), -1);
}

static void forwarded_lines_are_one_list(void)
{
	request_headers_init(&headers);
	add("X-Forwarded-For", "1.1.1.1, 2.2.2.2");
	add("x-forwarded-for", "3.3.3.3");
	CHECK_STR(headers.forwarded, "1.1.1.1, 2.2.2.2,3.3.3.3");
}

static void what_is_no_bearer(void)
{
	static const char *const values[] = { "", "Bearer", "Bearer ", "Bearer   ", "Basic abc", "abc", "Bearerabc" };

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		request_headers_init(&headers);
		add("Authorization", values[i]);
		CHECK(!request_headers_bearer(&headers));
	}
	request_headers_init(&headers);
	CHECK(!request_headers_bearer(&headers));
}

/* ---- bodies ---- */

static const struct caller service = { .kind = CALLER_SERVICE };
static const struct caller player = { .kind = CALLER_PLAYER, .claims = { .char_id = 7 } };
static const struct caller nobody_yet = { .kind = CALLER_PLAYER };

/* The command's body, or the name of the code and of the field. */
static const char *body_of(int route, const struct caller *caller, const char *target_text, const char *body)
{
	static char result[300];
	CLEANUP(scratch_release) struct scratch scratch;
	CLEANUP(text_release) struct text out = { 0 };
	struct problem problem = { 0 };
	struct target target;
	struct error err;
	struct command_parts parts = { .route = &routes[route],
		.target = &target,
		.caller = caller,
		.bearer = "t.o.k",
		.body = body,
		.body_len = strlen(body) };

	scratch_init(&scratch, 1 << 20);
	CHECK_INT(target_parse(target_text, &target, &scratch, NULL), 0);
	if (command_body(&parts, &out, &problem, &scratch, &err) == 0)
		snprintf(result, sizeof(result), "%s", text_str(&out));
	else
		snprintf(result, sizeof(result), "%s %s", code_name(err.code), problem.field ? problem.field : "-");
	return result;
}

static void a_service_says_what_it_wants(void)
{
	CHECK_STR(body_of(POST_THING, &service, "/", " {\"id\": 9 , \"x\":[1.50]} "), " {\"id\": 9 , \"x\":[1.50]} ");
	CHECK_STR(body_of(POST_THING, &service, "/", ""), "{}");
	CHECK_STR(body_of(ANY, &service, "/?wait=1", "{\"a\":1}"), "{\"a\":1}");
	CHECK_STR(body_of(GET_THING, &service, "/?id=9&flag=true&name=5&other=1", ""),
		"{\"id\":9,\"flag\":true,\"name\":\"5\"}");
	CHECK_STR(body_of(GET_THING, &service, "/?id=-007&flag=maybe&name=", ""),
		"{\"id\":-7,\"flag\":\"maybe\",\"name\":\"\"}");
	CHECK_STR(body_of(GET_THING, &service, "/?id=1e3", ""), "{\"id\":\"1e3\"}");
	CHECK_STR(body_of(GET_THING, &service, "/?id=1234567890123456789", ""), "{\"id\":\"1234567890123456789\"}");
	CHECK_STR(body_of(GET_THING, &service, "/?id=--1&name=%22%5C", ""), "{\"id\":\"--1\",\"name\":\"\\\"\\\\\"}");
	CHECK_STR(body_of(GET_THING, &service, "/", "ignored"), "{}");
	CHECK_STR(body_of(DELETE_THING, &service, "/?id=9", "{\"a\":1}"), "{\"id\":9,\"a\":1}");
}

static void a_player_is_its_character(void)
{
	CHECK_STR(body_of(POST_THING, &player, "/", ""), "{\"id\":7}");
	CHECK_STR(body_of(POST_THING, &player, "/", "{\"a\":[]}"), "{\"id\":7,\"a\":[]}");
	CHECK_STR(body_of(POST_THING, &player, "/", "{\"a\":1,\"id\":7}"), "{\"a\":1,\"id\":7}");
	CHECK_STR(body_of(POST_THING, &player, "/", "{\"id\":\"8\"}"), "{\"id\":\"8\"}");
	CHECK_STR(body_of(GET_THING, &player, "/", ""), "{\"id\":7}");
	CHECK_STR(body_of(GET_THING, &player, "/?id=7", ""), "{\"id\":7}");
	CHECK_STR(body_of(GET_THING, &player, "/?id=7x", ""), "{\"id\":\"7x\"}");
	CHECK_STR(body_of(DELETE_THING, &player, "/?id=7", ""), "{\"id\":7}");
}

static void a_player_is_nobody_else(void)
{
	CHECK_STR(body_of(POST_THING, &player, "/", "{\"id\":8}"), "forbidden -");
	CHECK_STR(body_of(POST_THING, &player, "/", "{\"id\":7.5}"), "forbidden -");
	CHECK_STR(body_of(POST_THING, &player, "/", "{\"id\":7,\"\\u0069d\":8}"), "forbidden -");
	CHECK_STR(body_of(GET_THING, &player, "/?id=8", ""), "forbidden -");
	CHECK_STR(body_of(DELETE_THING, &player, "/?id=8", "{\"id\":7}"), "forbidden -");
	CHECK_STR(body_of(POST_THING, &nobody_yet, "/", "{}"), "forbidden -");
	CHECK_STR(body_of(POST_THING, &nobody_yet, "/", "{\"id\":7}"), "forbidden -");
	CHECK_STR(body_of(GET_THING, &nobody_yet, "/?id=0", ""), "{\"id\":0}");
}

static void what_is_said_twice(void)
{
	CHECK_STR(body_of(GET_THING, &service, "/?id=1&id=1", ""), "invalid_payload id");
	CHECK_STR(body_of(DELETE_THING, &service, "/?id=1", "{\"id\":1}"), "invalid_payload id");
	CHECK_STR(body_of(GET_THING, &player, "/?name=a&name=b", ""), "invalid_payload name");
}

static void the_header_alone_says_the_token(void)
{
	CHECK_STR(body_of(LEAVE, &service, "/", ""), "{\"token\":\"t.o.k\"}");
	CHECK_STR(body_of(LEAVE, &service, "/", "{\"token\":\"x\",\"a\":1,\"token\":2}"),
		"{\"token\":\"t.o.k\",\"a\":1}");
}

static void bodies_that_are_no_objects(void)
{
	for (int who = 0; who < 2; who++) {
		const struct caller *caller = who ? &player : &service;

		CHECK_STR(body_of(POST_THING, caller, "/", "{"), "invalid_json -");
		CHECK_STR(body_of(POST_THING, caller, "/", " "), "invalid_json -");
		CHECK_STR(body_of(POST_THING, caller, "/", "{} x"), "invalid_json -");
		CHECK_STR(body_of(POST_THING, caller, "/", "[]"), "invalid_payload -");
		CHECK_STR(body_of(POST_THING, caller, "/", " \r\n\t7"), "invalid_payload -");
	}
}

static const struct check_test tests[] = {
	CHECK_TEST(targets_are_taken_apart),
	CHECK_TEST(targets_that_are_none),
	CHECK_TEST(parameters_have_a_limit),
	CHECK_TEST(routes_are_found_by_method_and_path),
	CHECK_TEST(a_part_of_a_path_has_a_limit),
	CHECK_TEST(headers_that_matter_are_kept),
	CHECK_TEST(lines_that_are_refused),
	CHECK_TEST(lines_that_may_be_there_once),
	CHECK_TEST(framing_beyond_doubt),
	CHECK_TEST(forwarded_lines_are_one_list),
	CHECK_TEST(what_is_no_bearer),
	CHECK_TEST(a_service_says_what_it_wants),
	CHECK_TEST(a_player_is_its_character),
	CHECK_TEST(a_player_is_nobody_else),
	CHECK_TEST(what_is_said_twice),
	CHECK_TEST(the_header_alone_says_the_token),
	CHECK_TEST(bodies_that_are_no_objects),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
