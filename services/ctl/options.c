#include <string.h>

#include "ctl_internal.h"
#include "service.h"

/* clang-format off */
static const struct field retry_delay_fields[] = {
	FIELD(struct retry_delay, ms, .as = "", .unit = UNIT_MS, .min = 1, .max = 24 * 3600 * 1000,
		.help = "the delay of one rung"),
};
static const struct schema retry_delay_schema = SCHEMA(struct retry_delay, retry_delay_fields, .name = "retry delay");

static const struct field settings_fields[] = {
	FIELD(struct ctl_settings, amqp_url, .as = "AMQP_URL", .preset = "amqp://guest:guest@127.0.0.1:5672/", .min = 1,
		.max = 4096, .secret = true, .help = "one or more broker URLs, comma-separated, tried in turn; amqps:// for TLS"),
	FIELD(struct ctl_settings, rabbitmq_api_url, .as = "RABBITMQ_API_URL", .preset = "http://guest:guest@127.0.0.1:15672/",
		.min = 1, .max = 4096, .secret = true, .help = "RabbitMQ's management API"),
	FIELD(struct ctl_settings, redis_url, .as = "REDIS_URL", .preset = "redis://127.0.0.1:6379/0", .min = 1, .max = 4096,
		.secret = true, .help = "Redis; also redis+sentinel://host:port,host:port/<master>/<db>"),
	FIELD(struct ctl_settings, database_url, .as = "DATABASE_URL", .preset = "postgresql://127.0.0.1:5432/garrison",
		.min = 1, .max = 4096, .secret = true, .help = "PostgreSQL, by any libpq URI"),
	FIELD(struct ctl_settings, startup_timeout_ms, .as = "STARTUP_TIMEOUT", .unit = UNIT_MS, .preset = "0s", .max = 3600 * 1000,
		.help = "how long to go on trying a server that does not answer; 0s: try once"),
	FIELD(struct ctl_settings, retry_delays, .as = "RETRY_DELAYS", .of = &retry_delay_schema, .preset = "1s,10s,60s,10m",
		.min = 1, .max = 16, .help = "the rungs of the retry ladder, as the workers have them"),
};
const struct schema ctl_settings_schema = SCHEMA(struct ctl_settings, settings_fields, .name = "settings");
/* clang-format on */

const struct field *ctl_find_option(const struct verb *verb, const char *name, size_t len)
{
	for (size_t i = 0; verb->options && i < verb->options->n_fields; i++) {
		const struct field *field = &verb->options->fields[i];

		if (strlen(field_name(field)) == len && strncmp(field_name(field), name, len) == 0)
			return field;
	}
	return NULL;
}

static const char *option_name(const void *context, size_t i)
{
	return field_name(&((const struct schema *)context)->fields[i]);
}

static int unknown_option(struct invocation *in, const char *name, struct error *err)
{
	const struct schema *options = in->verb->options;
	const char *suggestion = options ? ctl_suggest(name, option_name, options, options->n_fields, &in->scratch)
					 : "";

	return error_set(err, CODE_INVALID_PAYLOAD, "%s has no option --%s%s", in->verb->name, name, suggestion);
}

static int read_option(struct invocation *in, void *out, const char *word, struct error *err)
{
	const char *name = word + 2;
	size_t len = strcspn(name, "=");
	const char *value = name[len] ? name + len + 1 : NULL;
	const struct field *field = ctl_find_option(in->verb, name, len);
	struct error wrong = { 0 };

	if (len == 4 && strncmp(name, "json", 4) == 0 && !value) {
		in->json = true;
		return 0;
	}
	if (!field)
		return unknown_option(in, scratch_memdup(&in->scratch, name, len), err);
	if (!value && field->kind != FIELD_BOOL)
		return error_set(err, CODE_INVALID_PAYLOAD, "--%s needs a value", name);
	if (field_read_text(field, out, value ? value : "true", &in->scratch, &wrong))
		return error_set(err, CODE_INVALID_PAYLOAD, "--%.*s: %s", (int)len, name, wrong.text);
	return 0;
}

int ctl_read_options(struct invocation *in, char **words, size_t n, struct error *err)
{
	const struct schema *schema = in->verb->options;
	void *out = schema ? scratch_alloc(&in->scratch, schema->size) : NULL;

	if (schema)
		schema_preset(schema, out, &in->scratch);
	for (size_t i = 0; i < n; i++)
		if (read_option(in, out, words[i], err))
			return -1;
	in->options = out;
	return 0;
}
