/* An Ed25519 private key as operators write it. */
#ifndef GARRISON_AUTH_PRIVATE_KEY_H
#define GARRISON_AUTH_PRIVATE_KEY_H

#include "token.h"

/*
 * Reads PEM (PKCS #8, as `openssl genpkey -algorithm ed25519` writes it), or the seed's 32 bytes in base64 or base64url. 0, or -1 and
 * seed untouched. Any thread.
 */
int private_key_read(const char *text, unsigned char seed[static TOKEN_SEED_LEN]);

#endif
