#include "input.h"

#include <string.h>
#include <time.h>

#include "cleanup.h"

#define SLOW_US_PER_KIB 10000
#define TRIES 5

static size_t taken;

unsigned source_byte(struct source *source)
{
	if (!source->left)
		return 0;
	source->left--;
	return *source->at++;
}

uint32_t source_below(struct source *source, uint32_t below)
{
	uint32_t number = 0;

	for (uint32_t most = below; most > 1; most = most / 256 + (most % 256 != 0))
		number = number << 8 | source_byte(source);
	return below ? number % below : 0;
}

int64_t source_number(struct source *source)
{
	uint64_t number = 0;

	for (int i = 0; i < 8; i++)
		number = number << 8 | source_byte(source);
	return (int64_t)number;
}

char *source_text(struct source *source, size_t max, struct scratch *scratch, size_t *len)
{
	size_t n = source_below(source, (uint32_t)max + 1);
	char *text;

	if (n > source->left)
		n = source->left;
	text = scratch_memdup(scratch, source->at, n);
	source->at += n;
	source->left -= n;
	if (len)
		*len = n;
	return text;
}

uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

unsigned random_below(uint64_t *state, unsigned below)
{
	return below ? (unsigned)(random_next(state) % below) : 0;
}

/* The thread's own time: what others do on the machine meanwhile is not the input's fault. */
static int64_t processor_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void taken_more(size_t size)
{
	taken += size;
}

void take_timed(const uint8_t *data, size_t size)
{
	int64_t limit_us = 0, us = 0;

	/* A page fault or a leak check may come in between once, but not every time. */
	for (int i = 0; i < TRIES; i++) {
		int64_t began_us = processor_us();

		taken = size;
		take_input(data, size);
		us = processor_us() - began_us;
		limit_us = ((int64_t)taken / 1024 + 1) * SLOW_US_PER_KIB;
		if (us <= limit_us)
			return;
	}
	BUG("%zu bytes took %lld us, at most %lld are allowed", size, (long long)us, (long long)limit_us);
}
