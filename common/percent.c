#include "percent.h"

int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool percent_decode(const char *from, size_t len, bool plus_is_space, char *to)
{
	const char *end = from + len;

	while (from < end) {
		if (*from == '%') {
			int high = end - from > 2 ? hex_digit(from[1]) : -1;
			int low = high < 0 ? -1 : hex_digit(from[2]);

			if (low < 0 || high + low == 0)
				return false;
			*to++ = (char)(high << 4 | low);
			from += 3;
		} else {
			*to++ = *from == '+' && plus_is_space ? ' ' : *from;
			from++;
		}
	}
	*to = '\0';
	return true;
}
