/* Stands before the C library's allocator: the calls of FAIL_CALLS=malloc@N/error find no memory. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "plan.h"

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *memory, size_t size);

static struct counted counted = { .label = "malloc" };

static bool out_of_memory(void)
{
	static _Thread_local bool asking; /* what the report needs is not counted */
	bool out;

	if (asking)
		return false;
	asking = true;
	out = plan_next(&counted) != FAULT_NONE;
	asking = false;
	if (out)
		errno = ENOMEM;
	return out;
}

void *malloc(size_t size)
{
	return out_of_memory() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return out_of_memory() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *memory, size_t size)
{
	return out_of_memory() ? NULL : __libc_realloc(memory, size);
}
