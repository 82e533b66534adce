#include "command_body.h"

#include <stdlib.h>
#include <string.h>

#define INTEGER_DIGITS_MAX 18

static const char not_an_object[] = "the body must be a JSON object";

/* What is passed on as it is: a tree of eight megabytes of fight would be for nothing. */
static int pass_on(const struct command_parts *parts, struct text *out, struct scratch *scratch, struct error *err)
{
	size_t space = strspn(parts->body, " \t\r\n");

	if (json_check(parts->body, parts->body_len, scratch, err))
		return -1;
	if (parts->body[space] != '{')
		return error_set(err, CODE_INVALID_PAYLOAD, not_an_object);
	text_add(out, parts->body, parts->body_len);
	return 0;
}

static int parse(const struct command_parts *parts, const cJSON **tree, struct scratch *scratch, struct error *err)
{
	*tree = NULL;
	if (!parts->body_len)
		return 0;
	*tree = json_parse(parts->body, parts->body_len, scratch, err);
	if (!*tree)
		return -1;
	if (!cJSON_IsObject(*tree))
		return error_set(err, CODE_INVALID_PAYLOAD, not_an_object);
	return 0;
}

static bool has_member(const cJSON *tree, const char *name)
{
	return tree && cJSON_GetObjectItemCaseSensitive(tree, name);
}

static bool from_query(const struct route *route, const char *name)
{
	for (size_t i = 0; i < ROUTE_QUERY_MAX && route->query[i]; i++)
		if (strcmp(route->query[i], name) == 0)
			return true;
	return false;
}

/* ---- whose character ---- */

static int refuse_other(const struct caller *caller, const char *subject, struct error *err)
{
	if (!caller->claims.char_id)
		return error_set(err, CODE_FORBIDDEN, "this login has no character: log in or refresh with a char_id");
	return error_set(err, CODE_FORBIDDEN, "%s is not your character", subject);
}

static bool is_integer(const char *value)
{
	const char *digits = value + (*value == '-');
	size_t n = strspn(digits, "0123456789");

	return n > 0 && n <= INTEGER_DIGITS_MAX && digits[n] == '\0';
}

/* A value that is no integer is left to the service to refuse: as a string, which no number is read from. */
static int check_subject(const struct command_parts *parts, const cJSON *tree, struct error *err)
{
	const char *subject = parts->route->subject, *value;
	const cJSON *member;
	bool given = false;

	if (!subject || parts->caller->kind != CALLER_PLAYER)
		return 0;
	cJSON_ArrayForEach(member, tree)
	{
		if (strcmp(member->string, subject) != 0)
			continue;
		given = true;
		if (cJSON_IsNumber(member) && member->valuedouble != (double)parts->caller->claims.char_id)
			return refuse_other(parts->caller, subject, err);
	}
	value = from_query(parts->route, subject) ? target_parameter(parts->target, subject, NULL) : NULL;
	if (value && is_integer(value) && strtoll(value, NULL, 10) != parts->caller->claims.char_id)
		return refuse_other(parts->caller, subject, err);
	if (!given && !value && !parts->caller->claims.char_id)
		return refuse_other(parts->caller, subject, err);
	return 0;
}

/* ---- writing ---- */

static void write_value(struct text *out, enum field_form form, const char *value)
{
	char *end;
	double number = strtod(value, &end);

	if (form == FORM_INTEGER && is_integer(value))
		json_int(out, strtoll(value, NULL, 10));
	else if (form == FORM_NUMBER && *value && !*end)
		json_number(out, number);
	else if (form == FORM_BOOLEAN && (strcmp(value, "true") == 0 || strcmp(value, "false") == 0))
		json_bool(out, *value == 't');
	else
		json_string(out, value);
}

static int write_query(const struct command_parts *parts, const cJSON *tree, struct text *out, struct problem *problem,
	struct error *err)
{
	const struct route *route = parts->route;

	for (size_t i = 0; i < ROUTE_QUERY_MAX && route->query[i]; i++) {
		size_t n;
		const char *name = route->query[i], *value = target_parameter(parts->target, name, &n);

		if (!value)
			continue;
		if (n > 1 || has_member(tree, name)) {
			*problem = (struct problem){ name, "given twice" };
			return error_set(err, CODE_INVALID_PAYLOAD, "%s is given twice", name);
		}
		json_key(out, name);
		write_value(out, command_field_form(parts->command, name), value);
	}
	return 0;
}

static void write_members(const struct command_parts *parts, const cJSON *tree, struct text *out)
{
	const cJSON *member;

	cJSON_ArrayForEach(member, tree)
	{
		/* The header alone says it. */
		if (parts->route->token && strcmp(member->string, parts->route->token) == 0)
			continue;
		json_key(out, member->string);
		json_write(out, member);
	}
}

static void write_subject(const struct command_parts *parts, const cJSON *tree, struct text *out)
{
	const char *subject = parts->route->subject;

	if (!subject || parts->caller->kind != CALLER_PLAYER || has_member(tree, subject))
		return;
	if (from_query(parts->route, subject) && target_parameter(parts->target, subject, NULL))
		return;
	json_key_int(out, subject, parts->caller->claims.char_id);
}

static bool query_given(const struct command_parts *parts)
{
	for (size_t i = 0; i < ROUTE_QUERY_MAX && parts->route->query[i]; i++)
		if (target_parameter(parts->target, parts->route->query[i], NULL))
			return true;
	return false;
}

static bool is_changed(const struct command_parts *parts)
{
	return !parts->route->body || !parts->body_len || parts->route->token || query_given(parts) ||
	       (parts->route->subject && parts->caller->kind == CALLER_PLAYER);
}

int command_body(const struct command_parts *parts, struct text *out, struct problem *problem, struct scratch *scratch,
	struct error *err)
{
	const struct route *route = parts->route;
	const cJSON *tree = NULL;

	if (!is_changed(parts))
		return pass_on(parts, out, scratch, err);
	if ((route->body && parse(parts, &tree, scratch, err)) || check_subject(parts, tree, err))
		return -1;
	json_open(out, '{');
	if (write_query(parts, tree, out, problem, err))
		return -1;
	write_subject(parts, tree, out);
	if (route->token)
		json_key_string(out, route->token, parts->bearer);
	write_members(parts, tree, out);
	json_close(out, '}');
	return 0;
}
