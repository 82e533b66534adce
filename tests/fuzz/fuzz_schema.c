/*
 * Any bytes are parsed, read by a schema with every kind of field, written, parsed and read again: what is written the
 * second time must be what was written the first time, and the digest of the document must not depend on its spelling.
 */
#include <string.h>

#include "../unit/every_kind.h"
#include "input.h"
#include "random_json.h"

#define CAP ((size_t)1 << 20)

/* The struct as JSON, or NULL where the text is not taken. */
static const char *round_trip(const char *json, size_t len, struct scratch *scratch, struct text *out)
{
	struct problems problems = { 0 };
	struct every_kind every;
	struct error err;
	const cJSON *tree = json_parse(json, len, scratch, &err);

	if (!tree) {
		if ((err.code != CODE_INVALID_JSON && err.code != CODE_INVALID_PAYLOAD) || !*err.text)
			BUG("json_parse says %s: %s", code_name(err.code), err.text);
		return NULL;
	}
	if (schema_read(&every_schema, tree, &every, scratch, &problems)) {
		for (size_t i = 0; i < problems.n && i < PROBLEMS_MAX; i++)
			if (!utf8_valid(problems.items[i].field, strlen(problems.items[i].field)) ||
				!*problems.items[i].problem)
				BUG("a problem without words");
		return NULL;
	}
	schema_write(&every_schema, &every, out);
	return text_str(out);
}

static void check_struct(const char *json, size_t len)
{
	CLEANUP(scratch_release) struct scratch scratch;
	CLEANUP(text_release) struct text first = { 0 };
	CLEANUP(text_release) struct text second = { 0 };

	scratch_init(&scratch, CAP);
	if (!round_trip(json, len, &scratch, &first))
		return;
	if (!round_trip(first.bytes, first.len, &scratch, &second))
		BUG("what was written is not taken: %s", text_str(&first));
	if (strcmp(text_str(&first), text_str(&second)) != 0)
		BUG("%s\nbecame %s", text_str(&first), text_str(&second));
}

static void check_tree(const char *json, size_t len)
{
	unsigned char before[JSON_DIGEST_LEN], after[JSON_DIGEST_LEN];
	CLEANUP(scratch_release) struct scratch scratch;
	CLEANUP(text_release) struct text compact = { 0 };
	CLEANUP(text_release) struct text blanked = { 0 };
	struct error err;
	const cJSON *tree;

	scratch_init(&scratch, CAP);
	tree = json_parse(json, len, &scratch, &err);
	if (!tree)
		return;
	json_digest(tree, before);
	schema_write_blanked(&every_schema, tree, &blanked);
	json_write(&compact, tree);
	scratch_reset(&scratch);
	if (!json_parse(blanked.bytes, blanked.len, &scratch, &err))
		BUG("blanked: %s", err.text);
	tree = json_parse(compact.bytes, compact.len, &scratch, &err);
	if (!tree)
		BUG("compact: %s", err.text);
	json_digest(tree, after);
	if (memcmp(before, after, sizeof(before)) != 0)
		BUG("the digest changes with the spelling: %s", text_str(&compact));
}

/* The first field's spelling in settings, of whatever kind the first byte chooses. */
static void check_setting(const char *bytes, size_t len)
{
	CLEANUP(scratch_release) struct scratch scratch;
	struct every_kind every = { 0 };
	const struct field *field;
	struct error err;

	scratch_init(&scratch, CAP);
	if (!len)
		return;
	field = &every_fields[(unsigned char)bytes[0] % ARRAY_LEN(every_fields)];
	if (field->kind == FIELD_OBJECT || field->kind == FIELD_MAP || field->of == &pair_schema)
		return;
	if (field_read_text(field, &every, scratch_memdup(&scratch, bytes + 1, len - 1), &scratch, &err) && !*err.text)
		BUG("refused without words");
}

void take_input(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;

	check_struct(bytes, size);
	check_tree(bytes, size);
	check_setting(bytes, size);
}

size_t make_input(uint8_t *data, size_t size, size_t max, uint64_t seed)
{
	CLEANUP(text_release) struct text json = { 0 };

	(void)size;
	random_json(&json, &every_schema, &seed);
	if (json.len > max)
		json.len = max;
	memcpy(data, json.bytes, json.len);
	return json.len;
}
