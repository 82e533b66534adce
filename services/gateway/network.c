#include "network.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define IPV4_PREFIX_BITS 96

static struct address from_ipv4(const struct in_addr *ip)
{
	struct address address = { 0 };

	address.ip.s6_addr[10] = address.ip.s6_addr[11] = 0xff;
	memcpy(&address.ip.s6_addr[12], ip, sizeof(*ip));
	return address;
}

struct address address_of_peer(const struct sockaddr *peer)
{
	struct address address = { 0 };

	if (peer->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, peer, sizeof(in));
		return from_ipv4(&in.sin_addr);
	}
	if (peer->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, peer, sizeof(in6));
		address.ip = in6.sin6_addr;
	}
	return address;
}

static bool all_digits(const char *text)
{
	return *text && text[strspn(text, "0123456789")] == '\0';
}

/* Cuts a port off, where there is one; false when there is something else. */
static bool cut_port(char **text)
{
	char *end;

	if (**text == '[') {
		end = strchr(*text, ']');
		if (!end || (end[1] && (end[1] != ':' || !all_digits(end + 2))))
			return false;
		*end = '\0';
		(*text)++;
		return strchr(*text, ':') != NULL;
	}
	end = strchr(*text, ':');
	if (end && !strchr(end + 1, ':')) {
		if (!all_digits(end + 1))
			return false;
		*end = '\0';
	}
	return true;
}

static int parse_bare(const char *text, struct address *out)
{
	struct in_addr ipv4;
	struct in6_addr ipv6;

	if (inet_pton(AF_INET, text, &ipv4) == 1)
		*out = from_ipv4(&ipv4);
	else if (inet_pton(AF_INET6, text, &ipv6) == 1)
		out->ip = ipv6;
	else
		return -1;
	return 0;
}

int address_parse(const char *text, size_t len, struct address *out)
{
	char copy[ADDRESS_TEXT_MAX + 10], *at = copy;

	if (len >= sizeof(copy) || memchr(text, '\0', len))
		return -1;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return cut_port(&at) ? parse_bare(at, out) : -1;
}

char *address_format(const struct address *address, char buffer[static ADDRESS_TEXT_MAX])
{
	if (IN6_IS_ADDR_V4MAPPED(&address->ip))
		inet_ntop(AF_INET, &address->ip.s6_addr[12], buffer, ADDRESS_TEXT_MAX);
	else
		inet_ntop(AF_INET6, &address->ip, buffer, ADDRESS_TEXT_MAX);
	return buffer;
}

bool address_equal(const struct address *a, const struct address *b)
{
	return memcmp(&a->ip, &b->ip, sizeof(a->ip)) == 0;
}

int network_parse(const char *text, struct network *out)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	struct network network = { .bits = 128 };
	char copy[ADDRESS_TEXT_MAX];

	if (len >= sizeof(copy))
		return -1;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (parse_bare(copy, &network.base))
		return -1;
	if (slash) {
		bool ipv4 = strchr(copy, ':') == NULL;
		unsigned long bits = strtoul(slash + 1, NULL, 10);

		if (!all_digits(slash + 1) || strlen(slash + 1) > 3 || bits > (ipv4 ? 32 : 128))
			return -1;
		network.bits = (unsigned)bits + (ipv4 ? IPV4_PREFIX_BITS : 0);
	}
	*out = network;
	return 0;
}

static bool has(const struct network *network, const struct address *address)
{
	unsigned bytes = network->bits / 8, rest = network->bits % 8;
	unsigned char mask = (unsigned char)(0xff00 >> rest);

	if (memcmp(&network->base.ip, &address->ip, bytes) != 0)
		return false;
	return rest == 0 || ((network->base.ip.s6_addr[bytes] ^ address->ip.s6_addr[bytes]) & mask) == 0;
}

bool network_has(const struct network *networks, size_t n, const struct address *address)
{
	for (size_t i = 0; i < n; i++)
		if (has(&networks[i], address))
			return true;
	return false;
}

struct address client_address(
	const struct address *peer, const char *forwarded, const struct network *trusted, size_t n_trusted)
{
	struct address client = *peer;
	const char *end = forwarded ? forwarded + strlen(forwarded) : NULL;

	while (end && end > forwarded && network_has(trusted, n_trusted, &client)) {
		const char *begin = end, *last = end;

		while (begin > forwarded && begin[-1] != ',')
			begin--;
		end = begin > forwarded ? begin - 1 : begin;
		while (begin < last && (*begin == ' ' || *begin == '\t'))
			begin++;
		while (last > begin && (last[-1] == ' ' || last[-1] == '\t'))
			last--;
		if (address_parse(begin, (size_t)(last - begin), &client))
			break;
	}
	return client;
}
