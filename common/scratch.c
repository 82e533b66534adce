#include "scratch.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/*
 * With AddressSanitizer what was not handed out is poisoned, and a gap kept behind each piece, so that running over the
 * end of one is caught as it would be for malloc.
 */
#if defined(__SANITIZE_ADDRESS__)
#define SCRATCH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SCRATCH_ASAN 1
#endif
#endif
#ifdef SCRATCH_ASAN
#include <sanitizer/asan_interface.h>
#define GAP 16
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define GAP 0
#endif

#define ALIGN alignof(max_align_t)
/* A small message's structs fit; hundreds of them are in flight where a command takes batches. */
#define FIRST_BLOCK 1000
#define LARGEST_BLOCK ((size_t)128 * 1024)
/* What reset keeps: enough for nearly every message, little enough for many idle threads. */
#define KEPT_BLOCK ((size_t)32 * 1024)

struct scratch_block {
	struct scratch_block *older;
	size_t size; /* of bytes */
	size_t used;
	alignas(max_align_t) char bytes[];
};

void scratch_init(struct scratch *scratch, size_t cap)
{
	*scratch = (struct scratch){ .cap = cap };
}

static void free_block(struct scratch_block *block)
{
	ASAN_UNPOISON_MEMORY_REGION(block->bytes, block->size);
	free(block);
}

void scratch_release(struct scratch *scratch)
{
	while (scratch->blocks) {
		struct scratch_block *block = scratch->blocks;

		scratch->blocks = block->older;
		free_block(block);
	}
	scratch->used = 0;
}

void scratch_reset(struct scratch *scratch)
{
	struct scratch_block *kept = NULL;

	while (scratch->blocks) {
		struct scratch_block *block = scratch->blocks;

		scratch->blocks = block->older;
		if (block->size <= KEPT_BLOCK && (!kept || block->size > kept->size)) {
			if (kept)
				free_block(kept);
			kept = block;
		} else {
			free_block(block);
		}
	}
	if (kept) {
		kept->older = NULL;
		kept->used = 0;
		ASAN_POISON_MEMORY_REGION(kept->bytes, kept->size);
	}
	scratch->blocks = kept;
	scratch->used = 0;
}

static void add_block(struct scratch *scratch, size_t at_least)
{
	size_t size = scratch->blocks ? scratch->blocks->size * 2 : FIRST_BLOCK;
	struct scratch_block *block;

	if (size > LARGEST_BLOCK)
		size = LARGEST_BLOCK;
	if (size < at_least)
		size = at_least;
	block = must_alloc(sizeof(*block) + size);
	block->older = scratch->blocks;
	block->size = size;
	block->used = 0;
	ASAN_POISON_MEMORY_REGION(block->bytes, size);
	scratch->blocks = block;
}

void *scratch_try(struct scratch *scratch, size_t size)
{
	size_t rounded = size ? (size + ALIGN - 1) & ~(ALIGN - 1) : ALIGN;
	struct scratch_block *block = scratch->blocks;
	void *memory;

	if (rounded < size || rounded > scratch->cap - scratch->used)
		return NULL;
	if (!block || rounded + GAP > block->size - block->used) {
		add_block(scratch, rounded + GAP);
		block = scratch->blocks;
	}
	memory = block->bytes + block->used;
	block->used += rounded + GAP;
	scratch->used += rounded;
	ASAN_UNPOISON_MEMORY_REGION(memory, size);
	return memset(memory, 0, size);
}

void *scratch_alloc(struct scratch *scratch, size_t size)
{
	void *memory = scratch_try(scratch, size);

	if (!memory)
		BUG("a scratch of %zu bytes has no %zu more", scratch->cap, size);
	return memory;
}

void *scratch_array(struct scratch *scratch, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		BUG("an array of %zu items of %zu bytes", n, size);
	return scratch_alloc(scratch, bytes);
}

char *scratch_memdup(struct scratch *scratch, const void *bytes, size_t len)
{
	char *copy = scratch_alloc(scratch, len + 1);

	if (len)
		memcpy(copy, bytes, len);
	return copy;
}

char *scratch_strdup(struct scratch *scratch, const char *text)
{
	return scratch_memdup(scratch, text, strlen(text));
}

char *scratch_printf(struct scratch *scratch, const char *format, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0)
		BUG("cannot format \"%s\"", format);
	text = scratch_alloc(scratch, (size_t)len + 1);
	va_start(args, format);
	vsnprintf(text, (size_t)len + 1, format, args);
	va_end(args);
	return text;
}
