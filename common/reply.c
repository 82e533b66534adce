#include "reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "service.h"

#define MESSAGE_MAX 512

enum outcome reply_ok(struct call *call, const void *result)
{
	call->reply.code = CODE_OK;
	text_reset(&call->reply.result);
	schema_write(call->command->result, result, &call->reply.result);
	call->outcome = DONE;
	return DONE;
}

enum outcome reply_ok_json(struct call *call, const struct text *result)
{
	call->reply.code = CODE_OK;
	text_reset(&call->reply.result);
	text_add(&call->reply.result, result->bytes, result->len);
	call->outcome = DONE;
	return DONE;
}

static const char *format_message(struct call *call, const char *format, va_list args)
{
	char message[MESSAGE_MAX];

	vsnprintf(message, sizeof(message), format, args);
	return scratch_strdup(&call->scratch, message);
}

enum outcome refuse(struct call *call, enum code code, const char *format, ...)
{
	va_list args;

	if (code == CODE_OK || code_is_transient(code))
		BUG("refused with %s", code_name(code));
	va_start(args, format);
	call->reply.message = format_message(call, format, args);
	va_end(args);
	call->reply.code = code;
	call->stage = STAGE_HANDLE;
	call->outcome = REFUSED;
	return REFUSED;
}

enum outcome refuse_field(struct call *call, const char *field, const char *format, ...)
{
	struct reply *reply = &call->reply;
	const char *problem;
	va_list args;

	va_start(args, format);
	problem = format_message(call, format, args);
	va_end(args);
	if (reply->n_fields == 0) {
		refuse(call, CODE_INVALID_PAYLOAD, "%s %s", field, problem);
		call->stage = STAGE_VALIDATE;
		reply->fields = scratch_array(&call->scratch, PROBLEMS_MAX, sizeof(*reply->fields));
	}
	if (reply->n_fields < PROBLEMS_MAX)
		reply->fields[reply->n_fields++] = (struct problem){ .field = scratch_strdup(&call->scratch, field),
			.problem = problem };
	return REFUSED;
}

enum outcome retry(struct call *call, const struct error *err)
{
	if (!code_is_transient(err->code))
		return refuse(call, err->code, "%s", err->text);
	call->reply.code = err->code;
	call->reply.message = scratch_strdup(&call->scratch, err->text);
	call->stage = err->code == CODE_TIMEOUT ? STAGE_TIMEOUT : STAGE_HANDLE;
	call->down = err->down;
	call->outcome = RETRY;
	return RETRY;
}

/* Whoever asks may be a player: where the stores are is for the log and the dead letter, which have the whole message. */
static void write_message(const struct call *call, struct text *out)
{
	char out_of_reach[64];

	if (call->outcome == RETRY && call->down) {
		snprintf(out_of_reach, sizeof(out_of_reach), "%s is out of reach; ask again later",
			store_name(call->down));
		json_key_string(out, "message", out_of_reach);
	} else {
		json_key_string(out, "message", call->reply.message);
	}
}

static void write_error(const struct call *call, struct text *out)
{
	const struct reply *reply = &call->reply;

	json_key(out, "error");
	json_open(out, '{');
	json_key_string(out, "code", code_name(reply->code));
	write_message(call, out);
	json_key_bool(out, "retryable", code_is_retryable(reply->code));
	json_key(out, "fields");
	json_open(out, '[');
	for (size_t i = 0; i < reply->n_fields; i++) {
		json_open(out, '{');
		json_key_string(out, "field", reply->fields[i].field);
		json_key_string(out, "problem", reply->fields[i].problem);
		json_close(out, '}');
	}
	json_close(out, ']');
	json_close(out, '}');
}

void reply_write(const struct call *call, struct text *out)
{
	json_open(out, '{');
	json_key_bool(out, "ok", call->outcome == DONE);
	if (call->outcome == DONE) {
		json_key(out, "result");
		if (call->reply.result.len)
			json_raw(out, call->reply.result.bytes, call->reply.result.len);
		else
			json_raw(out, "{}", 2);
	} else {
		write_error(call, out);
	}
	json_close(out, '}');
}
