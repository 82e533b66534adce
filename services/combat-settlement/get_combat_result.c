#include "get_combat_result.h"

#include "fight_lookup.h"

static const struct field request_fields[] = {
	FIELD(struct get_combat_result, session_id, .required = true, .help = "the fight"),
	FIELD(struct get_combat_result, char_id, .required = true, .min = 1, .max = INT_LIMIT, .help = "who asks"),
	FIELD(struct get_combat_result, lang, .choices = languages, .n_choices = LANGUAGE_COUNT, .preset = "ru",
		.help = "the language of message"),
};
const struct schema get_combat_result_request = SCHEMA(
	struct get_combat_result, request_fields, .name = "get_combat_result request");

const struct schema get_combat_result_result = SCHEMA(
	struct fight_answer, fight_answer_fields, .name = "get_combat_result result");

enum outcome get_combat_result(struct call *call)
{
	const struct get_combat_result *in = call_args(call);
	const struct asked_for asked = { .session_id = in->session_id, .char_id = in->char_id, .lang = in->lang };

	return fight_lookup(call, &asked);
}
