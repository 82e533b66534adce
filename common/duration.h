/* Durations as people write them: "500ms", "10s", "6m", "24h", "30d". */
#ifndef GARRISON_DURATION_H
#define GARRISON_DURATION_H

#include <stdint.h>

#define DURATION_TEXT_MAX 24

/* Reads a whole number with a unit, or a bare 0; 0, or -1 and *ms untouched. Any thread. */
int duration_parse(const char *text, int64_t *ms);
/* The largest whole unit ("10m", "90s", "1500ms"; 0 is "0") into buffer; returns buffer. Any thread. */
char *duration_format(int64_t ms, char buffer[static DURATION_TEXT_MAX]);

#endif
