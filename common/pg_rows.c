#include "pg_internal.h"

#include <endian.h>
#include <string.h>

void pg_rows_release(struct pg_rows *rows)
{
	PQclear(rows->result);
	*rows = (struct pg_rows){ 0 };
}

/* Checks that the place exists and returns the column's type. */
static unsigned type_at(const struct pg_rows *rows, int row, int column)
{
	if (row < 0 || row >= rows->n || column < 0 || column >= PQnfields(rows->result))
		BUG("row %d, column %d of a result of %d rows", row, column, rows->n);
	return PQftype(rows->result, column);
}

/* The column's bytes, NULL for SQL NULL. */
static const char *bytes_at(const struct pg_rows *rows, int row, int column, size_t size)
{
	if (PQgetisnull(rows->result, row, column))
		return NULL;
	if (size && (size_t)PQgetlength(rows->result, row, column) != size)
		BUG("column %s has %d bytes instead of %zu", PQfname(rows->result, column),
			PQgetlength(rows->result, row, column), size);
	return PQgetvalue(rows->result, row, column);
}

_Noreturn static void wrong_type(const struct pg_rows *rows, int column, const char *wanted)
{
	BUG("column %s is of type %u, read as %s", PQfname(rows->result, column), PQftype(rows->result, column),
		wanted);
}

static uint32_t get_int4(const char *bytes)
{
	uint32_t value;
	memcpy(&value, bytes, sizeof(value));
	return be32toh(value);
}

static uint64_t get_int8(const char *bytes)
{
	uint64_t value;
	memcpy(&value, bytes, sizeof(value));
	return be64toh(value);
}

bool pg_is_null(const struct pg_rows *rows, int row, int column)
{
	type_at(rows, row, column);
	return PQgetisnull(rows->result, row, column);
}

bool pg_bool(const struct pg_rows *rows, int row, int column)
{
	if (type_at(rows, row, column) != OID_BOOL)
		wrong_type(rows, column, "bool");
	const char *bytes = bytes_at(rows, row, column, 1);
	return bytes && *bytes;
}

int64_t pg_int(const struct pg_rows *rows, int row, int column)
{
	unsigned type = type_at(rows, row, column);
	if (type != OID_INT8 && type != OID_INT4 && type != OID_INT2)
		wrong_type(rows, column, "an integer");
	const char *bytes = bytes_at(rows, row, column, type == OID_INT8 ? 8 : type == OID_INT4 ? 4 : 2);
	if (!bytes)
		return 0;
	if (type == OID_INT8)
		return (int64_t)get_int8(bytes);
	if (type == OID_INT4)
		return (int32_t)get_int4(bytes);
	uint16_t small;
	memcpy(&small, bytes, sizeof(small));
	return (int16_t)be16toh(small);
}

double pg_float8(const struct pg_rows *rows, int row, int column)
{
	unsigned type = type_at(rows, row, column);
	if (type != OID_FLOAT8 && type != OID_FLOAT4)
		wrong_type(rows, column, "float8");
	const char *bytes = bytes_at(rows, row, column, type == OID_FLOAT8 ? 8 : 4);
	if (!bytes)
		return 0;
	if (type == OID_FLOAT4) {
		uint32_t bits = get_int4(bytes);
		float value;
		memcpy(&value, &bits, sizeof(value));
		return (double)value;
	}
	uint64_t bits = get_int8(bytes);
	double value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

int64_t pg_timestamptz(const struct pg_rows *rows, int row, int column)
{
	if (type_at(rows, row, column) != OID_TIMESTAMPTZ)
		wrong_type(rows, column, "timestamptz");
	const char *bytes = bytes_at(rows, row, column, 8);
	if (!bytes)
		return 0;
	int64_t since_2000 = (int64_t)get_int8(bytes), real_us;
	/* infinity and -infinity are the ends of the range, and stay there */
	if (__builtin_add_overflow(since_2000, PG_EPOCH_US, &real_us) || since_2000 == INT64_MIN)
		return since_2000;
	return real_us;
}

struct uuid pg_uuid(const struct pg_rows *rows, int row, int column)
{
	struct uuid uuid = { { 0 } };
	if (type_at(rows, row, column) != OID_UUID)
		wrong_type(rows, column, "uuid");
	const char *bytes = bytes_at(rows, row, column, sizeof(uuid.bytes));
	if (bytes)
		memcpy(uuid.bytes, bytes, sizeof(uuid.bytes));
	return uuid;
}

const char *pg_text(const struct pg_rows *rows, int row, int column, size_t *len)
{
	unsigned type = type_at(rows, row, column);
	switch (type) {
	case OID_TEXT:
	case OID_VARCHAR:
	case OID_BPCHAR:
	case OID_NAME:
	case OID_UNKNOWN:
	case OID_JSON:
	case OID_JSONB:
	case OID_BYTEA:
		break;
	default:
		wrong_type(rows, column, "text");
	}
	const char *bytes = bytes_at(rows, row, column, 0);
	size_t skip = bytes && type == OID_JSONB ? 1 : 0;
	if (len)
		*len = bytes ? (size_t)PQgetlength(rows->result, row, column) - skip : 0;
	return bytes ? bytes + skip : NULL;
}

size_t pg_int8_array(const struct pg_rows *rows, int row, int column, int64_t *out, size_t max)
{
	if (type_at(rows, row, column) != OID_INT8_ARRAY)
		wrong_type(rows, column, "int8[]");
	const char *bytes = bytes_at(rows, row, column, 0);
	if (!bytes || get_int4(bytes) == 0)
		return 0;
	if (get_int4(bytes) != 1)
		BUG("column %s has an array of %u dimensions", PQfname(rows->result, column), get_int4(bytes));
	size_t n = get_int4(bytes + 12);
	bytes += 20;
	for (size_t i = 0; i < n && i < max; i++) {
		bool null = get_int4(bytes) == UINT32_MAX;
		out[i] = null ? 0 : (int64_t)get_int8(bytes + 4);
		bytes += null ? 4 : 12;
	}
	return n;
}
