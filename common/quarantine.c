#include "quarantine.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "crash.h"
#include "dispatch.h"
#include "log.h"
#include "publisher.h"
#include "worker.h"

#define CHILD_POLL_MS 5
#define ABSENT (-1L)

static int n_child_arguments;
static char **child_arguments;

void quarantine_setup(int n_arguments, char **arguments)
{
	n_child_arguments = n_arguments;
	child_arguments = arguments;
}

/* ---- the message, from one process to the other: length, newline, bytes ---- */

static void put(struct text *out, const char *bytes, size_t len)
{
	text_printf(out, "%ld\n", bytes ? (long)len : ABSENT);
	if (bytes)
		text_add(out, bytes, len);
}

static void put_text(struct text *out, const char *text)
{
	put(out, text, text ? strlen(text) : 0);
}

static void write_message(const struct message *message, struct text *out)
{
	text_printf(out, "%d %lld %lld\n", message->attempt, (long long)message->first_at_us,
		(long long)message->delivery_count);
	put_text(out, message->routing_key);
	put_text(out, message->type);
	put_text(out, message->message_id);
	put_text(out, message->correlation_id);
	put_text(out, message->reply_to);
	put_text(out, message->traceparent);
	put_text(out, message->client);
	put(out, message->body, message->body_len);
}

struct reader {
	char *at;
	size_t left;
	bool broken;
};

/* Returns a NUL-terminated piece of the reader's own memory: the byte behind it is part of the next, already counted, line. */
static char *get(struct reader *reader, struct scratch *scratch, size_t *len)
{
	char *end = reader->left ? memchr(reader->at, '\n', reader->left) : NULL;
	long n = end ? strtol(reader->at, NULL, 10) : ABSENT;
	char *piece;

	if (!end) {
		reader->broken = true;
		return NULL;
	}
	reader->left -= (size_t)(end + 1 - reader->at);
	reader->at = end + 1;
	if (n < 0)
		return NULL;
	if ((size_t)n > reader->left) {
		reader->broken = true;
		return NULL;
	}
	piece = scratch_memdup(scratch, reader->at, (size_t)n);
	reader->at += n;
	reader->left -= (size_t)n;
	*len = (size_t)n;
	return piece;
}

static int read_message(char *bytes, size_t n, struct scratch *scratch, struct message *message)
{
	struct reader reader = { .at = bytes, .left = n };
	char *end = n ? memchr(bytes, '\n', n) : NULL;
	long long first_at_us, delivery_count;
	size_t len = 0;

	if (!end || sscanf(bytes, "%d %lld %lld", &message->attempt, &first_at_us, &delivery_count) != 3)
		return -1;
	reader.left -= (size_t)(end + 1 - bytes);
	reader.at = end + 1;
	message->lane = LANE_DURABLE;
	message->first_at_us = first_at_us;
	message->delivery_count = delivery_count;
	message->redelivered = true;
	message->routing_key = get(&reader, scratch, &len);
	message->type = get(&reader, scratch, &len);
	message->message_id = get(&reader, scratch, &len);
	message->correlation_id = get(&reader, scratch, &len);
	message->reply_to = get(&reader, scratch, &len);
	message->traceparent = get(&reader, scratch, &len);
	message->client = get(&reader, scratch, &len);
	message->body = get(&reader, scratch, &len);
	message->body_len = len;
	message->received_us = clock_us();
	return reader.broken || !message->routing_key || !message->body ? -1 : 0;
}

/* ---- the outcome, back ---- */

static void write_outcome(const struct call *call, struct text *out)
{
	json_open(out, '{');
	json_key_int(out, "outcome", call->outcome);
	json_key_int(out, "stage", call->stage);
	json_key_int(out, "down", call->down);
	json_key_int(out, "code", call->reply.code);
	json_key_string(out, "message", call->reply.message);
	json_key(out, "fields");
	json_open(out, '[');
	for (size_t i = 0; i < call->reply.n_fields; i++) {
		json_string(out, call->reply.fields[i].field);
		json_string(out, call->reply.fields[i].problem);
	}
	json_close(out, ']');
	json_key(out, "result");
	if (call->reply.result.len)
		json_raw(out, call->reply.result.bytes, call->reply.result.len);
	else
		json_null(out);
	json_close(out, '}');
}

static int number(const cJSON *json, const char *key)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(json, key);

	return cJSON_IsNumber(value) ? value->valueint : 0;
}

static void read_fields(struct call *call, const cJSON *fields)
{
	const cJSON *item;
	struct problem problem = { 0 };

	if (cJSON_GetArraySize(fields) == 0)
		return;
	call->reply.fields = scratch_array(&call->scratch, PROBLEMS_MAX, sizeof(*call->reply.fields));
	cJSON_ArrayForEach(item, fields)
	{
		const char *text = cJSON_GetStringValue(item);

		if (!problem.field) {
			problem.field = text;
			continue;
		}
		problem.problem = text;
		if (call->reply.n_fields < PROBLEMS_MAX)
			call->reply.fields[call->reply.n_fields++] = problem;
		problem.field = NULL;
	}
}

static int read_outcome(struct call *call, const char *bytes, size_t len)
{
	const cJSON *json = json_parse(bytes, len, &call->scratch, NULL);
	const cJSON *result = cJSON_GetObjectItemCaseSensitive(json, "result");

	if (!json)
		return -1;
	call->outcome = (enum outcome)number(json, "outcome");
	call->stage = (enum stage)number(json, "stage");
	call->down = (enum store)number(json, "down");
	call->reply.code = (enum code)number(json, "code");
	call->reply.message = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "message"));
	read_fields(call, cJSON_GetObjectItemCaseSensitive(json, "fields"));
	if (result && !cJSON_IsNull(result))
		json_write(&call->reply.result, result);
	return 0;
}

/* ---- the parent's side ---- */

static int memory_file(const char *name, const struct text *content)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0)
		return -1;
	if (content &&
		(write(fd, content->bytes, content->len) != (ssize_t)content->len || lseek(fd, 0, SEEK_SET) != 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int start_child(int in_fd, int out_fd, pid_t *child)
{
	char **arguments CLEANUP(release_memory) = must_zalloc(((size_t)n_child_arguments + 3) * sizeof(char *));
	char self[] = "/proc/self/exe", flag[] = "--one";
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t stops;
	int status;

	arguments[0] = self;
	arguments[1] = flag;
	for (int i = 0; i < n_child_arguments; i++)
		arguments[i + 2] = child_arguments[i];
	/* A stop of the whole process group is for the parent to follow: the child's end by it would condemn the message. */
	sigemptyset(&stops);
	sigaddset(&stops, SIGTERM);
	sigaddset(&stops, SIGINT);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attributes, &stops);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in_fd, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
	status = posix_spawn(child, self, &actions, &attributes, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return status == 0 ? 0 : -1;
}

/* The child's wait status; a child that outlives its limit is killed, and *timed_out says so. */
static int await_child(pid_t child, int64_t limit_ms, bool *timed_out)
{
	int64_t until_ms = clock_ms() + limit_ms;
	int status = 0;

	*timed_out = false;
	while (waitpid(child, &status, WNOHANG) == 0) {
		if (!*timed_out && clock_ms() >= until_ms) {
			*timed_out = true;
			kill(child, SIGKILL);
		}
		clock_sleep_ms(CHILD_POLL_MS);
	}
	return status;
}

static void condemn(struct call *call, enum stage stage, enum code code, char *text)
{
	call->outcome = REFUSED;
	call->stage = stage;
	call->reply.code = code;
	call->reply.message = text;
	log_line(LOG_ERROR, "quarantined", "message %s: %s", call->message_id, text);
}

static void read_child(struct call *call, int status, int out_fd)
{
	off_t len = lseek(out_fd, 0, SEEK_END);
	char *bytes CLEANUP(release_memory) = must_zalloc((size_t)len + 1);
	struct error err;

	if (WIFSIGNALED(status)) {
		condemn(call, STAGE_CRASH, CODE_INTERNAL,
			scratch_printf(&call->scratch, "the handler died by signal %d (%s) when run alone",
				WTERMSIG(status), strsignal(WTERMSIG(status))));
		return;
	}
	if (WEXITSTATUS(status) == 0 && pread(out_fd, bytes, (size_t)len, 0) == len &&
		read_outcome(call, bytes, (size_t)len) == 0)
		return;
	error_set(&err, CODE_INTERNAL, "the process that ran this message alone ended with exit code %d",
		WEXITSTATUS(status));
	retry(call, &err);
}

void quarantine_run(struct call *call, int64_t limit_ms)
{
	CLEANUP(text_release) struct text input = { 0 };
	int in_fd CLEANUP(release_fd) = -1, out_fd CLEANUP(release_fd) = -1;
	struct error err;
	bool timed_out;
	pid_t child;
	int status;

	write_message(call->message, &input);
	in_fd = memory_file("message", &input);
	out_fd = memory_file("outcome", NULL);
	log_line(LOG_WARN, "suspect", "message %s was delivered %lld times: it is run alone", call->message_id,
		(long long)call->message->delivery_count + 1);
	crash_point("before_suspect");
	if (in_fd < 0 || out_fd < 0 || start_child(in_fd, out_fd, &child)) {
		error_set(&err, CODE_UNAVAILABLE, "cannot start a process to run this message alone");
		retry(call, &err);
		return;
	}
	crash_point("suspect_begun");
	status = await_child(child, limit_ms, &timed_out);
	crash_point("suspect_ended");
	if (timed_out)
		condemn(call, STAGE_TIMEOUT, CODE_TIMEOUT,
			scratch_printf(&call->scratch, "the handler did not end within %lld ms when run alone",
				(long long)limit_ms));
	else
		read_child(call, status, out_fd);
}

/* ---- the child's side ---- */

static int read_all(int fd, struct text *out)
{
	ssize_t n;

	do {
		text_reserve(out, 65536);
		n = read(fd, out->bytes + out->len, 65536);
		if (n > 0)
			out->len += (size_t)n;
	} while (n > 0);
	return n < 0 ? -1 : 0;
}

static void run_message(const struct service *service, const struct message *message)
{
	struct pg *pg CLEANUP(pg_drop) = worker_open_pg(service);
	struct kv *kv CLEANUP(kv_drop) = worker_open_kv(service);
	CLEANUP(text_release) struct text out = { 0 };
	struct scratch tree;
	struct call call;
	struct error err;

	scratch_init(&tree, SIZE_MAX);
	call_init(&call, service, message, pg, kv);
	crash_point("alone_begun");
	dispatch(&call, &tree);
	crash_point("alone_handled");
	if (call.outcome == DONE && publish_flush(&call, &err))
		retry(&call, &err);
	crash_point("alone_published");
	write_outcome(&call, &out);
	if (write(STDOUT_FILENO, out.bytes, out.len) != (ssize_t)out.len)
		log_line(LOG_ERROR, "quarantine", "cannot write the outcome");
	crash_point("alone_told");
	call_release(&call);
	scratch_release(&tree);
}

int quarantine_child(const struct service *service)
{
	CLEANUP(text_release) struct text input = { 0 };
	struct message message = { 0 };
	struct scratch scratch;
	int status;

	/* Nobody would hear of what an orphan did. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read_all(STDIN_FILENO, &input))
		return 70;
	scratch_init(&scratch, SIZE_MAX);
	status = read_message(input.bytes, input.len, &scratch, &message);
	if (status == 0)
		run_message(service, &message);
	scratch_release(&scratch);
	return status ? 70 : 0;
}
