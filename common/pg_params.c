#include "pg_internal.h"

#include <endian.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

void pg_params_release(struct pg_params *params)
{
	free(params->bytes);
	*params = (struct pg_params){ 0 };
}

static char *reserve(struct pg_params *params, size_t len)
{
	if (len > INT_MAX || params->used + len > INT_MAX)
		BUG("parameters of more than 2 GiB");
	if (params->cap - params->used < len) {
		size_t cap = params->cap ? params->cap : 64;
		while (cap - params->used < len)
			cap *= 2;
		params->bytes = must_realloc(params->bytes, cap);
		params->cap = cap;
	}
	char *place = params->bytes + params->used;
	params->used += len;
	return place;
}

static void put(struct pg_params *params, const void *bytes, size_t len)
{
	char *place = reserve(params, len);
	if (len)
		memcpy(place, bytes, len);
}

static void put_int4(struct pg_params *params, uint32_t value)
{
	uint32_t big = htobe32(value);
	put(params, &big, sizeof(big));
}

static void put_int8(struct pg_params *params, uint64_t value)
{
	uint64_t big = htobe64(value);
	put(params, &big, sizeof(big));
}

/* Opens the next parameter; param_end closes it, once its bytes are put. */
static void param_begin(struct pg_params *params, unsigned type)
{
	if (params->n == PG_PARAMS_MAX)
		BUG("a statement of more than %d parameters", PG_PARAMS_MAX);
	params->types[params->n] = type;
	params->offsets[params->n] = params->used;
	params->nulls[params->n] = false;
}

static void param_end(struct pg_params *params)
{
	params->lengths[params->n] = (int)(params->used - params->offsets[params->n]);
	params->n++;
}

static void add(struct pg_params *params, unsigned type, const void *bytes, size_t len)
{
	param_begin(params, type);
	if (bytes)
		put(params, bytes, len);
	else
		params->nulls[params->n] = true;
	param_end(params);
}

void pg_add_bool(struct pg_params *params, bool value)
{
	char byte = value;
	add(params, OID_BOOL, &byte, 1);
}

void pg_add_int4(struct pg_params *params, int32_t value)
{
	uint32_t big = htobe32((uint32_t)value);
	add(params, OID_INT4, &big, sizeof(big));
}

void pg_add_int8(struct pg_params *params, int64_t value)
{
	uint64_t big = htobe64((uint64_t)value);
	add(params, OID_INT8, &big, sizeof(big));
}

void pg_add_float8(struct pg_params *params, double value)
{
	uint64_t big;
	memcpy(&big, &value, sizeof(big));
	big = htobe64(big);
	add(params, OID_FLOAT8, &big, sizeof(big));
}

void pg_add_text(struct pg_params *params, const char *value)
{
	add(params, OID_TEXT, value, value ? strlen(value) : 0);
}

void pg_add_json(struct pg_params *params, const char *value, size_t len)
{
	add(params, OID_JSON, value, len);
}

/* jsonb's binary form is a version byte and the text. */
static void put_jsonb(struct pg_params *params, const char *value, size_t len)
{
	put(params, "\1", 1);
	put(params, value, len);
}

void pg_add_jsonb(struct pg_params *params, const char *value, size_t len)
{
	if (!value) {
		add(params, OID_JSONB, NULL, 0);
		return;
	}
	param_begin(params, OID_JSONB);
	put_jsonb(params, value, len);
	param_end(params);
}

void pg_add_bytea(struct pg_params *params, const void *value, size_t len)
{
	add(params, OID_BYTEA, value, len);
}

void pg_add_uuid(struct pg_params *params, const struct uuid *value)
{
	add(params, OID_UUID, value, sizeof(*value));
}

void pg_add_timestamptz(struct pg_params *params, int64_t real_us)
{
	uint64_t big = htobe64((uint64_t)(real_us - PG_EPOCH_US));
	add(params, OID_TIMESTAMPTZ, &big, sizeof(big));
}

void pg_add_null(struct pg_params *params)
{
	add(params, 0, NULL, 0);
}

/* The head of a one-dimensional array; element_size is a hint to reserve by. The elements follow, each as length and bytes. */
static void array_begin(struct pg_params *params, unsigned type, unsigned element, size_t n, size_t element_size)
{
	if (n > INT_MAX / 8)
		BUG("an array of %zu elements", n);
	param_begin(params, type);
	/* One growth instead of many: reserve it all, and give it back. */
	reserve(params, 20 + n * (4 + element_size));
	params->used -= 20 + n * (4 + element_size);
	put_int4(params, n ? 1 : 0); /* dimensions; an empty array has none */
	put_int4(params, 0);	     /* the server finds the NULLs by itself */
	put_int4(params, element);
	if (n) {
		put_int4(params, (uint32_t)n);
		put_int4(params, 1); /* the first index */
	}
}

void pg_add_int4_array(struct pg_params *params, const int32_t *values, size_t n)
{
	array_begin(params, OID_INT4_ARRAY, OID_INT4, n, 4);
	for (size_t i = 0; i < n; i++) {
		put_int4(params, 4);
		put_int4(params, (uint32_t)values[i]);
	}
	param_end(params);
}

static void add_int64_array(
	struct pg_params *params, unsigned type, unsigned element, const int64_t *values, size_t n, int64_t minus)
{
	array_begin(params, type, element, n, 8);
	for (size_t i = 0; i < n; i++) {
		put_int4(params, 8);
		put_int8(params, (uint64_t)(values[i] - minus));
	}
	param_end(params);
}

void pg_add_int8_array(struct pg_params *params, const int64_t *values, size_t n)
{
	add_int64_array(params, OID_INT8_ARRAY, OID_INT8, values, n, 0);
}

void pg_add_timestamptz_array(struct pg_params *params, const int64_t *real_us, size_t n)
{
	add_int64_array(params, OID_TIMESTAMPTZ_ARRAY, OID_TIMESTAMPTZ, real_us, n, PG_EPOCH_US);
}

void pg_add_bool_array(struct pg_params *params, const bool *values, size_t n)
{
	array_begin(params, OID_BOOL_ARRAY, OID_BOOL, n, 1);
	for (size_t i = 0; i < n; i++) {
		put_int4(params, 1);
		put(params, values[i] ? "\1" : "\0", 1);
	}
	param_end(params);
}

/* Arrays of bytes by pointer: lens NULL for strings, a NULL pointer for an SQL NULL. */
static void add_bytes_array(struct pg_params *params, unsigned type, unsigned element, const void *const *values,
	const size_t *lens, size_t n)
{
	size_t total = 0;
	for (size_t i = 0; i < n; i++)
		if (values[i])
			total += (lens ? lens[i] : strlen(values[i])) + (element == OID_JSONB);

	array_begin(params, type, element, n, n ? total / n + 1 : 0);
	for (size_t i = 0; i < n; i++) {
		if (!values[i]) {
			put_int4(params, UINT32_MAX); /* length -1 is NULL */
			continue;
		}
		size_t len = lens ? lens[i] : strlen(values[i]);
		put_int4(params, (uint32_t)(len + (element == OID_JSONB)));
		if (element == OID_JSONB)
			put_jsonb(params, values[i], len);
		else
			put(params, values[i], len);
	}
	param_end(params);
}

void pg_add_text_array(struct pg_params *params, const char *const *values, size_t n)
{
	add_bytes_array(params, OID_TEXT_ARRAY, OID_TEXT, (const void *const *)values, NULL, n);
}

void pg_add_uuid_array(struct pg_params *params, const struct uuid *values, size_t n)
{
	array_begin(params, OID_UUID_ARRAY, OID_UUID, n, sizeof(values[0]));
	for (size_t i = 0; i < n; i++) {
		put_int4(params, sizeof(values[i]));
		put(params, &values[i], sizeof(values[i]));
	}
	param_end(params);
}

void pg_add_json_array(struct pg_params *params, const char *const *values, const size_t *lens, size_t n)
{
	add_bytes_array(params, OID_JSON_ARRAY, OID_JSON, (const void *const *)values, lens, n);
}

void pg_add_jsonb_array(struct pg_params *params, const char *const *values, const size_t *lens, size_t n)
{
	add_bytes_array(params, OID_JSONB_ARRAY, OID_JSONB, (const void *const *)values, lens, n);
}

void pg_add_bytea_array(struct pg_params *params, const void *const *values, const size_t *lens, size_t n)
{
	add_bytes_array(params, OID_BYTEA_ARRAY, OID_BYTEA, values, lens, n);
}
