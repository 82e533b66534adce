#include "services/tick/rules.h"

#include <stdatomic.h>

#include "clock.h"
#include "field.h"
#include "log.h"

#define LOOT_ENTRIES_MAX 200 /* in one rule */
#define LOOT_WEIGHT_MAX 1000000
#define LOOT_QUANTITY_MAX 1000 /* in one draw */
#define COMPLAINT_EVERY_MS 60000

struct loot_entry {
	const char *item_template_id; /* NULL for nothing */
	int64_t weight;
	int64_t min, max;
};

struct loot_table {
	struct list loot;
};

static const struct field entry_fields[] = {
	FIELD(struct loot_entry, item_template_id, .nullable = true, .min = 1, .max = 200, .help = "null for nothing"),
	FIELD(struct loot_entry, weight, .required = true, .min = 0, .max = LOOT_WEIGHT_MAX,
		.help = "share of the draws"),
	FIELD(struct loot_entry, min, .min = 1, .max = LOOT_QUANTITY_MAX, .preset = "1", .help = "smallest quantity"),
	FIELD(struct loot_entry, max, .min = 1, .max = LOOT_QUANTITY_MAX, .preset = "1", .help = "largest quantity"),
};
static const struct schema entry_schema = SCHEMA(struct loot_entry, entry_fields, .name = "loot entry");

static const struct field table_fields[] = {
	FIELD(struct loot_table, loot, .required = true, .max = LOOT_ENTRIES_MAX, .of = &entry_schema,
		.help = "weighted entries"),
};
static const struct schema table_schema = SCHEMA(struct loot_table, table_fields, .name = "loot");

static const struct pg_statement read_rules = {
	"tick_read_rules",
	"SELECT id, weight, xp_min, xp_max, gold_min, gold_max, energy, jsonb_build_object('loot', loot)"
	" FROM tick_rules WHERE category = $1 AND weight > 0 ORDER BY id",
};

void rules_queue(struct pg *pg, const char *category)
{
	struct pg_params params = { 0 };

	pg_add_text(&params, category);
	pg_queue(pg, &read_rules, &params);
}

static void complain(int64_t rule_id, const char *what)
{
	static _Atomic int64_t next_ms;
	int64_t now_ms = clock_ms();

	if (now_ms < atomic_load(&next_ms))
		return;
	atomic_store(&next_ms, now_ms + COMPLAINT_EVERY_MS);
	log_line(LOG_WARN, "tick_rule", "tick_rules %lld gives no loot: %s", (long long)rule_id, what);
}

static bool read_loot(const struct pg_rows *rows, int row, struct scratch *scratch, struct loot_table *table)
{
	struct problems problems = { 0 };
	struct error err;
	size_t len;
	const char *text = pg_text(rows, row, 7, &len);
	const cJSON *json = json_parse(text, len, scratch, &err);

	if (!json) {
		complain(pg_int(rows, row, 0), err.text);
		return false;
	}
	if (schema_read(&table_schema, json, table, scratch, &problems)) {
		complain(pg_int(rows, row, 0),
			scratch_printf(scratch, "%s %s", problems.items[0].field, problems.items[0].problem));
		return false;
	}
	return true;
}

/* The number of the item in names, which has room for one more. */
static int item_number(const char **names, size_t *n, const char *name)
{
	for (size_t i = 0; i < *n; i++)
		if (strcmp(names[i], name) == 0)
			return (int)i;
	names[*n] = name;
	return (int)(*n)++;
}

static void fill_loot(
	struct rule *rule, const struct list *list, const char **names, size_t *n_names, struct scratch *scratch)
{
	const struct loot_entry *entries = list->items;
	struct loot *loot = scratch_array(scratch, list->n, sizeof(*loot));

	for (size_t i = 0; i < list->n; i++) {
		const struct loot_entry *entry = &entries[i];

		loot[i] = (struct loot){
			.item = entry->item_template_id ? item_number(names, n_names, entry->item_template_id)
							: LOOT_NOTHING,
			.weight = entry->weight,
			.min = entry->min,
			.max = entry->max > entry->min ? entry->max : entry->min,
		};
		rule->loot_weight += entry->weight;
	}
	rule->loot = loot;
	rule->n_loot = list->n;
}

void rules_read(const struct pg_rows *rows, struct scratch *scratch, struct rules *rules)
{
	struct rule *list = scratch_array(scratch, (size_t)rows->n, sizeof(*list));
	struct loot_table *tables = scratch_array(scratch, (size_t)rows->n, sizeof(*tables));
	const char **names;
	size_t n_entries = 0;

	*rules = (struct rules){ .rules = list, .n_rules = (size_t)rows->n };
	for (int row = 0; row < rows->n; row++)
		if (read_loot(rows, row, scratch, &tables[row]))
			n_entries += tables[row].loot.n;
		else
			tables[row] = (struct loot_table){ 0 };
	names = scratch_array(scratch, n_entries, sizeof(*names));
	for (int row = 0; row < rows->n; row++) {
		list[row] = (struct rule){
			.weight = pg_int(rows, row, 1),
			.xp_min = pg_int(rows, row, 2),
			.xp_max = pg_int(rows, row, 3),
			.gold_min = pg_int(rows, row, 4),
			.gold_max = pg_int(rows, row, 5),
			.energy = pg_int(rows, row, 6),
		};
		rules->weight += list[row].weight;
		fill_loot(&list[row], &tables[row].loot, names, &rules->n_items, scratch);
	}
	rules->items = names;
}
