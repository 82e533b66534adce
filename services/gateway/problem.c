#include "problem.h"

#include <string.h>

#include "trace.h"

struct status_row {
	unsigned status;
	const char *title;
};

static const struct status_row titles[] = {
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 409, "Conflict" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 422, "Unprocessable Content" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
};

static const unsigned statuses[CODE_COUNT] = {
	[CODE_OK] = 200,
	[CODE_INVALID_JSON] = 400,
	[CODE_INVALID_PAYLOAD] = 422,
	[CODE_UNKNOWN_COMMAND] = 404,
	[CODE_UNAUTHORIZED] = 401,
	[CODE_FORBIDDEN] = 403,
	[CODE_NOT_FOUND] = 404,
	[CODE_CONFLICT] = 409,
	[CODE_RATE_LIMITED] = 429,
	[CODE_TIMEOUT] = 504,
	[CODE_UNAVAILABLE] = 503,
	[CODE_INTERNAL] = 500,
};

unsigned problem_status(enum code code)
{
	return statuses[code];
}

const char *problem_title(unsigned status)
{
	for (size_t i = 0; i < ARRAY_LEN(titles); i++)
		if (titles[i].status == status)
			return titles[i].title;
	BUG("no title for status %u", status);
}

void refusal_set(struct refusal *refusal, const struct error *err)
{
	refusal->status = problem_status(err->code);
	refusal->code = code_name(err->code);
	refusal->path_len = err->path_len;
	snprintf(refusal->text, sizeof(refusal->text), "%s", err->text);
}

static void open_problem(unsigned status, const char *code, const char *detail, struct text *out)
{
	json_open(out, '{');
	json_key_string(out, "type", "about:blank");
	json_key_string(out, "title", problem_title(status));
	json_key_int(out, "status", status);
	json_key_string(out, "detail", detail);
	json_key_string(out, "code", code);
	json_key(out, "fields");
	json_open(out, '[');
}

static void close_problem(const char *trace_id, struct text *out)
{
	json_close(out, ']');
	json_key(out, "trace_id");
	json_bytes(out, trace_id, TRACE_ID_LEN);
	json_close(out, '}');
}

static void write_field(const char *field, const char *problem, struct text *out)
{
	json_open(out, '{');
	json_key_string(out, "field", field);
	json_key_string(out, "problem", problem);
	json_close(out, '}');
}

static void write_path(const struct refusal *refusal, struct text *out)
{
	json_open(out, '{');
	json_key(out, "field");
	json_bytes(out, refusal->text, (size_t)refusal->path_len);
	json_key_string(out, "problem", refusal->text + refusal->path_len + 2);
	json_close(out, '}');
}

void problem_write(const struct refusal *refusal, const char *trace_id, struct text *out)
{
	open_problem(refusal->status, refusal->code, refusal->text, out);
	if (refusal->field.field)
		write_field(refusal->field.field, refusal->field.problem, out);
	else if (refusal->path_len)
		write_path(refusal, out);
	close_problem(trace_id, out);
}

static const char *string_of(const cJSON *object, const char *key)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsString(value) ? value->valuestring : "";
}

unsigned problem_write_reply(const cJSON *error, const char *trace_id, struct text *out)
{
	enum code code = code_by_name(string_of(error, "code"));
	unsigned status = problem_status(code == CODE_OK ? CODE_INTERNAL : code);
	const cJSON *field;

	open_problem(status, code_name(code == CODE_OK ? CODE_INTERNAL : code), string_of(error, "message"), out);
	cJSON_ArrayForEach(field, cJSON_GetObjectItemCaseSensitive(error, "fields"))
		write_field(string_of(field, "field"), string_of(field, "problem"), out);
	close_problem(trace_id, out);
	return status;
}
