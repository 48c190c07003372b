/* Binding requests that ask for nothing but an address (RFC 8489 §3), answered on the spot.
 *
 * Whatever is odd about a request (an integrity attribute, one for NAT behaviour discovery,
 * one that must be understood and is not, a wrong FINGERPRINT) is left to the core, which
 * knows the answer; so is everything while the core wants to see all of them.
 */
#include <stdlib.h>

#include "engine.h"
#include "wire.h"

#define PREFIXES 4096 /* as many as turnd/core/rate_limit.py has, for the same reason */
#define FINGERPRINT_SIZE 8
#define FINGERPRINT_XOR 0x5354554eu

static uint32_t crc_table[256];

bool binding_init(engine_t *engine) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        crc_table[i] = crc;
    }
    engine->binding_times = calloc(PREFIXES, sizeof *engine->binding_times);
    return engine->binding_times != NULL;
}

static uint32_t fingerprint(const uint8_t *data, uint32_t size) {
    uint32_t crc = 0xffffffffu;
    for (uint32_t i = 0; i < size; i++) crc = crc >> 8 ^ crc_table[(crc ^ data[i]) & 0xff];
    return ~crc ^ FINGERPRINT_XOR;
}

/* Whether all that counts in the request is its header; and whether it has a FINGERPRINT. */
static bool is_plain(const engine_t *engine, const uint8_t *data, uint32_t size, bool *signs) {
    *signs = false;
    for (uint32_t offset = STUN_HEADER; offset < size;) {
        if (size - offset < 4) return false;
        uint16_t type = get16(data + offset);
        uint32_t length = get16(data + offset + 2);
        if (length + padding(length) > size - offset - 4) return false;
        if (type == ATTRIBUTE_FINGERPRINT) {
            /* RFC 8489 §14.7: the last one. */
            if (length != 4 || offset + FINGERPRINT_SIZE != size) return false;
            if (get32(data + offset + 4) != fingerprint(data, offset)) return false;
            *signs = true;
        } else if (type < 0x8000 && !engine->known_attributes[type]) {
            return false;
        } else if (type == ATTRIBUTE_MESSAGE_INTEGRITY ||
                   type == ATTRIBUTE_MESSAGE_INTEGRITY_SHA256 || type == ATTRIBUTE_CHANGE_REQUEST ||
                   type == ATTRIBUTE_RESPONSE_PORT || type == ATTRIBUTE_PADDING) {
            return false;
        }
        offset += 4 + length + padding(length);
    }
    return true;
}

/* Take one answer out of a prefix's budget. What is kept is the time at which all answers given
 * will have been paid for (the virtual scheduling form of a token bucket): one word, so that
 * shards need no lock. */
static bool may_answer(shard_t *shard, const addr_t *client) {
    engine_t *engine = shard->engine;
    uint32_t index = table_hash(client->ip, client->family == IPV4 ? 3 : 7) % PREFIXES;
    _Atomic int64_t *paid = &engine->binding_times[index];
    int64_t then = atomic_load_explicit(paid, memory_order_relaxed);
    int64_t next;
    do {
        int64_t start = then > shard->now ? then : shard->now;
        next = start + engine->binding_interval;
        if (next - shard->now > engine->binding_burst) return false;
    } while (!atomic_compare_exchange_weak_explicit(paid, &then, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

/* Answer, or drop and count; false: it is for the core. */
bool binding_answer(shard_t *shard, listener_t *listener, const five_tuple_t *from,
                    const uint8_t *data, uint32_t size) {
    bool signs;
    if (!is_plain(shard->engine, data, size, &signs)) return false;
    /* A client with an allocation is never silenced. */
    if (shard->engine->binding_interval && !table_find(&shard->clients, from) &&
        !may_answer(shard, &from->client)) {
        shard->bindings_limited++;
        return true;
    }
    message_t *message = batch_add(shard, &listener->queue);
    uint8_t *start = message->header;
    uint8_t *end = start + STUN_HEADER;
    memcpy(start + 4, data + 4, 16);
    end = wire_xor_address(end, ATTRIBUTE_XOR_MAPPED_ADDRESS, &from->client, start);
    uint32_t length = (uint32_t)(end - start) - STUN_HEADER + (signs ? FINGERPRINT_SIZE : 0);
    wire_header(start, TYPE_BINDING_SUCCESS, length, data + 8);
    if (signs) {
        uint32_t crc = fingerprint(start, (uint32_t)(end - start));
        put16(end, ATTRIBUTE_FINGERPRINT);
        put16(end + 2, 4);
        put32(end + 4, crc);
        end += FINGERPRINT_SIZE;
    }
    message->parts[0] = (struct iovec){start, (size_t)(end - start)};
    message->parts[1] = message->parts[2] = (struct iovec){0};
    message->to = from->client;
    message->from = (addr_t){.family = 0xff};
    if (listener->wildcard) message->from = from->server;
    message->allocation = NULL;
    message->size = (uint32_t)(end - start);
    message->payload = 0;
    message->tos = 0;
    message->df = false;
    message->inside = false;
    message->direction = TO_CLIENT;
    shard->bindings++;
    return true;
}
