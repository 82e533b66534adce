#include "utf8.h"

static bool continues(unsigned char byte, unsigned char least, unsigned char most)
{
	return byte >= least && byte <= most;
}

size_t utf8_step(const char *text, size_t len)
{
	unsigned char first, least = 0x80, most = 0xbf;
	size_t n;

	if (!len)
		return 0;
	first = (unsigned char)text[0];
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		n = 2;
	else if ((first & 0xf0) == 0xe0)
		n = 3;
	else if (first >= 0xf0 && first <= 0xf4)
		n = 4;
	else
		return 0;
	/* The second byte rules out overlong forms, surrogates and what lies past U+10FFFF. */
	if (first == 0xe0)
		least = 0xa0;
	else if (first == 0xed)
		most = 0x9f;
	else if (first == 0xf0)
		least = 0x90;
	else if (first == 0xf4)
		most = 0x8f;
	if (len < n || !continues((unsigned char)text[1], least, most))
		return 0;
	for (size_t i = 2; i < n; i++)
		if (!continues((unsigned char)text[i], 0x80, 0xbf))
			return 0;
	return n;
}

bool utf8_valid(const char *text, size_t len)
{
	while (len) {
		size_t step = utf8_step(text, len);

		if (!step)
			return false;
		text += step;
		len -= step;
	}
	return true;
}

size_t utf8_length(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

size_t utf8_cut(const char *text, size_t max)
{
	size_t len = 0;

	while (len <= max && text[len])
		len++;
	if (len <= max)
		return len;
	len = max;
	while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	return len;
}
