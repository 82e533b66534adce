/* What an auto-session is spent on. */
#ifndef TICK_CATEGORY_H
#define TICK_CATEGORY_H

enum { CATEGORY_EXPLORATION, CATEGORY_CRAFTING, CATEGORY_TRADE, CATEGORY_GENERAL };
#define CATEGORY_COUNT 4

struct category {
	const char *name;  /* in commands, in auto_sessions and in tick_rules */
	const char *queue; /* Redis list of its due ticks */
};

/* By number. */
extern const struct category categories[CATEGORY_COUNT];
extern const char *const category_names[CATEGORY_COUNT];

/* The category of that name, or -1. Any thread. */
int category_by_name(const char *name);

#endif
