#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "dead.h"
#include "plain.h"
#include "verbs.h"

static const struct field option_fields[] = {
	FIELD(struct dead_options, id, .min = 1, .max = 255, .help = "only the message with this message_id"),
	FIELD(struct dead_options, code, .min = 1, .max = 64, .help = "only messages that died of this code"),
};
const struct schema dead_list_options = SCHEMA(struct dead_options, option_fields, .name = "dead list");

/* Letters of one command that died of one code. */
struct group {
	char command[BROKER_NAME_MAX];
	char code[64];
	int64_t n;
	char first_at[CLOCK_TEXT_MAX]; /* the least g-first-at */
	char last_at[CLOCK_TEXT_MAX];  /* the greatest g-last-at */
	char message_id[BROKER_NAME_MAX];
	char error[256];
};
struct groups {
	struct group *items;
	size_t n, room;
	int64_t letters;
};

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "");
}

static struct group *find_group(struct groups *groups, const struct dead_letter *letter)
{
	for (size_t i = 0; i < groups->n; i++)
		if (strcmp(groups->items[i].command, letter->command) == 0 &&
			strcmp(groups->items[i].code, letter->code) == 0)
			return &groups->items[i];
	if (groups->n == groups->room) {
		groups->room = groups->room * 2 + 16;
		groups->items = must_realloc(groups->items, groups->room * sizeof(*groups->items));
	}
	struct group *group = &groups->items[groups->n++];

	memset(group, 0, sizeof(*group));
	copy(group->command, sizeof(group->command), letter->command);
	copy(group->code, sizeof(group->code), letter->code);
	copy(group->first_at, sizeof(group->first_at), letter->first_at);
	return group;
}

/* RFC 3339 in UTC sorts as text; the sample is the latest letter. */
static void add(struct groups *groups, const struct dead_letter *letter)
{
	struct group *group = find_group(groups, letter);

	groups->letters++;
	group->n++;
	if (letter->first_at && strcmp(letter->first_at, group->first_at) < 0)
		copy(group->first_at, sizeof(group->first_at), letter->first_at);
	if (letter->last_at && strcmp(letter->last_at, group->last_at) < 0)
		return;
	copy(group->last_at, sizeof(group->last_at), letter->last_at);
	copy(group->message_id, sizeof(group->message_id), letter->delivery.message_id);
	copy(group->error, sizeof(group->error), letter->error);
}

static int most_first(const void *a, const void *b)
{
	const struct group *left = a, *right = b;

	if (left->n != right->n)
		return left->n < right->n ? 1 : -1;
	int by_command = strcmp(left->command, right->command);

	return by_command ? by_command : strcmp(left->code, right->code);
}

static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

static void print_json(const char *service, const struct groups *groups)
{
	CLEANUP(text_release) struct text out = { 0 };

	json_open(&out, '{');
	json_key_string(&out, "service", service);
	json_key_int(&out, "messages", groups->letters);
	json_key(&out, "groups");
	json_open(&out, '[');
	for (size_t i = 0; i < groups->n; i++) {
		const struct group *group = &groups->items[i];

		json_open(&out, '{');
		json_key_string(&out, "command", group->command);
		json_key_string(&out, "code", group->code);
		json_key_int(&out, "messages", group->n);
		json_key_string(&out, "first_at", or_null(group->first_at));
		json_key_string(&out, "last_at", or_null(group->last_at));
		json_key_string(&out, "message_id", or_null(group->message_id));
		json_key_string(&out, "error", or_null(group->error));
		json_close(&out, '}');
	}
	json_close(&out, ']');
	json_close(&out, '}');
	printf("%s\n", text_str(&out));
}

static void print_table(const char *service, const struct groups *groups)
{
	CLEANUP(text_release) struct text rows = { 0 };

	if (groups->letters == 0) {
		printf("no dead letters of %s match\n", service);
		return;
	}
	printf("%8s  %-24s  %-16s  %-24s  %s\n", "MESSAGES", "COMMAND", "CODE", "LAST", "LATEST ERROR");
	for (size_t i = 0; i < groups->n; i++) {
		const struct group *group = &groups->items[i];

		text_printf(&rows, "%8lld  %-24s  %-16s  %-24s  %s\n", (long long)group->n, group->command, group->code,
			group->last_at, group->error);
	}
	plain_print(&rows);
	printf("%8lld  in all; garrisonctl dead show %s --code CODE shows them\n", (long long)groups->letters, service);
}

int dead_list_run(struct invocation *in, struct error *err)
{
	struct groups groups = { 0 };
	struct dead_letter letter;
	struct dead_scan scan;
	int got;

	if (dead_open(&scan, in, err))
		return ctl_failed(err);
	while ((got = dead_next(&scan, &letter, err)) > 0)
		add(&groups, &letter);
	dead_close(&scan);
	if (groups.n)
		qsort(groups.items, groups.n, sizeof(*groups.items), most_first);
	if (got == 0 && in->json)
		print_json(in->args[0], &groups);
	else if (got == 0)
		print_table(in->args[0], &groups);
	free(groups.items);
	return got ? ctl_failed(err) : CTL_DONE;
}
