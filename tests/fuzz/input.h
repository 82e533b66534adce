/* What the fuzz targets share: the one function each of them is, and how it draws structured things out of an input's bytes. */
#ifndef GARRISON_FUZZ_INPUT_H
#define GARRISON_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

#include "scratch.h"

/* The target's: takes any bytes, and BUG()s when something is not as it must be. */
void take_input(const uint8_t *data, size_t size);

/*
 * The target's, where it can make inputs that get further than chance would: a new one in data, from seed alone or out of the size bytes
 * there. Returns its size, at most max. input.c has one that changes bytes here and there.
 */
size_t make_input(uint8_t *data, size_t size, size_t max, uint64_t seed) __attribute__((weak));

/* An input as it is used up. */
struct source {
	const uint8_t *at;
	size_t left;
};

/* The next byte; 0 when all are used up. */
unsigned source_byte(struct source *source);
/* A number below `below`, of as many bytes as it takes. */
uint32_t source_below(struct source *source, uint32_t below);
/* Eight bytes as they are. */
int64_t source_number(struct source *source);
/* Up to max bytes (the first one or two say how many), NUL-terminated in scratch; len may be NULL. */
char *source_text(struct source *source, size_t max, struct scratch *scratch, size_t *len);

/* A generator of our own, so that a seed says the same everywhere (SplitMix64). */
uint64_t random_next(uint64_t *state);
unsigned random_below(uint64_t *state, unsigned below);

/* For a target that makes a larger document out of its input: so many bytes more were taken. */
void taken_more(size_t size);

/* Takes one input and stops the run when that needed more than 10 ms of processor time for each KiB begun. */
void take_timed(const uint8_t *data, size_t size);

#endif
