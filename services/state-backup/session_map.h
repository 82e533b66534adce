/* Results' `sessions`: an object of session ids by kind. */
#ifndef SESSION_MAP_H
#define SESSION_MAP_H

#include "field.h"
#include "scratch.h"
#include "session_kind.h"

struct session_entry {
	const char *kind;
	const char *session_id;
};
extern const struct schema session_entry_schema;

/* The map of one id by kind, NULL for none; in scratch. Any thread. */
struct map session_map(const char *const ids[SESSION_KINDS_MAX], struct scratch *scratch);

#endif
