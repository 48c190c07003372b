/* HMAC-SHA256 (FIPS 180-4, RFC 2104), for nonces: so small that it needs no library. */
#ifndef TURND_SHA256_H
#define TURND_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32
#define SHA256_BLOCK 64

/* A key made ready: the states after its inner and its outer block. */
typedef struct {
    uint32_t inner[8], outer[8];
} hmac_key_t;

void hmac_key(hmac_key_t *ready, const uint8_t *key, size_t size);

/* `text` has at most `HMAC_TEXT` bytes. */
#define HMAC_TEXT 512
void hmac_sha256(const hmac_key_t *ready, const uint8_t *text, size_t size,
                 uint8_t digest[SHA256_SIZE]);

#endif
