#include "unacked.h"

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

#define CAP_FIRST 256

enum tag_state { TAG_OPEN, TAG_DONE, TAG_TOLD };

void unacked_reset(struct unacked *unacked)
{
	unacked->n = unacked->offset = unacked->n_done = 0;
}

void unacked_release(struct unacked *unacked)
{
	free(unacked->states);
	*unacked = (struct unacked){ 0 };
}

static unsigned char *state_of(struct unacked *unacked, uint64_t tag)
{
	if (tag - unacked->first >= unacked->n)
		BUG("tag %llu is not among the unacked", (unsigned long long)tag);
	return &unacked->states[unacked->offset + (tag - unacked->first)];
}

static void make_room(struct unacked *unacked)
{
	if (unacked->offset + unacked->n < unacked->cap)
		return;
	if (unacked->offset > unacked->cap / 2) {
		memmove(unacked->states, unacked->states + unacked->offset, unacked->n);
		unacked->offset = 0;
		return;
	}
	unacked->cap = unacked->cap ? unacked->cap * 2 : CAP_FIRST;
	unacked->states = must_realloc(unacked->states, unacked->cap);
}

void unacked_add(struct unacked *unacked, uint64_t tag)
{
	if (unacked->n == 0) {
		unacked->first = tag;
		unacked->offset = 0;
	}
	make_room(unacked);
	unacked->n++;
	*state_of(unacked, tag) = TAG_OPEN;
}

/* What was told at the front need not be kept. */
static void shrink(struct unacked *unacked)
{
	while (unacked->n && unacked->states[unacked->offset] == TAG_TOLD) {
		unacked->offset++;
		unacked->first++;
		unacked->n--;
	}
}

void unacked_done(struct unacked *unacked, uint64_t tag)
{
	*state_of(unacked, tag) = TAG_DONE;
	unacked->n_done++;
}

void unacked_told(struct unacked *unacked, uint64_t tag)
{
	*state_of(unacked, tag) = TAG_TOLD;
	shrink(unacked);
}

uint64_t unacked_prefix(struct unacked *unacked)
{
	uint64_t last = 0;

	for (size_t i = 0; i < unacked->n && unacked->states[unacked->offset + i] != TAG_OPEN; i++) {
		if (unacked->states[unacked->offset + i] == TAG_DONE) {
			last = unacked->first + i;
			unacked->n_done--;
		}
		unacked->states[unacked->offset + i] = TAG_TOLD;
	}
	shrink(unacked);
	return last;
}

bool unacked_next(struct unacked *unacked, uint64_t *tag)
{
	for (size_t i = 0; unacked->n_done && i < unacked->n; i++)
		if (unacked->states[unacked->offset + i] == TAG_DONE) {
			unacked->states[unacked->offset + i] = TAG_TOLD;
			unacked->n_done--;
			*tag = unacked->first + i;
			return true;
		}
	return false;
}
