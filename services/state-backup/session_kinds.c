#include "session_kind.h"

#include <string.h>

#include "cleanup.h"
#include "combat_session.h"
#include "inventory_session.h"
#include "scenario_session.h"

const struct session_kind *const session_kinds[] = {
	&combat_session,
	&inventory_session,
	&scenario_session,
};
const size_t n_session_kinds = ARRAY_LEN(session_kinds);
_Static_assert(ARRAY_LEN(session_kinds) <= SESSION_KINDS_MAX, "SESSION_KINDS_MAX is too small");

const char *session_key_prefix(const struct session_kind *kind, const char *stored)
{
	for (size_t i = 0; stored && i < kind->n_key_prefixes; i++)
		if (!strcmp(kind->key_prefixes[i], stored))
			return kind->key_prefixes[i];
	return kind->key_prefixes[0];
}
