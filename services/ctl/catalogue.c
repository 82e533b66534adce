#include "catalogue.h"

#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "json.h"
#include "naming.h"

#define CATALOGUE_SCRATCH_MAX ((size_t)64 << 20)

/* From the build (deploy/embed.sh). */
extern const char catalogue_json[];
extern const size_t catalogue_json_len;

struct entry {
	const char *name; /* "service.command" */
	const cJSON *command;
};

struct entries {
	struct entry *items;
	size_t n;
};

static const char *string_of(const cJSON *object, const char *key)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsString(value) ? value->valuestring : "";
}

static const cJSON *commands_of(const cJSON *service)
{
	return cJSON_GetObjectItemCaseSensitive(service, "commands");
}

static struct entries read_catalogue(struct scratch *scratch)
{
	struct error err;
	const cJSON *services = json_parse(catalogue_json, catalogue_json_len, scratch, &err);
	const cJSON *service, *command;
	struct entries entries = { 0 };
	size_t n = 0;

	if (!services)
		BUG("the catalogue of this build cannot be read: %s", err.text);
	cJSON_ArrayForEach(service, services) n += (size_t)cJSON_GetArraySize(commands_of(service));
	entries.items = scratch_array(scratch, n + 1, sizeof(*entries.items));
	cJSON_ArrayForEach(service, services)
	{
		cJSON_ArrayForEach(command, commands_of(service))
		{
			char key[BROKER_NAME_MAX];

			name_routing_key(string_of(service, "service"), string_of(command, "name"), key);
			entries.items[entries.n++] = (struct entry){ scratch_strdup(scratch, key), command };
		}
	}
	return entries;
}

static const char *entry_name(const void *context, size_t i)
{
	return ((const struct entry *)context)[i].name;
}

const cJSON *catalogue_find(const char *routing_key, struct scratch *scratch, struct error *err)
{
	struct entries entries = read_catalogue(scratch);

	for (size_t i = 0; i < entries.n; i++)
		if (strcmp(entries.items[i].name, routing_key) == 0)
			return entries.items[i].command;
	error_set(err, CODE_UNKNOWN_COMMAND, "unknown command \"%.100s\"%s", routing_key,
		ctl_suggest(routing_key, entry_name, entries.items, entries.n, scratch));
	return NULL;
}

static bool is_secret(const cJSON *schema)
{
	const cJSON *part;

	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(schema, "writeOnly")))
		return true;
	cJSON_ArrayForEach(part, schema) if (is_secret(part)) return true;
	return false;
}

bool catalogue_takes_secrets(const char *service)
{
	CLEANUP(scratch_release) struct scratch scratch;
	size_t len = strlen(service);

	scratch_init(&scratch, CATALOGUE_SCRATCH_MAX);
	struct entries entries = read_catalogue(&scratch);

	for (size_t i = 0; i < entries.n; i++) {
		const struct entry *entry = &entries.items[i];

		if (strncmp(entry->name, service, len) == 0 && entry->name[len] == '.' &&
			is_secret(cJSON_GetObjectItemCaseSensitive(entry->command, "request")))
			return true;
	}
	return false;
}

bool catalogue_has_lane(const cJSON *command, const char *lane)
{
	const cJSON *item;

	cJSON_ArrayForEach(
		item, cJSON_GetObjectItemCaseSensitive(command,
			      "lanes")) if (cJSON_IsString(item) && strcmp(item->valuestring, lane) == 0) return true;
	return false;
}

void catalogue_print(void)
{
	struct scratch scratch;

	scratch_init(&scratch, CATALOGUE_SCRATCH_MAX);
	struct entries entries = read_catalogue(&scratch);

	printf("\nCommands:\n");
	for (size_t i = 0; i < entries.n; i++)
		printf("  %-42s  %s\n", entries.items[i].name, string_of(entries.items[i].command, "help"));
	scratch_release(&scratch);
}
