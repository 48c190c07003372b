#include "sha256.h"

#include <string.h>

static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t word, int bits) { return word >> bits | word << (32 - bits); }

static void compress(uint32_t state[8], const uint8_t block[SHA256_BLOCK]) {
    uint32_t schedule[64], s[8];
    for (int i = 0; i < 16; i++)
        schedule[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
                      (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = schedule[i - 15], b = schedule[i - 2];
        schedule[i] = schedule[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
                      schedule[i - 7] + (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
        uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        uint32_t one = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) + choice +
                       constants[i] + schedule[i];
        uint32_t two = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) + majority;
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += one;
        s[0] = one + two;
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
}

static void put(const uint32_t state[8], uint8_t digest[SHA256_SIZE]) {
    for (int i = 0; i < SHA256_SIZE; i++) digest[i] = (uint8_t)(state[i / 4] >> (24 - i % 4 * 8));
}

/* Hash what is left, `before` bytes having been hashed into the state. */
static void finish(uint32_t state[8], size_t before, const uint8_t *text, size_t size,
                   uint8_t digest[SHA256_SIZE]) {
    uint8_t block[SHA256_BLOCK];
    uint64_t bits = (uint64_t)(before + size) * 8;
    for (; size >= SHA256_BLOCK; text += SHA256_BLOCK, size -= SHA256_BLOCK) compress(state, text);
    memset(block, 0, sizeof block);
    if (size) memcpy(block, text, size);
    block[size] = 0x80;
    if (size >= SHA256_BLOCK - 8) {
        compress(state, block);
        memset(block, 0, sizeof block);
    }
    for (int i = 0; i < 8; i++) block[SHA256_BLOCK - 1 - i] = (uint8_t)(bits >> 8 * i);
    compress(state, block);
    put(state, digest);
}

void hmac_key(hmac_key_t *ready, const uint8_t *key, size_t size) {
    uint8_t block[SHA256_BLOCK] = {0};
    if (size > SHA256_BLOCK) {
        uint32_t state[8];
        memcpy(state, initial, sizeof state);
        finish(state, 0, key, size, block);
    } else if (size) {
        memcpy(block, key, size);
    }
    for (int i = 0; i < SHA256_BLOCK; i++) block[i] ^= 0x36;
    memcpy(ready->inner, initial, sizeof initial);
    compress(ready->inner, block);
    for (int i = 0; i < SHA256_BLOCK; i++) block[i] ^= 0x36 ^ 0x5c;
    memcpy(ready->outer, initial, sizeof initial);
    compress(ready->outer, block);
}

void hmac_sha256(const hmac_key_t *ready, const uint8_t *text, size_t size,
                 uint8_t digest[SHA256_SIZE]) {
    uint32_t state[8];
    uint8_t inner[SHA256_SIZE];
    memcpy(state, ready->inner, sizeof state);
    finish(state, SHA256_BLOCK, text, size, inner);
    memcpy(state, ready->outer, sizeof state);
    finish(state, SHA256_BLOCK, inner, sizeof inner, digest);
}
