/* Answers to clients without an allocation that need no judgement: how many, and in what form.
 *
 * One budget for each source prefix, whatever is answered, as turnd/core/rate_limit.py has it.
 */
#include <stdlib.h>

#include "engine.h"
#include "wire.h"

#define PREFIXES 4096 /* as many as turnd/core/rate_limit.py has, for the same reason */
#define FINGERPRINT_XOR 0x5354554eu

static uint32_t crc_table[256];

static void fill_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        crc_table[i] = crc;
    }
}

bool strangers_init(engine_t *engine) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_table);
    engine->answer_times = calloc(PREFIXES, sizeof *engine->answer_times);
    return engine->answer_times != NULL;
}

static uint32_t fingerprint(const uint8_t *data, uint32_t size) {
    uint32_t crc = 0xffffffffu;
    for (uint32_t i = 0; i < size; i++) crc = crc >> 8 ^ crc_table[(crc ^ data[i]) & 0xff];
    return ~crc ^ FINGERPRINT_XOR;
}

bool strangers_check_fingerprint(const uint8_t *data, uint32_t size, uint32_t offset,
                                 uint32_t length) {
    /* RFC 8489 §14.7: the last one. */
    return length == 4 && offset + FINGERPRINT_SIZE == size &&
           get32(data + offset + 4) == fingerprint(data, offset);
}

/* Take one answer out of a prefix's budget. What is kept is the time at which all answers given
 * will have been paid for (the virtual scheduling form of a token bucket): one word, so that
 * shards need no lock. */
static bool take(shard_t *shard, const addr_t *client) {
    engine_t *engine = shard->engine;
    uint32_t index = table_hash(client->ip, client->family == IPV4 ? 3 : 7) % PREFIXES;
    _Atomic int64_t *paid = &engine->answer_times[index];
    int64_t then = atomic_load_explicit(paid, memory_order_relaxed);
    int64_t next;
    do {
        int64_t start = then > shard->now ? then : shard->now;
        next = start + engine->answer_interval;
        if (next - shard->now > engine->answer_burst) return false;
    } while (!atomic_compare_exchange_weak_explicit(paid, &then, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

bool strangers_may_have(shard_t *shard, const five_tuple_t *from) {
    /* A client with an allocation is never silenced. */
    return !shard->engine->answer_interval || table_find(&shard->clients, from) ||
           take(shard, &from->client);
}

void strangers_send(const listener_t *listener, const five_tuple_t *from, message_t *message,
                    uint8_t *start, uint8_t *end, bool signs) {
    if (signs) {
        put16(start + 2, (uint32_t)(end - start) - STUN_HEADER + FINGERPRINT_SIZE);
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
}
