/* Two clocks: monotonic for deadlines, real time for what people and other programs read. */
#ifndef GARRISON_CLOCK_H
#define GARRISON_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_TEXT_MAX 32

/* Monotonic time in milliseconds and microseconds; comparable within one process only. Any thread. */
int64_t clock_ms(void);
int64_t clock_us(void);
/* Unix time in microseconds. Any thread. */
int64_t clock_real_us(void);
/* Milliseconds until a monotonic deadline, 0 when it has passed, at most INT32_MAX; ready for poll(). Any thread. */
int clock_left_ms(int64_t deadline_ms);
/* RFC 3339 in UTC with milliseconds ("2026-01-31T12:00:00.123Z") into buffer; returns buffer. Any thread. */
char *clock_format(int64_t real_us, char buffer[static CLOCK_TEXT_MAX]);
/* Reads RFC 3339 (any offset, 0 to 9 decimals); 0, or -1 and *real_us untouched. Any thread. */
int clock_parse(const char *text, int64_t *real_us);
/* Sleeps; woken by nothing. For back-off in threads that own nothing else to do. */
void clock_sleep_ms(int ms);
/* A value around ms, spread by ±25 %, so that a fleet does not reconnect in step. Any thread. */
int clock_jitter_ms(int ms);

#endif
