#include "settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_SUFFIX "_FILE"
#define FILE_SIZE_MAX ((size_t)64 * 1024)

struct loader {
	const struct settings_group *groups;
	size_t n_groups;
	char **arguments;
	int n_arguments;
	struct scratch *scratch;
	struct error *err;
};

const struct field *settings_find(const struct settings_group *groups, size_t n_groups, const char *name)
{
	for (size_t g = 0; g < n_groups; g++)
		for (size_t i = 0; i < groups[g].schema->n_fields; i++)
			if (!strcmp(field_name(&groups[g].schema->fields[i]), name))
				return &groups[g].schema->fields[i];
	return NULL;
}

/* Is it NAME or NAME_FILE of a row? */
static bool is_known(const struct loader *loader, const char *name)
{
	size_t len = strlen(name), suffix = strlen(FILE_SUFFIX);
	CLEANUP(release_memory) char *base = must_strdup(name);

	if (settings_find(loader->groups, loader->n_groups, name))
		return true;
	if (len <= suffix || strcmp(base + len - suffix, FILE_SUFFIX) != 0)
		return false;
	base[len - suffix] = '\0';
	return settings_find(loader->groups, loader->n_groups, base);
}

/* The value of the NAME=value argument, or NULL. */
static const char *find_argument(const struct loader *loader, const char *name)
{
	size_t len = strlen(name);

	for (int i = 0; i < loader->n_arguments; i++)
		if (!strncmp(loader->arguments[i], name, len) && loader->arguments[i][len] == '=')
			return loader->arguments[i] + len + 1;
	return NULL;
}

static int check_arguments(const struct loader *loader)
{
	for (int i = 0; i < loader->n_arguments; i++) {
		const char *equals = strchr(loader->arguments[i], '=');
		CLEANUP(release_memory) char *name = must_strdup(loader->arguments[i]);
		/* No more of it is shown than could be a name: it may be a URL, with its password. */
		int shown = (int)strcspn(name, "=:/@");

		if (!equals)
			return error_set(loader->err, CODE_INVALID_PAYLOAD, "\"%.*s\" is not NAME=value", shown, name);
		name[equals - loader->arguments[i]] = '\0';
		if (!is_known(loader, name))
			return error_set(loader->err, CODE_INVALID_PAYLOAD,
				"there is no setting %.*s; --help lists them", shown, name);
		if (find_argument(loader, name) != equals + 1)
			return error_set(loader->err, CODE_INVALID_PAYLOAD, "%.80s is given twice", name);
	}
	return 0;
}

static int cannot_read(const struct loader *loader, const char *name, const char *path, const char *why)
{
	return error_set(loader->err, CODE_INVALID_PAYLOAD, "%s: cannot read %.160s: %s", name, path, why);
}

/* The file's text without its last newline, in scratch; NULL when it cannot be had. */
static const char *read_file(const struct loader *loader, const char *name, const char *path)
{
	CLEANUP(release_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP(release_memory) char *text = must_alloc(FILE_SIZE_MAX + 1);
	size_t len = 0;
	ssize_t n;

	if (fd < 0) {
		cannot_read(loader, name, path, strerror(errno));
		return NULL;
	}
	while (len <= FILE_SIZE_MAX && (n = read(fd, text + len, FILE_SIZE_MAX + 1 - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			cannot_read(loader, name, path, strerror(errno));
			return NULL;
		}
		len += (size_t)n;
	}
	if (len > FILE_SIZE_MAX || memchr(text, '\0', len)) {
		cannot_read(loader, name, path, len > FILE_SIZE_MAX ? "larger than 64 KiB" : "it holds a NUL byte");
		return NULL;
	}
	len -= len && text[len - 1] == '\n';
	return scratch_memdup(loader->scratch, text, len);
}

/* *value becomes what was given for the row, NULL when nothing was. */
static int find_value(const struct loader *loader, const char *name, const char **value)
{
	size_t size = strlen(name) + sizeof(FILE_SUFFIX);
	CLEANUP(release_memory) char *file_name = must_alloc(size);
	const char *path;

	snprintf(file_name, size, "%s%s", name, FILE_SUFFIX);
	*value = find_argument(loader, name);
	path = find_argument(loader, file_name);
	if (!*value && !path) {
		*value = getenv(name);
		path = getenv(file_name);
	}
	if (*value && !**value)
		*value = NULL;
	if (!path || !*path)
		return 0;
	if (*value)
		return error_set(loader->err, CODE_INVALID_PAYLOAD, "%s and %s are both given", name, file_name);
	*value = read_file(loader, file_name, path);
	if (!*value)
		return -1;
	if (!**value)
		*value = NULL;
	return 0;
}

static int load_field(const struct loader *loader, const struct field *field, void *out)
{
	const char *name = field_name(field);
	const char *value;
	struct error why;

	if (find_value(loader, name, &value))
		return -1;
	if (!value && field->required)
		return error_set(loader->err, CODE_INVALID_PAYLOAD, "%s is required", name);
	if (!value || !field_read_text(field, out, value, loader->scratch, &why))
		return 0;
	return error_set(loader->err, CODE_INVALID_PAYLOAD, "%s: %s", name, why.text);
}

int settings_load(const struct settings_group *groups, size_t n_groups, int n_arguments, char **arguments,
	struct scratch *scratch, struct error *err)
{
	struct loader loader = { groups, n_groups, arguments, n_arguments, scratch, err };

	if (check_arguments(&loader))
		return -1;
	for (size_t g = 0; g < n_groups; g++) {
		const struct schema *schema = groups[g].schema;

		memset(groups[g].out, 0, schema->size);
		schema_preset(schema, groups[g].out, scratch);
		for (size_t i = 0; i < schema->n_fields; i++)
			if (load_field(&loader, &schema->fields[i], groups[g].out))
				return -1;
	}
	return 0;
}
