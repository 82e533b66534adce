#include "route.h"

#include <stdio.h>
#include <string.h>

/* Copies one part of a path where a placeholder stands; false when it is empty or no name. */
static bool take_part(const char *path, size_t len, char out[static ROUTE_PART_MAX])
{
	if (len == 0 || len >= ROUTE_PART_MAX)
		return false;
	snprintf(out, ROUTE_PART_MAX, "%.*s", (int)len, path);
	return out[strspn(out, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] == '\0';
}

static bool path_fits(const char *pattern, const char *path, struct route_match *match)
{
	while (*pattern) {
		size_t len;

		if (*pattern != '{') {
			if (*pattern++ != *path++)
				return false;
			continue;
		}
		len = strcspn(path, "/");
		if (!take_part(path, len, pattern[1] == 's' ? match->service : match->command))
			return false;
		path += len;
		pattern = strchr(pattern, '}') + 1;
	}
	return *path == '\0';
}

static void allow(struct route_match *match, const char *method)
{
	size_t len = strlen(match->allowed);

	snprintf(match->allowed + len, sizeof(match->allowed) - len, "%s%s%s", len ? ", " : "", method,
		strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

void route_find(const char *method, const char *path, struct route_match *match)
{
	const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;

	*match = (struct route_match){ 0 };
	for (size_t i = 0; i < n_routes; i++) {
		if (!path_fits(routes[i].path, path, match))
			continue;
		if (strcmp(routes[i].method, wanted) == 0) {
			match->route = &routes[i];
			return;
		}
		allow(match, routes[i].method);
	}
}
