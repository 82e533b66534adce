#include "pages.h"

#include <microhttpd.h>
#include <sodium.h>
#include <string.h>

#include "answer.h"
#include "openapi.h"
#include "service.h"
#include "token_guard.h"

/* From the build (deploy/embed.sh). */
extern const char docs_html[];
extern const size_t docs_html_len;

#define HASH_TEXT_MAX 64

static struct text openapi;
static char docs_policy[400];

static unsigned write_health(struct text *out, const struct text **whole)
{
	(void)whole;
	text_str_add(out, "{\"status\":\"ok\"}");
	return MHD_HTTP_OK;
}

static unsigned write_readiness(struct text *out, const struct text **whole)
{
	if (!service_is_ready(out))
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	text_reset(out);
	return write_health(out, whole);
}

static unsigned write_openapi(struct text *out, const struct text **whole)
{
	(void)out;
	*whole = &openapi;
	return MHD_HTTP_OK;
}

static unsigned write_docs(struct text *out, const struct text **whole)
{
	static struct text page;

	(void)out;
	/* Never written to: the bytes belong to the program. */
	page = (struct text){ .bytes = (char *)(uintptr_t)docs_html, .len = docs_html_len };
	*whole = &page;
	return MHD_HTTP_OK;
}

static unsigned write_keys(struct text *out, const struct text **whole)
{
	(void)whole;
	token_guard_jwks(out);
	return MHD_HTTP_OK;
}

const struct page health_page = { .content_type = TYPE_JSON, .write = write_health };
const struct page readiness_page = { .content_type = TYPE_JSON, .write = write_readiness, .unready = true };
const struct page openapi_page = { .content_type = TYPE_JSON, .write = write_openapi };
const struct page docs_page = {
	.content_type = "text/html; charset=utf-8", .write = write_docs, .security_policy = docs_policy
};
const struct page jwks_page = { .content_type = TYPE_JSON, .write = write_keys };

/* The hash of the page's one element of this kind, as its security policy names it. */
static const char *hash_of(const char *begin_tag, const char *end_tag, char buffer[static HASH_TEXT_MAX])
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	const char *begin = strstr(docs_html, begin_tag), *end = begin ? strstr(begin, end_tag) : NULL;

	if (!end)
		BUG("docs.html has no %s", begin_tag);
	begin += strlen(begin_tag);
	crypto_hash_sha256(hash, (const unsigned char *)begin, (size_t)(end - begin));
	return sodium_bin2base64(buffer, HASH_TEXT_MAX, hash, sizeof(hash), sodium_base64_VARIANT_ORIGINAL);
}

void pages_make(void)
{
	char script[HASH_TEXT_MAX], style[HASH_TEXT_MAX];

	openapi_write(&openapi);
	snprintf(docs_policy, sizeof(docs_policy),
		"default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; connect-src 'self'; base-uri "
		"'none'; "
		"form-action 'none'; frame-ancestors 'none'",
		hash_of("<script>", "</script>", script), hash_of("<style>", "</style>", style));
}

void pages_release(void)
{
	text_release(&openapi);
	openapi = (struct text){ 0 };
}
