#include "assemble_belt.h"

static const struct field request_fields[] = {
	FIELD(struct assemble_belt, char_id, .required = true, .min = 1, .max = INT_LIMIT, .help = "whose belt"),
};
const struct schema assemble_belt_request = SCHEMA(
	struct assemble_belt, request_fields, .name = "assemble_belt request");

static const struct field item_fields[] = {
	FIELD(struct belt_item, inventory_id, .required = true, .help = "the row of inventory"),
	FIELD(struct belt_item, item_template_id, .required = true, .help = "its template"),
	FIELD(struct belt_item, slot, .required = true, .help = "belt_1 or belt_2"),
	FIELD(struct belt_item, quantity, .required = true, .help = "pieces"),
};
static const struct schema item_schema = SCHEMA(struct belt_item, item_fields, .name = "belt item");

static const struct field result_fields[] = {
	FIELD(struct belt, items, .required = true, .of = &item_schema, .help = "by slot"),
};
const struct schema assemble_belt_result = SCHEMA(struct belt, result_fields, .name = "assemble_belt result");

/* A row without an item says that the character is there, and its belt empty. */
static const struct pg_statement find_belt = {
	"find_belt",
	"SELECT i.id, i.item_template_id, i.slot, i.quantity FROM characters c LEFT JOIN inventory i "
	"ON i.character_id = c.id AND i.is_equipped AND i.slot IN ('belt_1', 'belt_2') "
	"WHERE c.id = $1 ORDER BY i.slot, i.id",
};

enum outcome assemble_belt(struct call *call)
{
	const struct assemble_belt *in = call_args(call);
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };
	struct belt_item *items;
	struct belt belt = { 0 };
	struct error err;

	pg_add_int8(&params, in->char_id);
	if (pg_query(call->pg, &find_belt, &params, &rows, &err))
		return retry(call, &err);
	if (rows.n == 0)
		return refuse(call, CODE_NOT_FOUND, "there is no character %lld", (long long)in->char_id);
	belt.items.items = items = scratch_array(&call->scratch, (size_t)rows.n, sizeof(*items));
	for (int row = 0; row < rows.n; row++)
		if (!pg_is_null(&rows, row, 0))
			items[belt.items.n++] = (struct belt_item){
				.inventory_id = pg_int(&rows, row, 0),
				.item_template_id = pg_text(&rows, row, 1, NULL),
				.slot = pg_text(&rows, row, 2, NULL),
				.quantity = pg_int(&rows, row, 3),
			};
	return reply_ok(call, &belt);
}
