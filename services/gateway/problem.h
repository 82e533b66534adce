/* Errors on their way to an HTTP caller: statuses, and RFC 9457's application/problem+json. Pure. */
#ifndef GATEWAY_PROBLEM_H
#define GATEWAY_PROBLEM_H

#include "field.h"

/* Words of the gateway's own beside those of enum code. */
#define CODE_WORD_BAD_REQUEST "bad_request"
#define CODE_WORD_METHOD_NOT_ALLOWED "method_not_allowed"

/* Why a request is refused. A zeroed one is no refusal. */
struct refusal {
	unsigned status;  /* 0: none */
	const char *code; /* static */
	char text[sizeof(((struct error *)0)->text)];
	int path_len;	      /* as struct error's */
	struct problem field; /* .field NULL: none; strings that outlive the answer */
};

/* The HTTP status of a code. Any thread. */
unsigned problem_status(enum code code);
/* The phrase of a status this gateway gives ("Not Found"). Any thread. */
const char *problem_title(unsigned status);

/* Fills a refusal from an error. Any thread. */
void refusal_set(struct refusal *refusal, const struct error *err);
/* Writes a refusal as a problem. Any thread. */
void problem_write(const struct refusal *refusal, const char *trace_id, struct text *out);
/* Writes the error object of a service's reply as a problem and gives its status. Any thread. */
unsigned problem_write_reply(const cJSON *error, const char *trace_id, struct text *out);

#endif
