#include "commands.h"

#include <string.h>

#include "duration.h"
#include "json.h"
#include "naming.h"
#include "route.h"
#include "service.h"

#define CATALOGUE_SCRATCH_MAX ((size_t)64 << 20)
#define TIMEOUT_SETTING "COMMAND_PROCESSING_TIMEOUT"

/* From the build (deploy/embed.sh). */
extern const char catalogue_json[];
extern const size_t catalogue_json_len;

static struct {
	struct scratch scratch;
	struct known_command *items; /* sorted by name */
	size_t n;
} known;

static const char *string_of(const cJSON *object, const char *key)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsString(value) ? value->valuestring : "";
}

static double number_of(const cJSON *object, const char *key)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsNumber(value) ? value->valuedouble : 0;
}

static bool has_string(const cJSON *value, const char *text)
{
	const cJSON *item;

	if (cJSON_IsString(value))
		return strcmp(value->valuestring, text) == 0;
	cJSON_ArrayForEach(item, value) if (cJSON_IsString(item) && strcmp(item->valuestring, text) == 0) return true;
	return false;
}

static enum field_form form_of(const cJSON *schema)
{
	const cJSON *type = cJSON_GetObjectItemCaseSensitive(schema, "type");

	if (has_string(type, "integer"))
		return FORM_INTEGER;
	if (has_string(type, "number"))
		return FORM_NUMBER;
	return has_string(type, "boolean") ? FORM_BOOLEAN : FORM_TEXT;
}

static void load_fields(struct known_command *command, const cJSON *request)
{
	const cJSON *properties = cJSON_GetObjectItemCaseSensitive(request, "properties"), *property;

	command->fields = scratch_array(
		&known.scratch, (size_t)cJSON_GetArraySize(properties) + 1, sizeof(*command->fields));
	cJSON_ArrayForEach(property, properties) command->fields[command->n_fields++] =
		(struct known_field){ scratch_strdup(&known.scratch, property->string), form_of(property) };
}

/* A row that goes by the service's default goes by this process's setting of the same name. */
static int timeout_of(const cJSON *service, const cJSON *command)
{
	int64_t own_ms = (int64_t)number_of(command, "timeout_ms"), default_ms = 0;
	const cJSON *setting;

	cJSON_ArrayForEach(setting, cJSON_GetObjectItemCaseSensitive(service,
					    "settings")) if (strcmp(string_of(setting, "name"), TIMEOUT_SETTING) == 0)
		duration_parse(string_of(setting, "default"), &default_ms);
	return (int)(own_ms && own_ms != default_ms ? own_ms : common_settings.command_processing_timeout_ms);
}

static void load_command(const cJSON *service, const cJSON *json)
{
	const cJSON *lanes = cJSON_GetObjectItemCaseSensitive(json, "lanes");
	struct known_command *command = &known.items[known.n++];
	char name[BROKER_NAME_MAX];

	name_routing_key(string_of(service, "service"), string_of(json, "name"), name);
	*command = (struct known_command){
		.name = scratch_strdup(&known.scratch, name),
		.durable = has_string(lanes, "durable"),
		.rpc = has_string(lanes, "rpc"),
		.timeout_ms = timeout_of(service, json),
		.body_max = (size_t)number_of(json, "body_max"),
	};
	load_fields(command, cJSON_GetObjectItemCaseSensitive(json, "request"));
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct known_command *)a)->name, ((const struct known_command *)b)->name);
}

const cJSON *commands_catalogue(struct scratch *scratch)
{
	struct error err;
	const cJSON *services;

	scratch_init(scratch, CATALOGUE_SCRATCH_MAX);
	services = json_parse(catalogue_json, catalogue_json_len, scratch, &err);
	if (!services)
		BUG("the catalogue of this build cannot be read: %s", err.text);
	return services;
}

void commands_load(void)
{
	struct scratch scratch CLEANUP(scratch_release);
	const cJSON *services = commands_catalogue(&scratch), *service, *command;
	size_t n = 0;

	scratch_init(&known.scratch, CATALOGUE_SCRATCH_MAX);
	cJSON_ArrayForEach(service, services)
		n += (size_t)cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(service, "commands"));
	known.items = scratch_array(&known.scratch, n + 1, sizeof(*known.items));
	cJSON_ArrayForEach(service, services) cJSON_ArrayForEach(
		command, cJSON_GetObjectItemCaseSensitive(service, "commands")) load_command(service, command);
	qsort(known.items, known.n, sizeof(*known.items), compare_names);
	for (size_t i = 0; i < n_routes; i++)
		if (routes[i].command && !command_known(routes[i].command))
			BUG("the route %s has no command %s in this build", routes[i].path, routes[i].command);
}

void commands_release(void)
{
	scratch_release(&known.scratch);
	known.items = NULL;
	known.n = 0;
}

const struct known_command *command_known(const char *name)
{
	const struct known_command wanted = { .name = name };

	return known.n ? bsearch(&wanted, known.items, known.n, sizeof(*known.items), compare_names) : NULL;
}

enum field_form command_field_form(const struct known_command *command, const char *field)
{
	for (size_t i = 0; command && i < command->n_fields; i++)
		if (strcmp(command->fields[i].name, field) == 0)
			return command->fields[i].form;
	return FORM_TEXT;
}
