#include "payload.h"

#include <stdint.h>

#define LENGTH_BYTES 4

void payload_add(struct text *payload, const char *bytes, size_t len)
{
	const unsigned char head[LENGTH_BYTES] = { (unsigned char)(len >> 24), (unsigned char)(len >> 16),
		(unsigned char)(len >> 8), (unsigned char)len };
	text_add(payload, head, sizeof(head));
	text_add(payload, bytes, len);
}

/* The part at *at, which moves behind it; at NULL when it is cut short. */
static struct bytes next_part(const char **at, const char *end)
{
	const struct bytes cut = { 0 };
	if (end - *at < LENGTH_BYTES)
		return cut;
	const unsigned char *head = (const unsigned char *)*at;
	const size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	const char *start = *at + LENGTH_BYTES;
	if ((size_t)(end - start) < len)
		return cut;
	*at = start + len;
	return (struct bytes){ start, len };
}

int payload_split(const char *payload, size_t len, struct scratch *scratch, struct bytes **parts, size_t *n)
{
	const char *const end = payload + len;
	size_t count = 0;
	for (const char *at = payload; at < end; count++)
		if (!next_part(&at, end).at)
			return -1;
	if (!count || count % 2)
		return -1;
	struct bytes *found = scratch_try(scratch, count * sizeof(*found));
	if (!found)
		return -1;
	const char *at = payload;
	for (size_t i = 0; i < count; i++)
		found[i] = next_part(&at, end);
	*parts = found;
	*n = count;
	return 0;
}
