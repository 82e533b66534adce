#include "openapi.h"

#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "json.h"
#include "problem.h"
#include "route.h"
#include "version.h"

static const char description[] = "HTTP in front of the game's services. Times are RFC 3339 in UTC. A player's token "
				  "acts for its own character, which is "
				  "the default where it is left out; a service token acts for any. Idempotency-Key "
				  "becomes the command's message_id. "
				  "Errors are application/problem+json. A traceparent is continued, and given back.";

static const cJSON *member(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

static const char *string_of(const cJSON *object, const char *name)
{
	const cJSON *value = member(object, name);

	return cJSON_IsString(value) ? value->valuestring : "";
}

/* The catalogue's entry of "<service>.<command>", or NULL. */
static const cJSON *find_command(const cJSON *services, const char *name)
{
	size_t len = strcspn(name, ".");
	const cJSON *service, *command;

	cJSON_ArrayForEach(service, services)
	{
		const char *known = string_of(service, "service");

		if (strlen(known) != len || strncmp(known, name, len) != 0)
			continue;
		cJSON_ArrayForEach(command, member(service, "commands"))
		{
			if (strcmp(string_of(command, "name"), name + len + 1) == 0)
				return command;
		}
	}
	return NULL;
}

static void write_ref(struct text *out, const char *kind, const char *name)
{
	json_open(out, '{');
	json_key(out, "$ref");
	text_printf(out, "\"#/components/%s/%s\"", kind, name);
	json_close(out, '}');
}

/* ---- what a request holds ---- */

static bool in_query(const struct route *route, const char *name)
{
	for (size_t i = 0; i < ROUTE_QUERY_MAX && route->query[i]; i++)
		if (strcmp(route->query[i], name) == 0)
			return true;
	return false;
}

static bool is_token(const struct route *route, const char *name)
{
	return route->token && strcmp(route->token, name) == 0;
}

static bool is_subject(const struct route *route, const char *name)
{
	return route->subject && strcmp(route->subject, name) == 0;
}

static bool is_required(const cJSON *request, const char *name)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, member(request, "required"))
	{
		if (strcmp(item->valuestring, name) == 0)
			return true;
	}
	return false;
}

static void write_parameter(
	struct text *out, const char *in, const char *name, const char *help, bool required, const cJSON *schema)
{
	json_open(out, '{');
	json_key_string(out, "name", name);
	json_key_string(out, "in", in);
	json_key_string(out, "description", help);
	json_key_bool(out, "required", required);
	json_key(out, "schema");
	if (schema) {
		json_write(out, schema);
	} else {
		json_open(out, '{');
		json_key_string(out, "type", "string");
		json_close(out, '}');
	}
	json_close(out, '}');
}

static void write_command_parameters(struct text *out)
{
	static const char wait[] = "{\"type\":\"integer\",\"minimum\":1,\"maximum\":30000}";

	write_parameter(out, "path", "service", "the service", true, NULL);
	write_parameter(out, "path", "command", "one of its commands", true, NULL);
	json_open(out, '{');
	json_key_string(out, "name", "wait");
	json_key_string(out, "in", "query");
	json_key_string(out, "description", "wait so many milliseconds for the answer, on the request lane");
	json_key(out, "schema");
	json_raw(out, wait, sizeof(wait) - 1);
	json_close(out, '}');
}

static void write_parameters(struct text *out, const struct route *route, const cJSON *request)
{
	json_key(out, "parameters");
	json_open(out, '[');
	for (size_t i = 0; i < ROUTE_QUERY_MAX && route->query[i]; i++) {
		const char *name = route->query[i];
		const cJSON *schema = member(member(request, "properties"), name);
		bool required = is_required(request, name) && !is_subject(route, name) && !route->body;

		write_parameter(out, "query", name, string_of(schema, "description"), required, schema);
	}
	if (!route->page && !route->command)
		write_command_parameters(out);
	if (!route->page && strcmp(route->method, "GET") != 0)
		write_parameter(out, "header", "Idempotency-Key", "the command's message_id", false, NULL);
	json_close(out, ']');
}

/* The request's schema without what the route takes from elsewhere. */
static void write_request_schema(struct text *out, const struct route *route, const cJSON *request)
{
	const cJSON *property, *item;

	json_open(out, '{');
	json_key_string(out, "type", "object");
	json_key(out, "properties");
	json_open(out, '{');
	cJSON_ArrayForEach(property, member(request, "properties"))
	{
		if (is_token(route, property->string))
			continue;
		json_key(out, property->string);
		json_write(out, property);
	}
	json_close(out, '}');
	json_key(out, "required");
	json_open(out, '[');
	cJSON_ArrayForEach(item, member(request, "required"))
	{
		const char *name = item->valuestring;

		if (!is_token(route, name) && !is_subject(route, name) && !in_query(route, name))
			json_string(out, name);
	}
	json_close(out, ']');
	json_close(out, '}');
}

static void open_content(struct text *out, const char *type)
{
	json_key(out, "content");
	json_open(out, '{');
	json_key(out, type);
	json_open(out, '{');
	json_key(out, "schema");
}

static void close_content(struct text *out)
{
	json_close(out, '}');
	json_close(out, '}');
}

static void write_any_command(struct text *out, const cJSON *services)
{
	const cJSON *service, *command;

	json_open(out, '{');
	json_key_string(out, "type", "object");
	json_key(out, "anyOf");
	json_open(out, '[');
	cJSON_ArrayForEach(service, services)
	{
		cJSON_ArrayForEach(command, member(service, "commands"))
		{
			char name[160];

			snprintf(
				name, sizeof(name), "%s.%s", string_of(service, "service"), string_of(command, "name"));
			write_ref(out, "schemas", name);
		}
	}
	json_close(out, ']');
	json_close(out, '}');
}

static void write_request_body(struct text *out, const struct route *route, const cJSON *services, const cJSON *command)
{
	if (!route->body)
		return;
	json_key(out, "requestBody");
	json_open(out, '{');
	open_content(out, "application/json");
	if (route->command)
		write_request_schema(out, route, member(command, "request"));
	else
		write_any_command(out, services);
	close_content(out);
	json_close(out, '}');
}

/* ---- what comes back ---- */

static void open_response(struct text *out, unsigned status, const char *text)
{
	char name[8];

	snprintf(name, sizeof(name), "%u", status);
	json_key(out, name);
	json_open(out, '{');
	json_key_string(out, "description", text);
}

static void write_success(struct text *out, unsigned status, const char *text, const cJSON *schema)
{
	static const char accepted[] = "{\"type\":\"object\",\"properties\":{\"message_id\":{\"type\":\"string\"}},"
				       "\"required\":[\"message_id\"]}";

	open_response(out, status, text);
	open_content(out, "application/json");
	if (schema)
		json_write(out, schema);
	else if (status == 202)
		json_raw(out, accepted, sizeof(accepted) - 1);
	else
		json_raw(out, "{}", 2);
	close_content(out);
	json_close(out, '}');
}

static void write_page_response(struct text *out, const struct page *page)
{
	open_response(out, 200, "The page");
	json_key(out, "content");
	json_open(out, '{');
	json_key(out, page->content_type);
	json_open(out, '{');
	json_close(out, '}');
	json_close(out, '}');
	json_close(out, '}');
	if (!page->unready)
		return;
	json_key(out, "503");
	write_ref(out, "responses", "Problem");
}

static void write_responses(struct text *out, const struct route *route, const cJSON *command)
{
	static const char *const errors[] = { "400", "401", "403", "404", "409", "413", "422", "429", "500", "503",
		"504" };
	const cJSON *result = member(command, "result");

	json_key(out, "responses");
	json_open(out, '{');
	if (route->page) {
		write_page_response(out, route->page);
	} else if (route->command) {
		if (!route->status || route->status_if)
			write_success(out, 200, "The result", result);
		if (route->status)
			write_success(out, route->status, "Made", result);
	} else {
		write_success(out, 200, "With wait: the result", NULL);
		write_success(out, 202, "The broker has the command", NULL);
	}
	for (size_t i = 0; !route->page && i < ARRAY_LEN(errors); i++) {
		json_key(out, errors[i]);
		write_ref(out, "responses", "Problem");
	}
	json_close(out, '}');
}

static void write_security(struct text *out, const struct route *route)
{
	static const char *const schemes[] = {
		[WHO_BEARER] = "playerToken", [WHO_PLAYER] = "playerToken", [WHO_SERVICE] = "serviceToken"
	};

	json_key(out, "security");
	json_open(out, '[');
	if (route->who != WHO_ANYBODY)
		text_printf(out, "{\"%s\":[]}", schemes[route->who]);
	if (route->who == WHO_PLAYER)
		text_str_add(out, ",{\"serviceToken\":[]}");
	json_close(out, ']');
}

/* "tick.start_auto_session" is an operation's id as it is; a page's is its path. */
static void write_operation_id(struct text *out, const struct route *route)
{
	json_key_string(out, "operationId", route->command ? route->command : route->path + 1);
}

static void write_operation(struct text *out, const struct route *route, const cJSON *services)
{
	const cJSON *command = route->command ? find_command(services, route->command) : NULL;
	char method[16] = "", tag[64];

	for (size_t i = 0; route->method[i]; i++)
		method[i] = (char)(route->method[i] | 0x20);
	snprintf(tag, sizeof(tag), "%.*s", (int)strcspn(route->command ? route->command : "gateway", "."),
		route->command ? route->command : "gateway");
	json_key(out, method);
	json_open(out, '{');
	write_operation_id(out, route);
	json_key_string(out, "summary", route->help);
	if (command)
		json_key_string(out, "description", string_of(command, "help"));
	json_key(out, "tags");
	json_open(out, '[');
	json_string(out, tag);
	json_close(out, ']');
	write_security(out, route);
	write_parameters(out, route, member(command, "request"));
	write_request_body(out, route, services, command);
	write_responses(out, route, command);
	json_close(out, '}');
}

static bool seen_before(const struct route *route)
{
	for (const struct route *other = routes; other < route; other++)
		if (strcmp(other->path, route->path) == 0)
			return true;
	return false;
}

static void write_paths(struct text *out, const cJSON *services)
{
	json_key(out, "paths");
	json_open(out, '{');
	for (size_t i = 0; i < n_routes; i++) {
		if (seen_before(&routes[i]))
			continue;
		json_key(out, routes[i].path);
		json_open(out, '{');
		for (size_t k = i; k < n_routes; k++)
			if (strcmp(routes[k].path, routes[i].path) == 0)
				write_operation(out, &routes[k], services);
		json_close(out, '}');
	}
	json_close(out, '}');
}

/* ---- the parts that all share ---- */

static void write_schemas(struct text *out, const cJSON *services)
{
	static const char problem[] =
		"{\"type\":\"object\",\"properties\":{\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},"
		"\"status\":{\"type\":\"integer\"},\"detail\":{\"type\":\"string\"},\"code\":{\"type\":\"string\"},"
		"\"fields\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"field\":{\"type\":"
		"\"string\"},"
		"\"problem\":{\"type\":\"string\"}},\"required\":[\"field\",\"problem\"]}},\"trace_id\":{\"type\":"
		"\"string\"}},"
		"\"required\":[\"type\",\"title\",\"status\",\"detail\",\"code\",\"fields\",\"trace_id\"]}";
	const cJSON *service, *command;

	json_key(out, "schemas");
	json_open(out, '{');
	json_key(out, "Problem");
	json_raw(out, problem, sizeof(problem) - 1);
	cJSON_ArrayForEach(service, services)
	{
		cJSON_ArrayForEach(command, member(service, "commands"))
		{
			char name[160];

			snprintf(
				name, sizeof(name), "%s.%s", string_of(service, "service"), string_of(command, "name"));
			json_key(out, name);
			json_write(out, member(command, "request"));
		}
	}
	json_close(out, '}');
}

static void write_components(struct text *out, const cJSON *services)
{
	static const char security[] =
		"{\"playerToken\":{\"type\":\"http\",\"scheme\":\"bearer\",\"bearerFormat\":\"JWT\",\"description\":"
		"\"an access token from /auth/login\"},\"serviceToken\":{\"type\":\"http\",\"scheme\":\"bearer\","
		"\"description\":\"one of SERVICE_TOKEN\"}}";

	json_key(out, "components");
	json_open(out, '{');
	json_key(out, "securitySchemes");
	json_raw(out, security, sizeof(security) - 1);
	json_key(out, "responses");
	json_open(out, '{');
	json_key(out, "Problem");
	json_open(out, '{');
	json_key_string(out, "description", "What is wrong, in words and by code");
	open_content(out, "application/problem+json");
	write_ref(out, "schemas", "Problem");
	close_content(out);
	json_close(out, '}');
	json_close(out, '}');
	write_schemas(out, services);
	json_close(out, '}');
}

void openapi_write(struct text *out)
{
	struct scratch scratch CLEANUP(scratch_release);
	const cJSON *services = commands_catalogue(&scratch);

	json_open(out, '{');
	json_key_string(out, "openapi", "3.1.0");
	json_key(out, "info");
	json_open(out, '{');
	json_key_string(out, "title", "Garrison");
	json_key_string(out, "version", GARRISON_VERSION);
	json_key_string(out, "description", description);
	json_close(out, '}');
	write_paths(out, services);
	write_components(out, services);
	json_close(out, '}');
}
