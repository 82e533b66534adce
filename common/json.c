#include "json.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "json_scan.h"
#include "text.h"

/* Parsing ---------------------------------------------------------------------------------------------------------- */

/* cJSON's hooks take no context: while this thread parses, its memory comes from here. */
static _Thread_local struct scratch *parsing;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void *take_memory(size_t size)
{
	return parsing ? scratch_try(parsing, size) : malloc(size);
}

static void give_back(void *memory)
{
	if (!parsing)
		free(memory);
}

static void prepare(void)
{
	cJSON_Hooks hooks = { take_memory, give_back };

	cJSON_InitHooks(&hooks);
	if (sodium_init() < 0)
		BUG("libsodium does not start");
}

/* The node after this one in the document's order. */
static cJSON *next_node(cJSON *node, cJSON **parents, size_t *depth)
{
	if (node->child) {
		parents[(*depth)++] = node;
		return node->child;
	}
	while (!node->next && *depth)
		node = parents[--*depth];
	return *depth ? node->next : NULL;
}

/* cJSON keeps numbers as doubles alone: a long integer's digits go where a string's text would be, for json_write. */
static int attach_exact(cJSON *root, const struct exact_number *exact, struct scratch *scratch)
{
	cJSON *parents[JSON_DEPTH_MAX + 1];
	size_t depth = 0, ordinal = 0;

	for (cJSON *node = root; node && exact; node = next_node(node, parents, &depth)) {
		if (!cJSON_IsNumber(node))
			continue;
		if (ordinal++ != exact->ordinal)
			continue;
		node->valuestring = scratch_try(scratch, exact->len + 1);
		if (!node->valuestring)
			return -1;
		memcpy(node->valuestring, exact->text, exact->len);
		exact = exact->next;
	}
	return 0;
}

const cJSON *json_parse(const char *text, size_t len, struct scratch *scratch, struct error *err)
{
	struct exact_number *exact;
	const char *end = NULL;
	cJSON *root;

	if (json_scan(text, len, scratch, &exact, err))
		return NULL;
	pthread_once(&once, prepare);
	parsing = scratch;
	root = cJSON_ParseWithLengthOpts(text, len, &end, 0);
	parsing = NULL;
	if (!root || attach_exact(root, exact, scratch)) {
		/* The text is well-formed: only memory can have been wanting. */
		error_set(err, CODE_INVALID_PAYLOAD, "message too large");
		return NULL;
	}
	return root;
}

int json_check(const char *text, size_t len, struct scratch *scratch, struct error *err)
{
	struct exact_number *exact;

	return json_scan(text, len, scratch, &exact, err);
}

/* Writing ---------------------------------------------------------------------------------------------------------- */

static void write_scalar(struct text *text, const cJSON *value)
{
	if (cJSON_IsString(value))
		json_string(text, value->valuestring);
	else if (cJSON_IsNumber(value))
		json_number(text, value->valuedouble);
	else if (cJSON_IsBool(value))
		json_bool(text, cJSON_IsTrue(value));
	else
		json_null(text);
}

void json_write(struct text *text, const cJSON *value)
{
	bool object = cJSON_IsObject(value);

	if (!object && !cJSON_IsArray(value)) {
		if (cJSON_IsNumber(value) && value->valuestring)
			json_raw(text, value->valuestring, strlen(value->valuestring));
		else
			write_scalar(text, value);
		return;
	}
	json_open(text, object ? '{' : '[');
	for (const cJSON *child = value->child; child; child = child->next) {
		if (object)
			json_key(text, child->string);
		json_write(text, child);
	}
	json_close(text, object ? '}' : ']');
}

/* The digest ------------------------------------------------------------------------------------------------------- */

#define DIGEST_CHUNK 4096
#define FEW_MEMBERS 32

/*
 * The canonical text goes through here in pieces; its last byte stays, for it tells the writer whether a comma is due.
 */
struct hasher {
	struct text text;
	crypto_generichash_state state;
};

struct member {
	const cJSON *node;
	size_t position;
};

static void pass_on(struct hasher *hasher, size_t at_least)
{
	struct text *text = &hasher->text;

	if (text->len < at_least || !text->len)
		return;
	crypto_generichash_update(&hasher->state, (unsigned char *)text->bytes, text->len - 1);
	text->bytes[0] = text->bytes[text->len - 1];
	text->len = 1;
}

/* strcmp compares as unsigned bytes; members of one name keep their order. */
static int by_name(const void *a, const void *b)
{
	const struct member *first = a, *second = b;
	int order = strcmp(first->node->string, second->node->string);

	return order ? order : (first->position > second->position) - (first->position < second->position);
}

static void hash_value(struct hasher *hasher, const cJSON *value);

static void hash_members(struct hasher *hasher, struct member *members, const cJSON *object)
{
	size_t n = 0;

	for (const cJSON *child = object->child; child; child = child->next, n++)
		members[n] = (struct member){ child, n };
	qsort(members, n, sizeof(*members), by_name);
	for (size_t i = 0; i < n; i++) {
		json_key(&hasher->text, members[i].node->string);
		hash_value(hasher, members[i].node);
	}
}

static void hash_object(struct hasher *hasher, const cJSON *object)
{
	struct member few[FEW_MEMBERS];
	size_t n = 0;

	json_open(&hasher->text, '{');
	for (const cJSON *child = object->child; child; child = child->next)
		n++;
	if (n && n <= ARRAY_LEN(few)) {
		hash_members(hasher, few, object);
	} else if (n) {
		CLEANUP(release_memory) struct member *many = must_alloc(n * sizeof(*many));

		hash_members(hasher, many, object);
	}
	json_close(&hasher->text, '}');
}

static void hash_value(struct hasher *hasher, const cJSON *value)
{
	if (cJSON_IsObject(value)) {
		hash_object(hasher, value);
	} else if (cJSON_IsArray(value)) {
		json_open(&hasher->text, '[');
		for (const cJSON *child = value->child; child; child = child->next)
			hash_value(hasher, child);
		json_close(&hasher->text, ']');
	} else {
		write_scalar(&hasher->text, value);
	}
	pass_on(hasher, DIGEST_CHUNK);
}

void json_digest(const cJSON *value, unsigned char digest[static JSON_DIGEST_LEN])
{
	struct hasher hasher = { .text = { 0 } };

	pthread_once(&once, prepare);
	crypto_generichash_init(&hasher.state, NULL, 0, JSON_DIGEST_LEN);
	text_reserve(&hasher.text, DIGEST_CHUNK + 512);
	hash_value(&hasher, value);
	crypto_generichash_update(&hasher.state, (unsigned char *)hasher.text.bytes, hasher.text.len);
	crypto_generichash_final(&hasher.state, digest, JSON_DIGEST_LEN);
	text_release(&hasher.text);
}
