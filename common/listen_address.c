#include "listen_address.h"

#include <stdlib.h>
#include <string.h>

#define HOST_MAX 256
#define PORT_MAX 65535
#define PORT_DIGITS_MAX 5

static int split(const char *text, char host[static HOST_MAX], const char **port)
{
	const char *colon = strrchr(text, ':');
	size_t len;

	if (!colon || !colon[1])
		return -1;
	len = (size_t)(colon - text);
	if (len >= 2 && text[0] == '[' && colon[-1] == ']') {
		text++;
		len -= 2;
	}
	if (len >= HOST_MAX)
		return -1;
	memcpy(host, text, len);
	host[len] = '\0';
	*port = colon + 1;
	return 0;
}

/* getaddrinfo() takes any number and goes on with its last 16 bits. */
static bool is_port(const char *text)
{
	size_t len = strspn(text, "0123456789");

	return len > 0 && len <= PORT_DIGITS_MAX && !text[len] && strtol(text, NULL, 10) <= PORT_MAX;
}

int listen_address(const char *text, struct addrinfo **found, struct error *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	char host[HOST_MAX];
	const char *port;
	int status;

	if (split(text, host, &port))
		return error_set(err, CODE_INVALID_PAYLOAD, "\"%s\" is not host:port", text);
	if (!is_port(port))
		return error_set(err, CODE_INVALID_PAYLOAD, "\"%s\": a port is a number from 0 to 65535", text);
	status = getaddrinfo(*host ? host : NULL, port, &hints, found);
	if (status)
		return error_set(err, CODE_INVALID_PAYLOAD, "\"%s\": %s", text, gai_strerror(status));
	return 0;
}
