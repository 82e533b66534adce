#include "private_key.h"

#include <sodium.h>
#include <string.h>

/* RFC 8410: version 0, the algorithm's identifier 1.3.101.112, and an octet string of an octet string. */
static const unsigned char der_head[] = { 0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04,
	0x22, 0x04, 0x20 };
#define DER_LEN (sizeof(der_head) + TOKEN_SEED_LEN)

static const char pem_begin[] = "-----BEGIN PRIVATE KEY-----";
static const char pem_end[] = "-----END PRIVATE KEY-----";

static int read_base64(const char *text, size_t text_len, int variant, unsigned char *out, size_t wanted)
{
	size_t len;

	return sodium_base642bin(out, wanted, text, text_len, " \t\r\n", &len, NULL, variant) || len != wanted ? -1 : 0;
}

static int read_pem(const char *text, unsigned char seed[static TOKEN_SEED_LEN])
{
	const char *begin = strstr(text, pem_begin), *end = strstr(text, pem_end);
	unsigned char der[DER_LEN];
	int status = -1;

	if (!begin || !end || end < begin)
		return -1;
	begin += sizeof(pem_begin) - 1;
	if (!read_base64(begin, (size_t)(end - begin), sodium_base64_VARIANT_ORIGINAL, der, sizeof(der)) &&
		memcmp(der, der_head, sizeof(der_head)) == 0) {
		memcpy(seed, der + sizeof(der_head), TOKEN_SEED_LEN);
		status = 0;
	}
	sodium_memzero(der, sizeof(der));
	return status;
}

int private_key_read(const char *text, unsigned char seed[static TOKEN_SEED_LEN])
{
	static const int variants[] = { sodium_base64_VARIANT_ORIGINAL, sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
		sodium_base64_VARIANT_URLSAFE, sodium_base64_VARIANT_URLSAFE_NO_PADDING };
	unsigned char bytes[TOKEN_SEED_LEN];

	if (strstr(text, "-----"))
		return read_pem(text, seed);
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
		if (!read_base64(text, strlen(text), variants[i], bytes, sizeof(bytes))) {
			memcpy(seed, bytes, sizeof(bytes));
			sodium_memzero(bytes, sizeof(bytes));
			return 0;
		}
	return -1;
}
