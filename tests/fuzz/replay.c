/*
 * The way into a target without libFuzzer, for every test run: takes the files named once each, then RUNS inputs made of them or by the
 * target itself, from SEED. Says what it did; the same seed does the same again.
 *
 *	fuzz_x SEED RUNS [FILE...]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "input.h"

#define SIZE_MAX_INPUT 65536
#define CHANGES_MAX 8

static struct file {
	uint8_t *bytes;
	size_t size;
} * files;
static size_t n_files;

static void load(const char *path)
{
	FILE *file = fopen(path, "rbe");
	struct file *loaded = &files[n_files++];

	if (!file)
		BUG("cannot open %s", path);
	loaded->bytes = must_alloc(SIZE_MAX_INPUT);
	loaded->size = fread(loaded->bytes, 1, SIZE_MAX_INPUT, file);
	fclose(file);
}

/* An exact copy on the heap, so that reading a byte too many is seen. */
static void take_copy(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = must_alloc(size + !size);

	if (size)
		memcpy(copy, bytes, size);
	take_timed(copy, size);
	free(copy);
}

static size_t change(uint8_t *bytes, size_t size, uint64_t *state)
{
	size_t at = size ? random_next(state) % size : 0, n = 1 + random_below(state, 16);

	if (!size || (random_below(state, 4) == 0 && size + n <= SIZE_MAX_INPUT)) {
		memmove(bytes + at + n, bytes + at, size - at);
		for (size_t i = 0; i < n; i++)
			bytes[at + i] = (uint8_t)random_next(state);
		return size + n;
	}
	if (random_below(state, 3) == 0) {
		n = n < size - at ? n : size - at;
		memmove(bytes + at, bytes + at + n, size - at - n);
		return size - n;
	}
	if (random_below(state, 2))
		bytes[at] ^= (uint8_t)(1 << random_below(state, 8));
	else
		bytes[at] = (uint8_t) "{}[]\",:0.-eE\\/\0\xff"[random_below(state, 16)];
	return size;
}

static size_t next_input(uint8_t *bytes, uint64_t *state)
{
	const struct file *file = n_files ? &files[random_below(state, (unsigned)n_files)] : NULL;
	size_t size = file ? file->size : 0;

	if (size)
		memcpy(bytes, file->bytes, size);
	if (make_input && random_below(state, 2))
		return make_input(bytes, size, SIZE_MAX_INPUT, random_next(state));
	for (unsigned n = 1 + random_below(state, CHANGES_MAX); n; n--)
		size = change(bytes, size, state);
	return size;
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 0, state = seed;
	uint64_t runs = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	uint8_t *bytes = must_alloc(SIZE_MAX_INPUT);

	files = must_zalloc((size_t)(argc + 1) * sizeof(*files));
	for (int i = 3; i < argc; i++)
		load(argv[i]);
	for (size_t i = 0; i < n_files; i++)
		take_copy(files[i].bytes, files[i].size);
	printf("seed %" PRIu64 ": %zu files", seed, n_files);
	fflush(stdout);
	for (uint64_t run = 0; run < runs; run++)
		take_copy(bytes, next_input(bytes, &state));
	printf(", %" PRIu64 " inputs made of them\n", runs);
	for (size_t i = 0; i < n_files; i++)
		free(files[i].bytes);
	free(files);
	free(bytes);
	return 0;
}
