#include "services/tick/category.h"

#include <string.h>

const struct category categories[CATEGORY_COUNT] = {
	[CATEGORY_EXPLORATION] = { "exploration", "tick:queue:exploration" },
	[CATEGORY_CRAFTING] = { "crafting", "tick:queue:crafting" },
	[CATEGORY_TRADE] = { "trade", "tick:queue:trade" },
	[CATEGORY_GENERAL] = { "general", "tick:queue:general" },
};

const char *const category_names[CATEGORY_COUNT] = {
	[CATEGORY_EXPLORATION] = "exploration",
	[CATEGORY_CRAFTING] = "crafting",
	[CATEGORY_TRADE] = "trade",
	[CATEGORY_GENERAL] = "general",
};

int category_by_name(const char *name)
{
	for (int i = 0; i < CATEGORY_COUNT; i++)
		if (strcmp(categories[i].name, name) == 0)
			return i;
	return -1;
}
