/* The few bytes of STUN that packets are made of (RFC 8489 §5, RFC 8656 §11, §12.4). */
#ifndef TURND_WIRE_H
#define TURND_WIRE_H

#include <string.h>

#include "engine.h"

#define STUN_HEADER 20
#define MAGIC_COOKIE 0x2112A442u
#define TYPE_BINDING_REQUEST 0x0001
#define TYPE_ALLOCATE_REQUEST 0x0003
#define TYPE_ALLOCATE_ERROR 0x0113
#define TYPE_BINDING_SUCCESS 0x0101
#define TYPE_SEND_INDICATION 0x0016
#define TYPE_DATA_INDICATION 0x0017
#define ATTRIBUTE_CHANGE_REQUEST 0x0003
#define ATTRIBUTE_MESSAGE_INTEGRITY 0x0008
#define ATTRIBUTE_MESSAGE_INTEGRITY_SHA256 0x001C
#define ATTRIBUTE_XOR_PEER_ADDRESS 0x0012
#define ATTRIBUTE_DATA 0x0013
#define ATTRIBUTE_REALM 0x0014
#define ATTRIBUTE_DONT_FRAGMENT 0x001A
#define ATTRIBUTE_XOR_MAPPED_ADDRESS 0x0020
#define ATTRIBUTE_PADDING 0x0026
#define ATTRIBUTE_RESPONSE_PORT 0x0027
#define ATTRIBUTE_ICMP 0x8004
#define ATTRIBUTE_FINGERPRINT 0x8028
#define ATTRIBUTE_ORIGIN 0x802F
#define FINGERPRINT_SIZE 8

static inline uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }

static inline uint32_t get32(const uint8_t *at) {
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static inline void put16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void put32(uint8_t *at, uint32_t value) {
    put16(at, value >> 16);
    put16(at + 2, value);
}

static inline uint32_t padding(uint32_t size) { return -size & 3u; }

/* Whether a datagram has a STUN message's shape: bits, cookie, and a length that fits. */
static inline bool wire_is_stun(const uint8_t *data, uint32_t size) {
    return size >= STUN_HEADER && data[0] < 4 && get32(data + 4) == MAGIC_COOKIE &&
           get16(data + 2) % 4 == 0 && get16(data + 2) + (uint32_t)STUN_HEADER == size;
}

/* Whether a stream begins with a whole packet (RFC 8656 §12.5); its size, without and with padding. */
static inline bool wire_packet_frame(const uint8_t *data, uint32_t size, uint32_t *frame,
                                     uint32_t *padded) {
    if (size < 4 || data[0] >= 0x80) return false;
    uint32_t length = get16(data + 2);
    if (data[0] < 0x40) {
        if (get16(data) != TYPE_SEND_INDICATION || length % 4) return false;
        *frame = *padded = STUN_HEADER + length;
    } else {
        *frame = 4 + length;
        *padded = *frame + padding(length);
    }
    return *padded <= size;
}

/* Write a message's header; the transaction id is 12 bytes. */
static inline uint8_t *wire_header(uint8_t *at, uint16_t type, uint32_t length,
                                   const uint8_t *transaction_id) {
    put16(at, type);
    put16(at + 2, length);
    put32(at + 4, MAGIC_COOKIE);
    memcpy(at + 8, transaction_id, 12);
    return at + STUN_HEADER;
}

/* Write an XOR address attribute (RFC 8489 §14.2); `message` is where its message begins. */
static inline uint8_t *wire_xor_address(uint8_t *at, uint16_t type, const addr_t *address,
                                        const uint8_t *message) {
    uint32_t ip_size = address->family == IPV4 ? 4 : 16;
    put16(at, type);
    put16(at + 2, 4 + ip_size);
    at[4] = 0;
    at[5] = address->family == IPV4 ? 1 : 2;
    put16(at + 6, address->port ^ (MAGIC_COOKIE >> 16));
    for (uint32_t i = 0; i < ip_size; i++) at[8 + i] = address->ip[i] ^ message[4 + i];
    return at + 8 + ip_size;
}

/* Read an XOR address attribute's value; false if it is malformed. */
static inline bool wire_read_xor_address(const uint8_t *value, uint32_t size,
                                         const uint8_t *message, addr_t *address) {
    if (size < 8 || (value[1] != 1 && value[1] != 2)) return false;
    uint32_t ip_size = value[1] == 1 ? 4 : 16;
    if (size != 4 + ip_size) return false;
    memset(address, 0, sizeof *address);
    address->family = value[1] == 1 ? IPV4 : IPV6;
    address->port = get16(value + 2) ^ (MAGIC_COOKIE >> 16);
    for (uint32_t i = 0; i < ip_size; i++) address->ip[i] = value[4 + i] ^ message[4 + i];
    return true;
}

#endif
