/* link: services/gateway/network.c */
#include <arpa/inet.h>
#include <string.h>

#include "services/gateway/network.h"
#include "tests/unit/check.h"

static struct address address(const char *text)
{
	struct address found = { 0 };

	CHECK_INT(address_parse(text, strlen(text), &found), 0);
	return found;
}

static bool parses(const char *text)
{
	struct address found;

	return address_parse(text, strlen(text), &found) == 0;
}

static void addresses_are_read_as_proxies_write_them(void)
{
	char buffer[ADDRESS_TEXT_MAX];
	struct address v4 = address("1.2.3.4"), with_port = address("1.2.3.4:5678"), mapped = address("::ffff:1.2.3.4");
	struct address v6 = address("2001:db8::1"), bracketed = address("[2001:db8::1]"),
		       v6_port = address("[2001:DB8::1]:443");

	CHECK(address_equal(&v4, &with_port));
	CHECK(address_equal(&v4, &mapped));
	CHECK(address_equal(&v6, &bracketed));
	CHECK(address_equal(&v6, &v6_port));
	CHECK(!address_equal(&v4, &v6));
	CHECK_STR(address_format(&v4, buffer), "1.2.3.4");
	CHECK_STR(address_format(&v6_port, buffer), "2001:db8::1");
}

static void what_is_no_address(void)
{
	static const char *const texts[] = { "", " ", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "256.1.1.1",
		"1.2.3.4:", "1.2.3.4:x", "[::1", "[::1]x", "[::1]:", "[1.2.3.4]", "::g", "1.2.3.4 ",
		"1:2:3:4:5:6:7:8:9",
		"11111111111111111111111111111111111111111111111111111111111111111111111111111111" };
	struct address found;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (!CHECK(!parses(texts[i])))
			CHECK_STR(texts[i], NULL);
	CHECK_INT(address_parse("1.2.3.4\0", 8, &found), -1);
}

static bool covers(const char *network_text, const char *address_text)
{
	struct network network;
	struct address one = address(address_text);

	if (!CHECK_INT(network_parse(network_text, &network), 0))
		return false;
	return network_has(&network, 1, &one);
}

static void networks_cover_their_addresses(void)
{
	CHECK(covers("10.0.0.0/8", "10.255.1.2"));
	CHECK(!covers("10.0.0.0/8", "11.0.0.0"));
	CHECK(covers("10.1.2.0/23", "10.1.3.255"));
	CHECK(!covers("10.1.2.0/23", "10.1.4.0"));
	CHECK(covers("10.1.2.3", "10.1.2.3"));
	CHECK(!covers("10.1.2.3", "10.1.2.2"));
	CHECK(covers("0.0.0.0/0", "203.0.113.9"));
	CHECK(!covers("0.0.0.0/0", "2001:db8::1"));
	CHECK(covers("::/0", "2001:db8::1"));
	CHECK(covers("fd00::/8", "fd12::1"));
	CHECK(!covers("fd00::/8", "fe80::1"));
	CHECK(covers("::1", "::1"));
	CHECK(covers("2001:db8::/127", "2001:db8::1"));
	CHECK(!covers("2001:db8::/127", "2001:db8::2"));
}

static void what_is_no_network(void)
{
	static const char *const texts[] = { "", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x",
		"::/129", "10.0.0.0/0008", "[::1]", "1.2.3.4:80", "example.org", "10.0.0.0/8/8" };
	struct network network;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (!CHECK(network_parse(texts[i], &network) == -1))
			CHECK_STR(texts[i], NULL);
}

static void check_client(const char *peer, const char *forwarded, const char *expected)
{
	char buffer[ADDRESS_TEXT_MAX];
	struct network trusted[2];
	struct address from = address(peer), client;

	CHECK_INT(network_parse("10.0.0.0/8", &trusted[0]), 0);
	CHECK_INT(network_parse("192.168.7.7", &trusted[1]), 0);
	client = client_address(&from, forwarded, trusted, 2);
	CHECK_STR(address_format(&client, buffer), expected);
}

static void the_client_is_the_first_that_no_trusted_proxy_vouches_for(void)
{
	check_client("203.0.113.1", "1.1.1.1", "203.0.113.1");
	check_client("10.0.0.1", NULL, "10.0.0.1");
	check_client("10.0.0.1", "", "10.0.0.1");
	check_client("10.0.0.1", "1.1.1.1", "1.1.1.1");
	check_client("10.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1");
	check_client("10.0.0.1", "6.6.6.6,1.1.1.1 ,\t192.168.7.7 , 10.2.3.4", "1.1.1.1");
	check_client("10.0.0.1", "10.0.0.9, 10.0.0.8", "10.0.0.9");
	check_client("10.0.0.1", "1.1.1.1, nonsense", "10.0.0.1");
	check_client("10.0.0.1", "1.1.1.1, nonsense, 10.0.0.2", "10.0.0.2");
	check_client("10.0.0.1", ",", "10.0.0.1");
	check_client("10.0.0.1", "[2001:db8::5]:1234", "2001:db8::5");
}

static void peers_of_any_family(void)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr local = { .sa_family = AF_UNIX };
	struct address none = { 0 }, expected = address("127.0.0.1"), found;

	v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	found = address_of_peer((const struct sockaddr *)&v4);
	CHECK(address_equal(&found, &expected));
	expected = address("::1");
	found = address_of_peer((const struct sockaddr *)&v6);
	CHECK(address_equal(&found, &expected));
	found = address_of_peer(&local);
	CHECK(address_equal(&found, &none));
}

static const struct check_test tests[] = {
	CHECK_TEST(addresses_are_read_as_proxies_write_them),
	CHECK_TEST(what_is_no_address),
	CHECK_TEST(networks_cover_their_addresses),
	CHECK_TEST(what_is_no_network),
	CHECK_TEST(the_client_is_the_first_that_no_trusted_proxy_vouches_for),
	CHECK_TEST(peers_of_any_family),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}
