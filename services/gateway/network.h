/* Addresses, networks, and whose address a request that came through proxies is from. Pure. */
#ifndef GATEWAY_NETWORK_H
#define GATEWAY_NETWORK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* IPv4 addresses are kept as IPv4-mapped IPv6. */
struct address {
	struct in6_addr ip;
};
#define ADDRESS_TEXT_MAX 46

struct network {
	struct address base;
	unsigned bits; /* of 128 */
};

/* The address of a peer; all zeros for a family other than IPv4 and IPv6. Any thread. */
struct address address_of_peer(const struct sockaddr *peer);
/* Reads "1.2.3.4", "::1", also "1.2.3.4:5678" and "[::1]:5678" as proxies write them. 0/-1 and *out untouched. Any thread. */
int address_parse(const char *text, size_t len, struct address *out);
/* Writes it, IPv4 in its own form; returns buffer. Any thread. */
char *address_format(const struct address *address, char buffer[static ADDRESS_TEXT_MAX]);
bool address_equal(const struct address *a, const struct address *b);

/* Reads "10.0.0.0/8", "fd00::/8" or one address. 0/-1. Any thread. */
int network_parse(const char *text, struct network *out);
bool network_has(const struct network *networks, size_t n, const struct address *address);

/*
 * Whose request it is: forwarded is X-Forwarded-For (several header lines joined by commas), or NULL. From the right, entries are
 * believed as long as they were written by a trusted proxy: the first address that is not trusted is the client; what is no
 * address ends the walk. Any thread.
 */
struct address client_address(
	const struct address *peer, const char *forwarded, const struct network *trusted, size_t n_trusted);

#endif
