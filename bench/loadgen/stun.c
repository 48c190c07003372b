#include "stun.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t MAGIC_COOKIE = 0x2112A442;

uint16_t read_u16(const uint8_t *from) { return (uint16_t)(from[0] << 8 | from[1]); }

uint32_t read_u32(const uint8_t *from) {
    return (uint32_t)read_u16(from) << 16 | read_u16(from + 2);
}

void write_u16(uint8_t *to, uint16_t value) {
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

void write_u32(uint8_t *to, uint32_t value) {
    write_u16(to, (uint16_t)(value >> 16));
    write_u16(to + 2, (uint16_t)value);
}

/* Transaction IDs need to differ, not to be secret: this is a load, not a client of a stranger. */
static void fill_transaction_id(uint8_t *to) {
    static uint64_t state;
    if (state == 0) {
        state = (uint64_t)(uintptr_t)&state ^ 0x9E3779B97F4A7C15u;
    }
    for (int word = 0; word < 3; word++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        write_u32(to + 4 * word, (uint32_t)(state >> 32));
    }
}

void stun_begin(struct message *message, uint16_t type) {
    write_u16(message->bytes, type);
    write_u16(message->bytes + 2, 0);
    write_u32(message->bytes + 4, MAGIC_COOKIE);
    stun_renew(message);
    message->size = STUN_HEADER;
}

void stun_renew(struct message *message) { fill_transaction_id(message->bytes + 8); }

void stun_add(struct message *message, uint16_t type, const void *value, size_t size) {
    size_t padded = (size + 3) & ~(size_t)3;
    if (message->size + 4 + padded > STUN_MAX) {
        fprintf(stderr, "loadgen: a STUN message outgrew %d bytes\n", STUN_MAX);
        exit(1);
    }
    uint8_t *to = message->bytes + message->size;
    write_u16(to, type);
    write_u16(to + 2, (uint16_t)size);
    memset(to + 4, 0, padded);
    if (size > 0) {
        memcpy(to + 4, value, size);
    }
    message->size += 4 + padded;
    write_u16(message->bytes + 2, (uint16_t)(message->size - STUN_HEADER));
}

void stun_add_u32(struct message *message, uint16_t type, uint32_t value) {
    uint8_t bytes[4];
    write_u32(bytes, value);
    stun_add(message, type, bytes, sizeof bytes);
}

void stun_add_address(struct message *message, uint16_t type, const struct sockaddr_in *address) {
    uint8_t value[8] = {0, 1};
    write_u16(value + 2, (uint16_t)(ntohs(address->sin_port) ^ (MAGIC_COOKIE >> 16)));
    write_u32(value + 4, ntohl(address->sin_addr.s_addr) ^ MAGIC_COOKIE);
    stun_add(message, type, value, sizeof value);
}

void stun_sign(struct message *message, const char *user, const struct credential *credential) {
    stun_add(message, ATTR_USERNAME, user, strlen(user));
    stun_add(message, ATTR_REALM, credential->realm, strlen(credential->realm));
    stun_add(message, ATTR_NONCE, credential->nonce, credential->nonce_size);
    size_t signed_size = message->size;
    uint8_t digest[20] = {0};
    /* The header's length covers the attribute itself before the HMAC is taken (RFC 8489, 14.5). */
    stun_add(message, ATTR_MESSAGE_INTEGRITY, digest, sizeof digest);
    HMAC(EVP_sha1(), credential->key, sizeof credential->key, message->bytes, signed_size, digest,
         NULL);
    memcpy(message->bytes + signed_size + 4, digest, sizeof digest);
}

int stun_answers(const uint8_t *bytes, size_t size, const struct message *request) {
    return size >= STUN_HEADER && read_u16(bytes + 2) == size - STUN_HEADER &&
           memcmp(bytes + 4, request->bytes + 4, 16) == 0 &&
           (read_u16(bytes) & 0xFEEF) == read_u16(request->bytes);
}

int stun_find(const uint8_t *bytes, size_t size, uint16_t type, struct attribute *found) {
    size_t at = STUN_HEADER;
    while (at + 4 <= size) {
        size_t length = read_u16(bytes + at + 2);
        if (at + 4 + length > size) {
            return 0;
        }
        if (read_u16(bytes + at) == type) {
            *found = (struct attribute){bytes + at + 4, length};
            return 1;
        }
        at += 4 + ((length + 3) & ~(size_t)3);
    }
    return 0;
}

int stun_error(const uint8_t *bytes, size_t size) {
    struct attribute code;
    if (!stun_find(bytes, size, ATTR_ERROR_CODE, &code) || code.size < 4) {
        return 0;
    }
    return (code.value[2] & 7) * 100 + code.value[3];
}

int stun_address(const uint8_t *bytes, size_t size, uint16_t type, struct sockaddr_in *address) {
    struct attribute found;
    if (!stun_find(bytes, size, type, &found) || found.size != 8 || found.value[1] != 1) {
        return 0;
    }
    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_port = htons((uint16_t)(read_u16(found.value + 2) ^ (MAGIC_COOKIE >> 16)));
    address->sin_addr.s_addr = htonl(read_u32(found.value + 4) ^ MAGIC_COOKIE);
    return 1;
}

int stun_challenge(const uint8_t *bytes, size_t size, const char *user, const char *password,
                   struct credential *credential) {
    struct attribute realm, nonce;
    if (!stun_find(bytes, size, ATTR_REALM, &realm) || realm.size >= sizeof credential->realm ||
        !stun_find(bytes, size, ATTR_NONCE, &nonce) || nonce.size > sizeof credential->nonce) {
        return 0;
    }
    int known = strlen(credential->realm) == realm.size &&
                memcmp(credential->realm, realm.value, realm.size) == 0;
    memcpy(credential->nonce, nonce.value, nonce.size);
    credential->nonce_size = nonce.size;
    if (known) {
        return 1;
    }
    memcpy(credential->realm, realm.value, realm.size);
    credential->realm[realm.size] = 0;
    char text[1024];
    int length = snprintf(text, sizeof text, "%s:%s:%s", user, credential->realm, password);
    return length > 0 && (size_t)length < sizeof text &&
           EVP_Digest(text, (size_t)length, credential->key, NULL, EVP_md5(), NULL) == 1;
}
