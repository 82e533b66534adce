#include "metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"

#define PREFIX "garrison_"
#define TABLES_MAX 32

static const struct {
	int64_t us;
	const char *seconds;
} bounds[HISTOGRAM_BUCKETS] = {
	{ 100, "0.0001" },
	{ 250, "0.00025" },
	{ 500, "0.0005" },
	{ 1000, "0.001" },
	{ 2500, "0.0025" },
	{ 5000, "0.005" },
	{ 10000, "0.01" },
	{ 25000, "0.025" },
	{ 50000, "0.05" },
	{ 100000, "0.1" },
	{ 250000, "0.25" },
	{ 500000, "0.5" },
	{ 1000000, "1" },
	{ 2500000, "2.5" },
	{ 5000000, "5" },
	{ 10000000, "10" },
	{ 30000000, "30" },
	{ 60000000, "60" },
};

static struct {
	struct metric *rows;
	size_t n;
} tables[TABLES_MAX];
static size_t n_tables;
static pthread_mutex_t registering = PTHREAD_MUTEX_INITIALIZER;

void metrics_register(struct metric *table, size_t n)
{
	pthread_mutex_lock(&registering);
	if (n_tables == ARRAY_LEN(tables))
		BUG("more than %d tables of metrics", TABLES_MAX);
	tables[n_tables].rows = table;
	tables[n_tables].n = n;
	n_tables++;
	pthread_mutex_unlock(&registering);
}

void histogram_add(struct histogram *histogram, int64_t us)
{
	size_t i = 0;

	while (i < ARRAY_LEN(bounds) && us > bounds[i].us)
		i++;
	atomic_fetch_add_explicit(&histogram->buckets[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->sum_us, us, memory_order_relaxed);
}

static void head(
	struct text *out, const char *prefix, const char *name, size_t name_len, const char *help, const char *type)
{
	text_printf(out, "# HELP %s%.*s ", prefix, (int)name_len, name);
	for (; *help; help++) {
		if (*help == '\\' || *help == '\n')
			text_str_add(out, *help == '\n' ? "\\n" : "\\\\");
		else
			text_char(out, *help);
	}
	text_printf(out, "\n# TYPE %s%.*s %s\n", prefix, (int)name_len, name, type);
}

void metrics_head(struct text *out, const char *name, const char *help, const char *type)
{
	head(out, PREFIX, name, strlen(name), help, type);
}

void metrics_histogram(struct text *out, const char *name, const char *labels, struct histogram *histogram)
{
	const char *separator = *labels ? "," : "";
	const char *open = *labels ? "{" : "";
	const char *close = *labels ? "}" : "";
	int64_t count = 0;

	for (size_t i = 0; i <= HISTOGRAM_BUCKETS; i++) {
		count += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
		text_printf(out, PREFIX "%s_bucket{%s%sle=\"%s\"} %lld\n", name, labels, separator,
			i < HISTOGRAM_BUCKETS ? bounds[i].seconds : "+Inf", (long long)count);
	}
	text_printf(out, PREFIX "%s_sum%s%s%s %.6f\n", name, open, labels, close,
		(double)atomic_load_explicit(&histogram->sum_us, memory_order_relaxed) / 1e6);
	/* The count is the sum of the buckets read above, so that the two agree while others write. */
	text_printf(out, PREFIX "%s_count%s%s%s %lld\n", name, open, labels, close, (long long)count);
}

static void write_table(struct text *out, struct metric *rows, size_t n)
{
	const char *previous = "";
	size_t previous_len = 0;

	for (size_t i = 0; i < n; i++) {
		size_t len = strcspn(rows[i].name, "{");
		double scale = rows[i].scale != 0 ? rows[i].scale : 1;

		/* Rows of one name with different labels share their head. */
		if (len != previous_len || strncmp(rows[i].name, previous, len) != 0)
			head(out, PREFIX, rows[i].name, len, rows[i].help,
				rows[i].kind == METRIC_COUNTER ? "counter" : "gauge");
		previous = rows[i].name;
		previous_len = len;
		text_printf(out, PREFIX "%s %.15g\n", rows[i].name, (double)metric_get(&rows[i]) * scale);
	}
}

/* Reads a small file of /proc; "" when it cannot be read. */
static void read_proc(const char *path, char *buffer, size_t size)
{
	CLEANUP(release_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buffer, size - 1);

	buffer[n > 0 ? n : 0] = '\0';
}

static int64_t resident_bytes(void)
{
	char buffer[128];
	long long pages = 0;

	read_proc("/proc/self/statm", buffer, sizeof(buffer));
	if (sscanf(buffer, "%*d %lld", &pages) != 1)
		return 0;
	return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static void close_folder(DIR **folder)
{
	if (*folder)
		closedir(*folder);
}

static int64_t open_descriptors(void)
{
	CLEANUP(close_folder) DIR *folder = opendir("/proc/self/fd");
	int64_t n = 0;

	if (!folder)
		return 0;
	for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
		n += entry->d_name[0] != '.';
	return n - 1; /* the one that reads the folder */
}

static double cpu_seconds(void)
{
	struct rusage used;

	if (getrusage(RUSAGE_SELF, &used))
		return 0;
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* Unix time at which this process started: its start in ticks since boot, told on the real-time clock. */
static double start_time(void)
{
	char buffer[1024];
	const char *after_name;
	unsigned long long ticks;
	struct timespec boot;

	read_proc("/proc/self/stat", buffer, sizeof(buffer));
	/* The second field is the program's name in parentheses and may hold anything; the start is the 22nd. */
	after_name = strrchr(buffer, ')');
	if (!after_name ||
		sscanf(after_name + 1,
			" %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
			&ticks) != 1 ||
		clock_gettime(CLOCK_BOOTTIME, &boot))
		return 0;
	return (double)clock_real_us() / 1e6 - ((double)boot.tv_sec + (double)boot.tv_nsec / 1e9) +
	       (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static void write_process(struct text *out, const char *name, const char *help, const char *type, double value)
{
	head(out, "", name, strlen(name), help, type);
	text_printf(out, "%s %.15g\n", name, value);
}

void metrics_write(struct text *out)
{
	static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
	static double started; /* the same in every reading, whatever the clock does */

	pthread_mutex_lock(&registering);
	for (size_t i = 0; i < n_tables; i++)
		write_table(out, tables[i].rows, tables[i].n);
	pthread_mutex_unlock(&registering);
	pthread_mutex_lock(&starting);
	if (started == 0)
		started = start_time();
	write_process(out, "process_start_time_seconds", "Start of the process, Unix time", "gauge", started);
	pthread_mutex_unlock(&starting);
	write_process(out, "process_resident_memory_bytes", "Resident memory", "gauge", (double)resident_bytes());
	write_process(out, "process_open_fds", "Open file descriptors", "gauge", (double)open_descriptors());
	write_process(out, "process_cpu_seconds_total", "User and system CPU time", "counter", cpu_seconds());
}
