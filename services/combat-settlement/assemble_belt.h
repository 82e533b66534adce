/* assemble_belt: what a character has at hand in a fight. */
#ifndef ASSEMBLE_BELT_H
#define ASSEMBLE_BELT_H

#include "common/service.h"

struct assemble_belt {
	int64_t char_id;
};

struct belt_item {
	int64_t inventory_id;
	const char *item_template_id;
	const char *slot;
	int64_t quantity;
};

struct belt {
	struct list items; /* of struct belt_item */
};

extern const struct schema assemble_belt_request;
extern const struct schema assemble_belt_result;
handle_fn assemble_belt;

#endif
