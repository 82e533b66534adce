#include "management.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "text.h"

#define CONNECT_TIMEOUT_MS 5000L
#define ANSWER_TIMEOUT_MS 30000L
#define ANSWER_MAX ((size_t)64 << 20)

struct management {
	CURL *curl;
	char *base;  /* without a slash at its end, with the credentials */
	char *vhost; /* escaped */
	char *shown; /* host and port only, for messages */
};

static int unescape(char *text, struct error *err)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		char digits[3] = { 0 };

		if (*from != '%') {
			*to++ = *from;
			continue;
		}
		if (!isxdigit((unsigned char)from[1]) || !isxdigit((unsigned char)from[2]))
			return error_set(err, CODE_INVALID_PAYLOAD,
				"AMQP_URL: a %% in the vhost is not followed by two hex digits");
		memcpy(digits, from + 1, 2);
		*to = (char)strtol(digits, NULL, 16);
		if (!*to)
			return error_set(err, CODE_INVALID_PAYLOAD, "AMQP_URL: the vhost has a %%00");
		to++;
		from += 2;
	}
	*to = '\0';
	return 0;
}

int vhost_of_url(const char *amqp_urls, char vhost[static VHOST_MAX], struct error *err)
{
	const char *authority = strstr(amqp_urls, "://");
	const char *path = authority ? authority + 3 + strcspn(authority + 3, "/,?") : "";
	size_t len = *path == '/' ? strcspn(path + 1, ",?") : 0;

	if (len >= VHOST_MAX)
		return error_set(
			err, CODE_INVALID_PAYLOAD, "AMQP_URL: the vhost is longer than %d bytes", VHOST_MAX - 1);
	if (len == 0) {
		memcpy(vhost, "/", sizeof("/"));
		return 0;
	}
	memcpy(vhost, path + 1, len);
	vhost[len] = '\0';
	return unescape(vhost, err);
}

/* The host and port of a URL, without user and password, by curl's own parser. NULL: no such URL. */
static char *host_of_url(const char *url)
{
	CURLU *parsed = curl_url();
	char *host = NULL, *port = NULL, *shown = NULL;
	struct text text = { 0 };

	if (parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
		curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
		curl_url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK) {
		text_printf(&text, "%s:%s", host, port);
		shown = must_strdup(text_str(&text));
	}
	text_release(&text);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(parsed);
	return shown;
}

struct management *management_new(const char *api_url, const char *vhost, struct error *err)
{
	CLEANUP(management_drop) struct management *management = must_zalloc(sizeof(*management));
	size_t len = strlen(api_url);

	if (strncmp(api_url, "http://", 7) != 0 && strncmp(api_url, "https://", 8) != 0) {
		error_set(err, CODE_INVALID_PAYLOAD, "RABBITMQ_API_URL: must begin with http:// or https://");
		return NULL;
	}
	management->shown = host_of_url(api_url);
	if (!management->shown) {
		error_set(err, CODE_INVALID_PAYLOAD, "RABBITMQ_API_URL: is not a URL");
		return NULL;
	}
	management->curl = curl_easy_init();
	if (!management->curl)
		BUG("curl_easy_init failed");
	management->base = must_strdup(api_url);
	while (len && management->base[len - 1] == '/')
		management->base[--len] = '\0';
	char *escaped = curl_easy_escape(management->curl, vhost, 0);

	if (!escaped)
		BUG("curl_easy_escape failed");
	management->vhost = must_strdup(escaped);
	curl_free(escaped);
	return TAKE(management);
}

void management_free(struct management *management)
{
	if (!management)
		return;
	curl_easy_cleanup(management->curl);
	free(management->base);
	free(management->vhost);
	free(management->shown);
	free(management);
}

static size_t take_answer(char *bytes, size_t size, size_t n, void *arg)
{
	struct text *answer = arg;

	if (answer->len + size * n > ANSWER_MAX)
		return 0;
	text_add(answer, bytes, size * n);
	return size * n;
}

static int fetch(struct management *management, const char *url, struct text *answer, struct error *err)
{
	char reason[CURL_ERROR_SIZE] = "";
	CURL *curl = management->curl;

	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* the environment's proxy is for the world outside */
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ANSWER_TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	CURLcode failed = curl_easy_perform(curl);

	if (failed)
		return error_down(err, STORE_BROKER, "RabbitMQ's management API at %s: %s", management->shown,
			reason[0] ? reason : curl_easy_strerror(failed));
	return 0;
}

static int check_status(struct management *management, struct error *err)
{
	long status = 0;

	curl_easy_getinfo(management->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200)
		return 0;
	if (status == 401 || status == 403)
		return error_set(err, CODE_FORBIDDEN,
			"RabbitMQ's management API at %s refuses this user (%ld): RABBITMQ_API_URL needs one with the "
			"tag "
			"\"monitoring\" and access to the vhost",
			management->shown, status);
	if (status == 404)
		return error_set(err, CODE_NOT_FOUND, "RabbitMQ's management API at %s knows no vhost %s",
			management->shown, management->vhost);
	return error_set(err, status >= 500 ? CODE_UNAVAILABLE : CODE_INTERNAL,
		"RabbitMQ's management API at %s answers %ld", management->shown, status);
}

int management_get(struct management *management, const char *what, const char *query, struct scratch *scratch,
	const cJSON **answer, struct error *err)
{
	CLEANUP(text_release) struct text url = { 0 };
	CLEANUP(text_release) struct text body = { 0 };

	text_printf(&url, "%s/api/%s/%s%s%s", management->base, what, management->vhost, query ? "?" : "",
		query ? query : "");
	if (fetch(management, text_str(&url), &body, err) || check_status(management, err))
		return -1;
	const cJSON *parsed = json_parse(text_str(&body), body.len, scratch, err);

	if (!parsed)
		return error_set(err, CODE_INTERNAL, "RabbitMQ's management API at %s does not answer in JSON",
			management->shown);
	*answer = parsed;
	return 0;
}
