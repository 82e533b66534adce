/* Ownership by block, the few macros everything shares, and the one way to say that a program is wrong. */
#ifndef GARRISON_CLEANUP_H
#define GARRISON_CLEANUP_H

#include <stddef.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The variable is released by fn(&variable) when its block ends, by whatever road. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* DEFINE_CLEANUP(PGresult *, drop_result, PQclear) makes drop_result() for use in CLEANUP(); NULL is left alone. */
#define DEFINE_CLEANUP(type, name, fn)                                                                                 \
	static inline void name(type *held)                                                                            \
	{                                                                                                              \
		if (*held)                                                                                             \
			fn(*held);                                                                                     \
	}

/* Hand a CLEANUP pointer on: its value, and NULL left behind. */
#define TAKE(pointer)                                                                                                  \
	({                                                                                                             \
		__typeof__(pointer) taken_ = (pointer);                                                                \
		(pointer) = NULL;                                                                                      \
		taken_;                                                                                                \
	})

/* A state that correct code cannot reach: say where and abort. Never for bad input or a failing server. */
#define BUG(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)

/* Prints file, line and message to standard error and aborts. Any thread. */
_Noreturn void bug_at(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4), cold));

/* malloc, calloc and realloc that abort when memory is out. The caller owns the result. Any thread. */
void *must_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *must_zalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *must_realloc(void *memory, size_t size) __attribute__((returns_nonnull));
char *must_strdup(const char *text) __attribute__((malloc, returns_nonnull));

/* free() for CLEANUP(): releases the memory that a pointer variable holds. */
void release_memory(void *pointer_variable);
/* close() for CLEANUP(): closes a descriptor variable that is not negative. */
void release_fd(const int *fd);

#endif
