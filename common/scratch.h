/* A message's memory: handed out in order, given back all at once, with a hard cap. */
#ifndef GARRISON_SCRATCH_H
#define GARRISON_SCRATCH_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct scratch_block;

struct scratch {
	struct scratch_block *blocks; /* newest first */
	size_t used;		      /* bytes handed out */
	size_t cap;		      /* bytes that may be handed out in all */
};

/* Makes an empty region that will hand out at most cap bytes; takes no memory yet. One thread at a time. */
void scratch_init(struct scratch *scratch, size_t cap);
/* Gives all memory back to the system; the region may be used again. */
void scratch_release(struct scratch *scratch);
/* Forgets all allocations but keeps one block for the next message. */
void scratch_reset(struct scratch *scratch);

/*
 * size bytes, zeroed and aligned for anything, valid until reset or release. scratch_try returns NULL past the cap
 * (for what the size of a message decides); scratch_alloc aborts there (for what the program's own text bounds).
 */
void *scratch_try(struct scratch *scratch, size_t size);
void *scratch_alloc(struct scratch *scratch, size_t size) __attribute__((returns_nonnull));
/* n items of size bytes each, overflow checked; aborts like scratch_alloc. */
void *scratch_array(struct scratch *scratch, size_t n, size_t size) __attribute__((returns_nonnull));
/* Copies into the region; the copies end with NUL. */
char *scratch_strdup(struct scratch *scratch, const char *text) __attribute__((returns_nonnull));
char *scratch_memdup(struct scratch *scratch, const void *bytes, size_t len) __attribute__((returns_nonnull));
char *scratch_printf(struct scratch *scratch, const char *format, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull));

#endif
