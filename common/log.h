/* One JSON object a line on standard error. */
#ifndef GARRISON_LOG_H
#define GARRISON_LOG_H

#include <stdbool.h>

#include "text.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/*
 * Sets what is written and the "service" and "worker" every line carries; the strings must outlive the process. At
 * start.
 */
void log_setup(enum log_level level, const char *service, const char *worker);
bool log_enabled(enum log_level level);

/* One line {"time","level","service","worker","event","text"}; written at once. Any thread. */
void log_line(enum log_level level, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * A line of many fields: log_begin opens the object in this thread's buffer (NULL when the level is off), the caller
 * adds keys, log_end closes it. Lines of LOG_INFO and below gather in the buffer until log_flush or 16 KiB; warnings
 * and errors flush it.
 */
struct text *log_begin(enum log_level level, const char *event);
void log_end(void);
/* Writes what this thread has gathered. Called by threads before they wait. */
void log_flush(void);

#endif
