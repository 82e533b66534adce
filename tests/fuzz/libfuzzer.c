/* The way into a target for libFuzzer. */
#include <string.h>

#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

#define MADE_OF_4 1 /* inputs in four that the target makes anew; the others are libFuzzer's changes of what it knows */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	take_timed(data, size);
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	uint64_t state = seed;

	if (make_input && random_below(&state, 4) < MADE_OF_4)
		return make_input(data, size, max, random_next(&state));
	return LLVMFuzzerMutate(data, size, max);
}
