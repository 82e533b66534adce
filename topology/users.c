#include "users.h"

#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "json.h"

#define FLEET_MAX 128
#define WORD_MAX 64
#define LIST_MAX 512
#define PASSWORD_MAX 1024
#define SALT_BYTES 4 /* as RabbitMQ has it: salt, then SHA-256 of salt and password */
#define NOTHING "^$"
#define ANYTHING ".*"

/* A line of the fleet's list, as far as the broker is concerned. Lists are comma-separated; "-" is none, "*" is all. */
struct member {
	char service[WORD_MAX], calls[LIST_MAX], sends[LIST_MAX], senders[LIST_MAX];
};
struct fleet {
	struct member members[FLEET_MAX];
	size_t n;
};

/* One user's rights: three patterns for names, and for an exchange a pattern for the routing keys that may be written. */
struct rights {
	const char *user;
	struct text configure, write, read;
	struct text topics; /* JSON objects of topic_permissions, with commas */
};

static void rights_release(struct rights *rights)
{
	text_release(&rights->configure);
	text_release(&rights->write);
	text_release(&rights->read);
	text_release(&rights->topics);
}

/* What all users add to. */
struct definitions {
	const struct topology *topology;
	const char *vhost;
	const char *password_dir;
	struct text users, permissions, topic_permissions;
};

static void definitions_release(struct definitions *definitions)
{
	text_release(&definitions->users);
	text_release(&definitions->permissions);
	text_release(&definitions->topic_permissions);
}

/* ---- the list ---- */

static int read_member(const char *line, size_t len, struct fleet *fleet, struct error *err)
{
	struct member *member = &fleet->members[fleet->n];
	char copy[2 * LIST_MAX];

	if (fleet->n == FLEET_MAX || len >= sizeof(copy))
		return error_set(err, CODE_INVALID_PAYLOAD, "the fleet's list is too long");
	memcpy(copy, line, len);
	copy[len] = '\0';
	if (sscanf(copy, "%63s %*s %*s %*s %*s %511s %511s %511s", member->service, member->calls, member->sends,
		    member->senders) != 4)
		return error_set(err, CODE_INVALID_PAYLOAD, "the fleet's list: \"%s\" has not all columns", copy);
	fleet->n++;
	return 0;
}

static int read_fleet(const char *text, struct fleet *fleet, struct error *err)
{
	fleet->n = 0;
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");

		if (len && *line != '#' && read_member(line, len, fleet, err))
			return -1;
		line += len + (line[len] == '\n');
	}
	return 0;
}

static bool list_has(const char *list, const char *word)
{
	size_t word_len = strlen(word);

	while (*list) {
		size_t len = strcspn(list, ",");

		if (len == word_len && memcmp(list, word, len) == 0)
			return true;
		list += len + (list[len] == ',');
	}
	return false;
}

/* ---- patterns ---- */

static void add_literal(struct text *pattern, const char *name)
{
	for (; *name; name++) {
		if (*name == '.')
			text_char(pattern, '\\');
		text_char(pattern, *name);
	}
}

/* Another name that the pattern "^(a|b)$" stands for; finish_names() ends it. */
static void add_name(struct text *pattern, const char *name)
{
	text_str_add(pattern, pattern->len ? "|" : "^(");
	add_literal(pattern, name);
}

static void finish_names(struct text *pattern)
{
	text_str_add(pattern, pattern->len ? ")$" : NOTHING);
}

/* Without one a user may use every routing key of an exchange it may write to, or bind a queue of its own by. */
static void add_topics(
	struct rights *rights, const char *vhost, const char *exchange, const char *keys, const char *read_keys)
{
	struct text *out = &rights->topics;

	if (out->len)
		text_char(out, ',');
	text_str_add(out, "\n  {\"user\":");
	json_string(out, rights->user);
	text_str_add(out, ",\"vhost\":");
	json_string(out, vhost);
	text_str_add(out, ",\"exchange\":");
	json_string(out, exchange);
	text_str_add(out, ",\"write\":");
	json_string(out, keys);
	text_str_add(out, ",\"read\":");
	json_string(out, read_keys);
	text_char(out, '}');
}

/* "^(a|b)\." of the services in the list. */
static void keys_of_services(struct text *keys, const char *list)
{
	text_str_add(keys, "^(");
	for (; *list; list += *list == ',') {
		size_t len = strcspn(list, ",");

		text_add(keys, list, len);
		list += len;
		if (*list)
			text_char(keys, '|');
	}
	text_str_add(keys, ")\\.");
}

/* Leave to send commands to the services in the list by this exchange, and to bind queues of its own by these keys. */
static void may_send(
	struct rights *rights, const char *vhost, const char *exchange, const char *list, const char *read_keys)
{
	CLEANUP(text_release) struct text keys = { 0 };
	bool nobody = strcmp(list, "-") == 0, all = strcmp(list, "*") == 0;

	if (!nobody)
		add_name(&rights->write, exchange);
	if (nobody || all)
		text_str_add(&keys, nobody ? NOTHING : ANYTHING);
	else
		keys_of_services(&keys, list);
	if (!(nobody || all) || strcmp(read_keys, ANYTHING) != 0)
		add_topics(rights, vhost, exchange, text_str(&keys), read_keys);
}

/* ---- users ---- */

static void hash_password(const char *password, size_t len, struct text *out)
{
	unsigned char salted[SALT_BYTES + PASSWORD_MAX], hash[SALT_BYTES + crypto_hash_sha256_BYTES];
	char encoded[sodium_base64_ENCODED_LEN(sizeof(hash), sodium_base64_VARIANT_ORIGINAL)];

	randombytes_buf(salted, SALT_BYTES);
	memcpy(salted + SALT_BYTES, password, len);
	memcpy(hash, salted, SALT_BYTES);
	crypto_hash_sha256(hash + SALT_BYTES, salted, SALT_BYTES + len);
	sodium_memzero(salted, sizeof(salted));
	sodium_bin2base64(encoded, sizeof(encoded), hash, sizeof(hash), sodium_base64_VARIANT_ORIGINAL);
	text_str_add(out, encoded);
}

static void drop_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

static int read_password_hash(const char *dir, const char *user, struct text *out, struct error *err)
{
	CLEANUP(text_release) struct text path = { 0 };
	CLEANUP(drop_file) FILE *file = NULL;
	char password[PASSWORD_MAX];
	size_t len;

	if (!dir)
		return 0;
	text_printf(&path, "%s/%s", dir, user);
	file = fopen(text_str(&path), "re");
	if (!file)
		return error_set(err, CODE_NOT_FOUND, "%s: %s", text_str(&path), strerror(errno));
	len = fread(password, 1, sizeof(password), file);
	while (len && (password[len - 1] == '\n' || password[len - 1] == '\r'))
		len--;
	if (!len || len == sizeof(password))
		return error_set(err, CODE_INVALID_PAYLOAD, "%s: a password has 1 to %d bytes", text_str(&path),
			PASSWORD_MAX - 1);
	hash_password(password, len, out);
	sodium_memzero(password, sizeof(password));
	return 0;
}

static void begin_row(struct text *list)
{
	text_str_add(list, list->len ? ",\n  " : "\n  ");
}

static int add_user(struct definitions *to, struct rights *rights, const char *tags, struct error *err)
{
	CLEANUP(text_release) struct text hash = { 0 };

	if (read_password_hash(to->password_dir, rights->user, &hash, err))
		return -1;
	begin_row(&to->users);
	text_str_add(&to->users, "{\"name\":");
	json_string(&to->users, rights->user);
	text_printf(&to->users,
		",\"password_hash\":\"%s\",\"hashing_algorithm\":\"rabbit_password_hashing_sha256\",\"tags\":\"%s\"}",
		text_str(&hash), tags);
	finish_names(&rights->configure);
	finish_names(&rights->write);
	finish_names(&rights->read);
	begin_row(&to->permissions);
	text_str_add(&to->permissions, "{\"user\":");
	json_string(&to->permissions, rights->user);
	text_str_add(&to->permissions, ",\"vhost\":");
	json_string(&to->permissions, to->vhost);
	text_str_add(&to->permissions, ",\"configure\":");
	json_string(&to->permissions, text_str(&rights->configure));
	text_str_add(&to->permissions, ",\"write\":");
	json_string(&to->permissions, text_str(&rights->write));
	text_str_add(&to->permissions, ",\"read\":");
	json_string(&to->permissions, text_str(&rights->read));
	text_char(&to->permissions, '}');
	if (rights->topics.len) {
		if (to->topic_permissions.len)
			text_char(&to->topic_permissions, ',');
		text_add(&to->topic_permissions, rights->topics.bytes, rights->topics.len);
	}
	return 0;
}

/*
 * Its two queues to read from. What it writes bears its own name: events, dead letters, retries; commands only to whom the list
 * says. Answers go to their queues by the default exchange, which knows no finer right.
 */
static void may_consume(struct rights *rights, const struct topology *topology, const char *vhost, const char *service)
{
	CLEANUP(text_release) struct text own = { 0 }, event = { 0 };
	char name[BROKER_NAME_MAX];

	text_printf(&own, "^%s(\\.|$)", service);
	text_printf(&event, "^%s\\.", service);
	add_name(&rights->read, name_queue(service, name));
	add_name(&rights->read, name_rpc_queue(service, name));
	add_name(&rights->write, "amq.default");
	for (size_t i = 0; i < topology->n_exchanges; i++) {
		const char *exchange = topology->exchanges[i].name;

		if (strcmp(exchange, EXCHANGE_COMMANDS) == 0 || strcmp(exchange, EXCHANGE_RPC) == 0)
			continue;
		add_name(&rights->write, exchange);
		add_topics(rights, vhost, exchange, text_str(strcmp(exchange, EXCHANGE_EVENTS) == 0 ? &event : &own),
			ANYTHING);
	}
}

/* Its transient request queue, and to bind that by its own key alone: by another's it would read that one's secrets. */
static void may_declare_requests(struct rights *rights, const char *service, struct text *read_keys)
{
	char name[BROKER_NAME_MAX];

	name_rpc_queue(service, name);
	add_name(&rights->configure, name);
	add_name(&rights->write, name);
	add_name(&rights->read, EXCHANGE_RPC);
	text_printf(read_keys, "^%s\\.#$", service);
}

static int add_service(struct definitions *to, const struct member *member, struct error *err)
{
	char user[WORD_MAX + sizeof("garrison-")];
	CLEANUP(rights_release) struct rights rights = { .user = user };
	CLEANUP(text_release) struct text read_keys = { 0 };

	snprintf(user, sizeof(user), "garrison-%s", member->service);
	if (topology_find_service(member->service)) {
		may_consume(&rights, to->topology, to->vhost, member->service);
		if (to->topology->transient_requests)
			may_declare_requests(&rights, member->service, &read_keys);
	}
	may_send(&rights, to->vhost, EXCHANGE_RPC, member->calls, read_keys.len ? text_str(&read_keys) : ANYTHING);
	may_send(&rights, to->vhost, EXCHANGE_COMMANDS, member->sends, ANYTHING);
	return add_user(to, &rights, "", err);
}

/* Commands for the services whose line names it; events, into queues of its own. */
static int add_publisher(struct definitions *to, const struct fleet *fleet, const char *sender, struct error *err)
{
	char user[WORD_MAX];
	CLEANUP(rights_release) struct rights rights = { .user = user };
	CLEANUP(text_release) struct text list = { 0 };

	snprintf(user, sizeof(user), "garrison-%s", sender);
	for (size_t i = 0; i < fleet->n; i++)
		if (list_has(fleet->members[i].senders, sender))
			text_printf(&list, "%s%s", list.len ? "," : "", fleet->members[i].service);
	may_send(&rights, to->vhost, EXCHANGE_COMMANDS, list.len ? text_str(&list) : "-", ANYTHING);
	may_send(&rights, to->vhost, EXCHANGE_RPC, list.len ? text_str(&list) : "-", ANYTHING);
	add_name(&rights.read, EXCHANGE_EVENTS);
	for (size_t i = 0; i < 3; i++) {
		struct text *pattern = i == 0 ? &rights.configure : i == 1 ? &rights.write : &rights.read;

		text_str_add(pattern, pattern->len ? "|" : "^(");
		text_printf(pattern, "garrison-%s\\..+", sender);
	}
	return add_user(to, &rights, "", err);
}

/* garrisonctl: all that is ours, and a look at the management API. */
static int add_operator(struct definitions *to, struct error *err)
{
	CLEANUP(rights_release) struct rights rights = { .user = "garrison-operator" };

	text_str_add(&rights.configure, "^(game\\..*");
	text_str_add(&rights.write, "^(game\\..*");
	text_str_add(&rights.read, "^(game\\..*");
	return add_user(to, &rights, "monitoring", err);
}

static void write_list(struct text *out, const char *key, const struct text *rows)
{
	text_printf(out, ",\n \"%s\":[%s]", key, text_str(rows));
}

int topology_users(const struct topology *topology, const char *fleet_text, const char *vhost, const char *password_dir,
	struct text *out, struct error *err)
{
	CLEANUP(definitions_release)
	struct definitions to = { .topology = topology, .vhost = vhost, .password_dir = password_dir };
	CLEANUP(release_memory) struct fleet *fleet = must_zalloc(sizeof(*fleet));

	if (read_fleet(fleet_text, fleet, err))
		return -1;
	for (size_t i = 0; i < fleet->n; i++)
		if (add_service(&to, &fleet->members[i], err))
			return -1;
	if (add_publisher(&to, fleet, "bot", err) || add_publisher(&to, fleet, "engine", err) || add_operator(&to, err))
		return -1;
	text_str_add(out, "{\"vhosts\":[{\"name\":");
	json_string(out, vhost);
	text_str_add(out, "}]");
	write_list(out, "users", &to.users);
	write_list(out, "permissions", &to.permissions);
	write_list(out, "topic_permissions", &to.topic_permissions);
	text_str_add(out, "}\n");
	return 0;
}
