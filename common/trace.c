#include "trace.h"

#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#define SPAN_ID_AT 36
#define SPAN_ID_LEN 16

static bool has_shape(const char *text)
{
	static const char shape[] = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";

	if (strlen(text) < TRACEPARENT_LEN)
		return false;
	for (size_t i = 0; i < TRACEPARENT_LEN; i++)
		if (shape[i] == 'x' ? !strchr("0123456789abcdef", text[i]) : text[i] != shape[i])
			return false;
	return true;
}

/* A later version begins as version 00 does, and may say more after another dash; ff is none. */
static bool valid_traceparent(const char *text)
{
	if (!text || !has_shape(text) || strncmp(text, "ff", 2) == 0)
		return false;
	if (text[TRACEPARENT_LEN] && (text[TRACEPARENT_LEN] != '-' || strncmp(text, "00", 2) == 0))
		return false;
	/* All zeros is no id. */
	return strspn(text + TRACE_ID_AT, "0") < TRACE_ID_LEN && strspn(text + SPAN_ID_AT, "0") < SPAN_ID_LEN;
}

void trace_continue(const char *came, char out[static TRACEPARENT_LEN + 1])
{
	unsigned char random[(TRACE_ID_LEN + SPAN_ID_LEN) / 2];
	char hex[TRACE_ID_LEN + SPAN_ID_LEN + 1];

	randombytes_buf(random, sizeof(random));
	sodium_bin2hex(hex, sizeof(hex), random, sizeof(random));
	if (valid_traceparent(came)) {
		memcpy(out, came, TRACEPARENT_LEN);
		memcpy(out, "00", 2);
		out[TRACEPARENT_LEN] = '\0';
		memcpy(out + SPAN_ID_AT, hex, SPAN_ID_LEN);
		return;
	}
	snprintf(out, TRACEPARENT_LEN + 1, "00-%.32s-%.16s-01", hex, hex + TRACE_ID_LEN);
}
