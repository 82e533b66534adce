/* The delivery tags of one channel that the broker has not been told of: they come in order and end in any order. */
#ifndef GARRISON_UNACKED_H
#define GARRISON_UNACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct unacked {
	uint64_t first;	       /* the oldest tag kept */
	unsigned char *states; /* of the tags from it on, at .offset */
	size_t n, cap, offset;
	size_t n_done; /* done, and the broker not yet told */
};

/* All of it belongs to one thread. A zeroed one is empty; reset forgets a channel's tags. */
void unacked_reset(struct unacked *unacked);
void unacked_release(struct unacked *unacked);
/* A delivery came; tags are consecutive. */
void unacked_add(struct unacked *unacked, uint64_t tag);
/* Its work is done: it may be acked. */
void unacked_done(struct unacked *unacked, uint64_t tag);
/* The broker has been told of it on its own (nack). */
void unacked_told(struct unacked *unacked, uint64_t tag);
/*
 * The last tag that one ack of many may name now (everything before it is done or told), 0 for none. It is never one that was
 * told singly, which the broker would take for an error. Those it covers count as told.
 */
uint64_t unacked_prefix(struct unacked *unacked);
/* A done tag behind an unfinished one, to be acked on its own; it counts as told. False: none. */
bool unacked_next(struct unacked *unacked, uint64_t *tag);

#endif
