#include "cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void bug_at(const char *file, int line, const char *format, ...)
{
	char message[512];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	fprintf(stderr, "BUG at %s:%d: %s\n", file, line, message);
	abort();
}

static void *checked(void *memory, size_t size)
{
	if (!memory)
		BUG("out of memory for %zu bytes", size);
	return memory;
}

/* No zero sizes below: malloc(0) may return NULL, which is not want of memory. */
void *must_alloc(size_t size)
{
	return checked(malloc(size ? size : 1), size);
}

void *must_zalloc(size_t size)
{
	return checked(calloc(1, size ? size : 1), size);
}

void *must_realloc(void *memory, size_t size)
{
	return checked(realloc(memory, size ? size : 1), size);
}

char *must_strdup(const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(must_alloc(size), text, size);
}

void release_memory(void *pointer_variable)
{
	void *held;

	/* The variable is a pointer of any type; reading it as void * would break the aliasing rules. */
	memcpy(&held, pointer_variable, sizeof(held));
	free(held);
}

void release_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
