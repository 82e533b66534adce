#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "json.h"
#include "log.h"

#define LOGGING_THREADS 4
#define LINES_EACH 500

static int pipe_ends[2];

static void *log_much(void *unused)
{
	(void)unused;
	for (int i = 0; i < LINES_EACH; i++) {
		struct text *line = log_begin(LOG_INFO, "message");

		json_key_int(line, "n", i);
		json_key_string(line, "text", "with \"quotes\"\nand a line break");
		log_end();
		CHECK(!log_begin(LOG_DEBUG, "unseen"));
		if (i % 100 == 0)
			log_line(LOG_WARN, "warned", "at %d", i);
	}
	return NULL; /* what is gathered goes out with the thread */
}

static void *collect(void *text)
{
	char buffer[512];
	ssize_t n;

	while ((n = read(pipe_ends[0], buffer, sizeof(buffer))) > 0)
		text_add(text, buffer, (size_t)n);
	return NULL;
}

/* Runs the threads with standard error in a pipe so small that no write of theirs fits at once; what came through it. */
static void logged(struct text *out)
{
	CLEANUP(release_fd) int saved = dup(STDERR_FILENO);
	pthread_t threads[LOGGING_THREADS], collector;

	CHECK(!pipe2(pipe_ends, O_CLOEXEC) && fcntl(pipe_ends[1], F_SETPIPE_SZ, 4096) >= 0);
	CHECK_INT(pthread_create(&collector, NULL, collect, out), 0);
	dup2(pipe_ends[1], STDERR_FILENO);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		CHECK_INT(pthread_create(&threads[i], NULL, log_much, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	dup2(saved, STDERR_FILENO);
	close(pipe_ends[1]);
	pthread_join(collector, NULL);
	close(pipe_ends[0]);
}

static void lines_of_threads_never_mix(void)
{
	CLEANUP(text_release) struct text all = { 0 };
	CLEANUP(scratch_release) struct scratch scratch;
	size_t lines = 0, len;

	scratch_init(&scratch, 1 << 16);
	log_setup(LOG_INFO, "trial", "worker-1");
	logged(&all);
	for (const char *line = text_str(&all); *line; line += len + 1, lines++) {
		struct error err;
		const cJSON *tree;

		len = strcspn(line, "\n");
		scratch_reset(&scratch);
		tree = json_parse(line, len, &scratch, &err);
		if (!CHECK(tree != NULL))
			break;
		CHECK_STR(cJSON_GetObjectItemCaseSensitive(tree, "service")->valuestring, "trial");
	}
	CHECK_INT(lines, LOGGING_THREADS * (LINES_EACH + LINES_EACH / 100));
}

static const struct check_test tests[] = {
	CHECK_TEST(lines_of_threads_never_mix),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
