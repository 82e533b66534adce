#include "log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"

#define GATHER_MAX ((size_t)16 * 1024)
#define LINE_TEXT_MAX 2048
#define STALLED_READER_MS 1000

static const char *const level_names[] = { "debug", "info", "warn", "error" };

static _Atomic int lowest = LOG_INFO;
static const char *service_name = "";
static const char *worker_name = "";

/* What a thread has gathered. */
struct gathered {
	struct text lines;
	bool open; /* between log_begin and log_end */
	enum log_level level;
};

static _Thread_local struct gathered mine;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_thread_end;
/* Held while writing: the kernel keeps only short writes to a pipe whole. */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

static void write_all(const char *bytes, size_t len)
{
	pthread_mutex_lock(&writing);
	while (len) {
		ssize_t n = write(STDERR_FILENO, bytes, len);

		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			/* Somebody made it non-blocking. A reader that has stopped must not stop the worker. */
			struct pollfd fd = { .fd = STDERR_FILENO, .events = POLLOUT };

			if (poll(&fd, 1, STALLED_READER_MS) <= 0)
				break;
		} else if (n >= 0 || errno != EINTR) {
			break;
		}
	}
	pthread_mutex_unlock(&writing);
}

void log_flush(void)
{
	int saved = errno;

	if (mine.lines.len && !mine.open) {
		write_all(mine.lines.bytes, mine.lines.len);
		text_reset(&mine.lines);
	}
	errno = saved;
}

static void end_of_thread(void *gathered)
{
	(void)gathered;
	log_flush();
	text_release(&mine.lines);
}

static void prepare(void)
{
	if (pthread_key_create(&at_thread_end, end_of_thread))
		BUG("no thread key left");
	/* The main thread ends without running the key's destructor. */
	atexit(log_flush);
}

void log_setup(enum log_level level, const char *service, const char *worker)
{
	service_name = service;
	worker_name = worker;
	atomic_store(&lowest, (int)level);
}

bool log_enabled(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&lowest, memory_order_relaxed);
}

struct text *log_begin(enum log_level level, const char *event)
{
	char now[CLOCK_TEXT_MAX];

	if (!log_enabled(level))
		return NULL;
	if (mine.open)
		BUG("log line %s begun inside another", event);
	if (!mine.lines.bytes) {
		pthread_once(&once, prepare);
		pthread_setspecific(at_thread_end, &mine);
	}
	mine.open = true;
	mine.level = level;
	json_open(&mine.lines, '{');
	json_key_string(&mine.lines, "time", clock_format(clock_real_us(), now));
	json_key_string(&mine.lines, "level", level_names[level]);
	json_key_string(&mine.lines, "service", service_name);
	json_key_string(&mine.lines, "worker", worker_name);
	json_key_string(&mine.lines, "event", event);
	return &mine.lines;
}

void log_end(void)
{
	if (!mine.open)
		BUG("log_end without log_begin");
	json_close(&mine.lines, '}');
	text_char(&mine.lines, '\n');
	mine.open = false;
	if (mine.level >= LOG_WARN || mine.lines.len >= GATHER_MAX)
		log_flush();
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
	char words[LINE_TEXT_MAX];
	struct text *line;
	va_list args;

	line = log_begin(level, event);
	if (!line)
		return;
	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	json_key_string(line, "text", words);
	log_end();
	log_flush();
}
