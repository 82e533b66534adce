#include <stdio.h>

#include "dead.h"
#include "plain.h"
#include "verbs.h"

static const struct field option_fields[] = {
	FIELD(struct dead_options, id, .min = 1, .max = 255, .help = "only the message with this message_id"),
	FIELD(struct dead_options, code, .min = 1, .max = 64, .help = "only messages that died of this code"),
	FIELD(struct dead_options, limit, .max = INT32_MAX, .preset = "20", .help = "at most so many; 0: all"),
};
const struct schema dead_show_options = SCHEMA(struct dead_options, option_fields, .name = "dead show");

static const char *or_dash(const char *text)
{
	return text ? text : "-";
}

static void print_letter(const struct dead_letter *letter)
{
	CLEANUP(text_release) struct text out = { 0 };

	text_printf(&out,
		"message_id   %s\nrouting key  %s\ncode         %s (stage %s, attempt %lld)\nerror        %s\n"
		"first, last  %s, %s\nworker       %s\nbody         ",
		or_dash(letter->delivery.message_id), letter->routing_key, letter->code, or_dash(letter->stage),
		(long long)letter->attempt, or_dash(letter->error), or_dash(letter->first_at), or_dash(letter->last_at),
		or_dash(letter->worker));
	if (letter->withheld)
		text_str_add(&out, "(withheld: it may hold a secret)");
	else
		text_add(&out, letter->delivery.body, letter->delivery.body_len);
	text_str_add(&out, "\n\n");
	plain_print(&out);
}

int dead_show_run(struct invocation *in, struct error *err)
{
	CLEANUP(text_release) struct text out = { 0 };
	struct dead_letter letter;
	struct dead_scan scan;
	int got;

	if (dead_open(&scan, in, err))
		return ctl_failed(err);
	json_open(&out, '{');
	json_key(&out, "messages");
	json_open(&out, '[');
	while ((got = dead_next(&scan, &letter, err)) > 0) {
		if (in->json)
			dead_write(&letter, true, &out);
		else
			print_letter(&letter);
	}
	json_close(&out, ']');
	json_close(&out, '}');
	dead_close(&scan);
	if (got == 0 && in->json)
		printf("%s\n", text_str(&out));
	return got ? ctl_failed(err) : CTL_DONE;
}
