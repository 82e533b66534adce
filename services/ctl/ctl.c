#include "ctl.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ctl_internal.h"
#include "server_urls.h"
#include "service.h"
#include "settings.h"
#include "topology/management.h"

#define SCRATCH_MAX ((size_t)512 << 20)

struct ctl_settings ctl_settings;

int ctl_failed(const struct error *err)
{
	if (err->down != STORE_NONE)
		return CTL_UNREACHABLE;
	switch (err->code) {
	case CODE_INVALID_JSON:
	case CODE_INVALID_PAYLOAD:
	case CODE_UNKNOWN_COMMAND:
		return CTL_USAGE;
	case CODE_UNAVAILABLE:
	case CODE_TIMEOUT:
		return CTL_UNREACHABLE;
	case CODE_INTERNAL:
		return CTL_INTERNAL;
	default:
		return CTL_FAILED;
	}
}

const int64_t *ctl_delays(struct invocation *in, size_t *n)
{
	const struct retry_delay *rungs = ctl_settings.retry_delays.items;
	int64_t *delays = scratch_array(&in->scratch, ctl_settings.retry_delays.n + 1, sizeof(*delays));

	*n = ctl_settings.retry_delays.n;
	for (size_t i = 0; i < *n; i++)
		delays[i] = rungs[i].ms;
	return delays;
}

/* NAME=value with a name as settings have them: no JSON and no option looks like that. */
static bool is_setting(const char *word)
{
	size_t len = 0;

	while (isupper((unsigned char)word[len]) || (len && (isdigit((unsigned char)word[len]) || word[len] == '_')))
		len++;
	return len && word[len] == '=';
}

/* The command line, sorted. */
struct words {
	char **plain, **options, **settings;
	size_t n_plain, n_options, n_settings;
};

/* An option that takes a value keeps it in the next word; that of a flag, none does. */
static bool takes_next_word(const struct verb *verb, const char *option)
{
	const struct field *field = strchr(option, '=') || !verb
					    ? NULL
					    : ctl_find_option(verb, option + 2, strlen(option + 2));

	return field && field->kind != FIELD_BOOL;
}

static void sort_words(struct words *words, const struct verb *verb, int argc, char **argv, struct scratch *scratch)
{
	bool options_end = false;

	words->plain = scratch_array(scratch, (size_t)argc + 1, sizeof(char *));
	words->options = scratch_array(scratch, (size_t)argc + 1, sizeof(char *));
	words->settings = scratch_array(scratch, (size_t)argc + 1, sizeof(char *));
	for (int i = 1; i < argc; i++) {
		if (!options_end && strcmp(argv[i], "--") == 0) {
			options_end = true;
		} else if (!options_end && is_setting(argv[i])) {
			words->settings[words->n_settings++] = argv[i];
		} else if (!options_end && strcmp(argv[i], "-h") == 0) {
			words->options[words->n_options++] = scratch_strdup(scratch, "--help");
		} else if (!options_end && strncmp(argv[i], "--", 2) == 0) {
			bool pair = takes_next_word(verb, argv[i]) && i + 1 < argc;

			words->options[words->n_options++] =
				pair ? scratch_printf(scratch, "%s=%s", argv[i], argv[i + 1]) : argv[i];
			i += pair;
		} else {
			words->plain[words->n_plain++] = argv[i];
		}
	}
}

static size_t words_in(const char *name)
{
	return strchr(name, ' ') ? 2 : 1;
}

/* The verb that the first plain words name, NULL when none does. */
static const struct verb *find_verb(const struct verb *verbs, size_t n_verbs, const struct words *words)
{
	for (size_t i = 0; i < n_verbs; i++) {
		size_t first = strcspn(verbs[i].name, " ");

		if (words->n_plain < words_in(verbs[i].name) || strlen(words->plain[0]) != first ||
			strncmp(verbs[i].name, words->plain[0], first) != 0)
			continue;
		if (!verbs[i].name[first] || strcmp(verbs[i].name + first + 1, words->plain[1]) == 0)
			return &verbs[i];
	}
	return NULL;
}

static bool has_option(const struct words *words, const char *name)
{
	for (size_t i = 0; i < words->n_options; i++)
		if (strcmp(words->options[i], name) == 0)
			return true;
	return false;
}

static int complain(int status, const char *reason)
{
	fflush(stdout);
	fprintf(stderr, "garrisonctl: %.*s\n", (int)strcspn(reason, "\n"), reason);
	return status;
}

static const char *verb_name(const void *context, size_t i)
{
	return ((const struct verb *)context)[i].name;
}

static int no_such_verb(const struct verb *verbs, size_t n_verbs, const struct words *words, struct scratch *scratch)
{
	const char *said = words->plain[0];
	const char *suggestion;

	if (words->n_plain > 1)
		said = scratch_printf(scratch, "%s %s", said, words->plain[1]);
	suggestion = ctl_suggest(said, verb_name, verbs, n_verbs, scratch);
	if (!*suggestion && words->n_plain > 1)
		suggestion = ctl_suggest(words->plain[0], verb_name, verbs, n_verbs, scratch);
	return complain(CTL_USAGE,
		scratch_printf(scratch, "no such verb \"%s\"%s (garrisonctl --help lists them)", said, suggestion));
}

/* Of all servers, whether or not the verb needs them: what is wrong is said at start. */
static int check_urls(struct error *err)
{
	struct management *management CLEANUP(management_drop) = NULL;

	if (server_urls_check(ctl_settings.amqp_url, ctl_settings.redis_url, ctl_settings.database_url, err))
		return -1;
	management = management_new(ctl_settings.rabbitmq_api_url, "/", err);
	return management ? 0 : -1;
}

static int run_verb(const struct verb *verb, const struct words *words, struct invocation *in)
{
	size_t n_words = words_in(verb->name);
	const struct settings_group group = { &ctl_settings_schema, &ctl_settings };
	struct error err = { 0 };

	in->verb = verb;
	in->args = words->plain + n_words;
	if (words->n_plain - n_words != verb->n_args)
		return complain(CTL_USAGE, scratch_printf(&in->scratch, "usage: garrisonctl %s%s%s", verb->name,
						   *verb->arguments ? " " : "", verb->arguments));
	if (settings_load(&group, 1, (int)words->n_settings, words->settings, &in->scratch, &err) || check_urls(&err) ||
		ctl_read_options(in, words->options, words->n_options, &err))
		return complain(CTL_USAGE, err.text);
	int status = verb->run(in, &err);

	if (status)
		return complain(status, err.text);
	return fflush(stdout) == 0 ? CTL_DONE : complain(CTL_FAILED, "standard output cannot be written");
}

static int run(const struct verb *verbs, size_t n_verbs, int argc, char **argv, struct invocation *in)
{
	struct words words = { 0 };
	const struct verb *verb;

	/* Twice: which options take a value is known only once the verb is. */
	sort_words(&words, NULL, argc, argv, &in->scratch);
	verb = find_verb(verbs, n_verbs, &words);
	if (verb) {
		words = (struct words){ 0 };
		sort_words(&words, verb, argc, argv, &in->scratch);
	}
	if (has_option(&words, "--version")) {
		ctl_print_version();
		return CTL_DONE;
	}
	if (has_option(&words, "--describe")) {
		ctl_print_description(verbs, n_verbs);
		return CTL_DONE;
	}
	if (has_option(&words, "--help")) {
		ctl_print_help(verb, verbs, n_verbs, words.n_plain ? words.plain[0] : NULL);
		return CTL_DONE;
	}
	if (!words.n_plain)
		return complain(CTL_USAGE, "which verb? (garrisonctl --help lists them)");
	if (!verb)
		return no_such_verb(verbs, n_verbs, &words, &in->scratch);
	return run_verb(verb, &words, in);
}

int ctl_main(const struct verb *verbs, size_t n_verbs, int argc, char **argv)
{
	struct invocation in = { 0 };

	signal(SIGPIPE, SIG_IGN);
	scratch_init(&in.scratch, SCRATCH_MAX);
	int status = run(verbs, n_verbs, argc, argv, &in);

	scratch_release(&in.scratch);
	return status;
}
