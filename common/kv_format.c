#include "kv_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One letter, digits, CR LF: "*3\r\n", "$11\r\n". */
static void put_header(struct text *out, char kind, size_t n)
{
	char digits[24], *p = digits + sizeof(digits);
	*--p = '\n';
	*--p = '\r';
	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	*--p = kind;
	text_add(out, p, (size_t)(digits + sizeof(digits) - p));
}

void kv_format_count(struct text *out, size_t n)
{
	put_header(out, '*', n);
}

void kv_format_argument(struct text *out, const void *bytes, size_t len)
{
	put_header(out, '$', len);
	if (len)
		text_add(out, bytes, len);
	text_add(out, "\r\n", 2);
}

void kv_format_args(struct text *out, size_t n, const char *const *arguments, const size_t *lens)
{
	kv_format_count(out, n);
	for (size_t i = 0; i < n; i++)
		kv_format_argument(out, arguments[i], lens ? lens[i] : strlen(arguments[i]));
}

/* The shortest text that reads back the same. */
static void put_double(struct text *argument, double value)
{
	char text[40];
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(text, sizeof(text), "%.*g", precision, value);
		if (strtod(text, NULL) == value)
			break;
	}
	text_str_add(argument, text);
}

static const char *skip_space(const char *format)
{
	return format + strspn(format, " \t\n");
}

/* The length of the conversion that begins here; unknown ones: BUG(). */
static size_t conversion_length(const char *format)
{
	if (strncmp(format, "%lld", 4) == 0 || strncmp(format, "%llu", 4) == 0)
		return 4;
	if (!format[1] || !strchr("sbdf%", format[1]))
		BUG("Redis command with an unknown conversion: %s", format);
	return 2;
}

/* An argument is literal text and data, up to white space. */
static void put_arguments(struct text *out, const char *format, va_list ap)
{
	CLEANUP(text_release) struct text argument = { 0 };
	for (; *format; format = skip_space(format)) {
		text_reset(&argument);
		while (*format && !strchr(" \t\n", *format)) {
			size_t len = *format == '%' ? conversion_length(format) : strcspn(format, "% \t\n");
			if (*format != '%')
				text_add(&argument, format, len);
			else if (len == 4 && format[3] == 'd')
				text_printf(&argument, "%lld", va_arg(ap, long long));
			else if (len == 4)
				text_printf(&argument, "%llu", va_arg(ap, unsigned long long));
			else if (format[1] == 's')
				text_str_add(&argument, va_arg(ap, const char *));
			else if (format[1] == 'd')
				text_printf(&argument, "%d", va_arg(ap, int));
			else if (format[1] == 'f')
				put_double(&argument, va_arg(ap, double));
			else if (format[1] == '%')
				text_char(&argument, '%');
			else {
				const void *bytes = va_arg(ap, const void *);
				text_add(&argument, bytes, va_arg(ap, size_t));
			}
			format += len;
		}
		kv_format_argument(out, text_str(&argument), argument.len);
	}
}

void kv_format(struct text *out, const char *format, va_list ap)
{
	size_t n = 0;
	format = skip_space(format);
	for (const char *f = format; *f; f = skip_space(f + strcspn(f, " \t\n")))
		n++;
	if (n == 0)
		BUG("an empty Redis command");
	kv_format_count(out, n);
	put_arguments(out, format, ap);
}
