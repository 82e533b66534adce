#!/bin/sh
# embed.sh SYMBOL FILE [SYMBOL FILE ...]: assembler source that holds each file as read-only data, ended by a NUL:
#
#   extern const char SYMBOL[];
#   extern const size_t SYMBOL_len;     without the NUL
set -eu

echo '	.section .rodata'
while [ $# -gt 0 ]; do
	cat <<-END
		.global	$1
		.global	$1_len
		.type	$1, %object
		.type	$1_len, %object
		.balign	16
		$1:
		.incbin	"$2"
		1:
		.byte	0
		.size	$1, . - $1
		.balign	8
		$1_len:
		.quad	1b - $1
		.size	$1_len, 8
	END
	shift 2
done
echo '	.section .note.GNU-stack, "", %progbits'
