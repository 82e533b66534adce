#include "get_last_combat.h"

#include "fight_lookup.h"

static const struct field request_fields[] = {
	FIELD(struct get_last_combat, char_id, .required = true, .min = 1, .max = INT_LIMIT, .help = "who asks"),
	FIELD(struct get_last_combat, lang, .choices = languages, .n_choices = LANGUAGE_COUNT, .preset = "ru",
		.help = "the language of message"),
};
const struct schema get_last_combat_request = SCHEMA(
	struct get_last_combat, request_fields, .name = "get_last_combat request");
const struct schema get_last_combat_result = SCHEMA(
	struct fight_answer, fight_answer_fields, .name = "get_last_combat result");

enum outcome get_last_combat(struct call *call)
{
	const struct get_last_combat *in = call_args(call);
	const struct asked_for asked = { .char_id = in->char_id, .lang = in->lang };

	return fight_lookup_last(call, &asked);
}
