/* The few STUN messages a load generator needs: build, sign, read (RFC 8489, RFC 8656). */
#ifndef BENCH_STUN_H
#define BENCH_STUN_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STUN_HEADER = 20,
    STUN_MAX = 2048,

    BINDING = 0x0001,
    ALLOCATE = 0x0003,
    REFRESH = 0x0004,
    SEND_INDICATION = 0x0016,
    DATA_INDICATION = 0x0017,
    CREATE_PERMISSION = 0x0008,
    CHANNEL_BIND = 0x0009,
    SUCCESS = 0x0100,
    FAILURE = 0x0110,

    ATTR_USERNAME = 0x0006,
    ATTR_MESSAGE_INTEGRITY = 0x0008,
    ATTR_ERROR_CODE = 0x0009,
    ATTR_CHANNEL_NUMBER = 0x000C,
    ATTR_LIFETIME = 0x000D,
    ATTR_XOR_PEER_ADDRESS = 0x0012,
    ATTR_DATA = 0x0013,
    ATTR_REALM = 0x0014,
    ATTR_NONCE = 0x0015,
    ATTR_XOR_RELAYED_ADDRESS = 0x0016,
    ATTR_REQUESTED_TRANSPORT = 0x0019,
    ATTR_XOR_MAPPED_ADDRESS = 0x0020,
};

/* A message under construction; `size` is what is filled of `bytes`. */
struct message {
    uint8_t bytes[STUN_MAX];
    size_t size;
};

/* What a server told in its 401 or 438, and the key made from it. */
struct credential {
    char realm[128];
    uint8_t nonce[512];
    size_t nonce_size;
    uint8_t key[16];
};

/* One attribute found in a message. */
struct attribute {
    const uint8_t *value;
    size_t size;
};

uint16_t read_u16(const uint8_t *from);
uint32_t read_u32(const uint8_t *from);
void write_u16(uint8_t *to, uint16_t value);
void write_u32(uint8_t *to, uint32_t value);

/* Begin a message of this type with a new transaction ID. */
void stun_begin(struct message *message, uint16_t type);

/* Give a message another transaction ID, as each request needs one. */
void stun_renew(struct message *message);
void stun_add(struct message *message, uint16_t type, const void *value, size_t size);
void stun_add_u32(struct message *message, uint16_t type, uint32_t value);
void stun_add_address(struct message *message, uint16_t type, const struct sockaddr_in *address);

/* Add USERNAME, REALM, NONCE and, last, MESSAGE-INTEGRITY (SHA-1, MD5 key). */
void stun_sign(struct message *message, const char *user, const struct credential *credential);

/* 1 if these bytes are a whole STUN message answering `request`. */
int stun_answers(const uint8_t *bytes, size_t size, const struct message *request);

/* 1 if found; attributes that reach over the end are not found. */
int stun_find(const uint8_t *bytes, size_t size, uint16_t type, struct attribute *found);

/* The ERROR-CODE as one number (401), or 0 if there is none. */
int stun_error(const uint8_t *bytes, size_t size);

/* 1 if the attribute is there and holds an IPv4 address. */
int stun_address(const uint8_t *bytes, size_t size, uint16_t type, struct sockaddr_in *address);

/* Take realm and nonce out of an error response and make the long-term key; 1 if both were there. */
int stun_challenge(const uint8_t *bytes, size_t size, const char *user, const char *password,
                   struct credential *credential);

#endif
