#!/bin/sh
# image-root.sh BINARY DIR: the root file system of an image that runs this binary and nothing else: the binary, the libraries it
# needs, the loader, certificates, and a user without rights.
set -eu

binary=$1 root=$2
mkdir -p "$root/usr/bin" "$root/etc/ssl/certs"
cp "$binary" "$root/usr/bin/"
ldd "$binary" | sed -n 's,.*[ 	]\(/[^ ]*\) (0x.*,\1,p' | while read -r library; do
	mkdir -p "$root$(dirname "$library")"
	cp -L "$library" "$root$library"
done
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
echo 'garrison:x:65532:65532:garrison:/:/sbin/nologin' >"$root/etc/passwd"
echo 'garrison:x:65532:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
# Times of files are those of the source, so that the same source gives the same layers.
find "$root" -exec touch -h -d "@${SOURCE_DATE_EPOCH:-0}" {} +
