/* The 401 with a nonce that every client's first Allocate gets (RFC 8489 §9.2.4).
 *
 * Its bytes are the core's, but for the transaction id and for when and to whom the nonce was
 * given (turnd/core/nonce.py says what that is). So a storm of strangers costs Python nothing.
 */
#include <time.h>

#include "engine.h"
#include "wire.h"

/* Whether the core would say what it says to everybody; and whether there is a FINGERPRINT. */
static bool is_plain(const uint8_t *data, uint32_t size, bool *signs) {
    *signs = false;
    for (uint32_t offset = STUN_HEADER; offset < size;) {
        if (size - offset < 4) return false;
        uint16_t type = get16(data + offset);
        uint32_t length = get16(data + offset + 2);
        if (length + padding(length) > size - offset - 4) return false;
        if (type == ATTRIBUTE_FINGERPRINT) {
            if (!strangers_check_fingerprint(data, size, offset, length)) return false;
            *signs = true;
        } else if (type == ATTRIBUTE_MESSAGE_INTEGRITY ||
                   type == ATTRIBUTE_MESSAGE_INTEGRITY_SHA256 || type == ATTRIBUTE_REALM ||
                   type == ATTRIBUTE_ORIGIN) {
            return false;
        }
        offset += 4 + length + padding(length);
    }
    return true;
}

static uint8_t *put_base64(uint8_t *at, const uint8_t *data, uint32_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (; size >= 3; size -= 3, data += 3) { /* there is no rest: a nonce's body is 15 bytes */
        uint32_t bits = (uint32_t)data[0] << 16 | (uint32_t)data[1] << 8 | data[2];
        for (int shift = 18; shift >= 0; shift -= 6) *at++ = (uint8_t)digits[bits >> shift & 63];
    }
    return at;
}

static uint8_t *put_nonce(uint8_t *at, const challenge_t *challenge, const addr_t *client) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint8_t text[HMAC_TEXT], body[NONCE_TIME + SHA256_SIZE];
    for (int i = 0; i < NONCE_TIME; i++)
        body[i] = (uint8_t)((uint64_t)now.tv_sec >> 8 * (NONCE_TIME - 1 - i));
    uint32_t ip_size = client->family == IPV4 ? 4 : 16;
    uint8_t *end = text;
    end = (uint8_t *)memcpy(end, body, NONCE_TIME) + NONCE_TIME;
    end = (uint8_t *)memcpy(end, challenge->features, sizeof challenge->features) +
          sizeof challenge->features;
    end = (uint8_t *)memcpy(end, client->ip, ip_size) + ip_size;
    put16(end, client->port);
    end = (uint8_t *)memcpy(end + 2, "udp", 3) + 3;
    end = (uint8_t *)memcpy(end, challenge->covers, challenge->covers_size) +
          challenge->covers_size;
    hmac_sha256(&challenge->key, text, (size_t)(end - text), body + NONCE_TIME);
    return put_base64(at, body, NONCE_TIME + NONCE_TAG);
}

/* Answer, or drop and count; false: it is for the core. */
bool challenge_answer(shard_t *shard, listener_t *listener, const five_tuple_t *from,
                      const uint8_t *data, uint32_t size) {
    const challenge_t *challenge = &shard->engine->challenge;
    bool signs;
    if (table_find(&shard->clients, from) || !is_plain(data, size, &signs)) return false;
    if (!strangers_may_have(shard, from)) {
        shard->answers_limited++;
        return true;
    }
    message_t *message = batch_add(shard, &listener->queue);
    uint8_t *start = shard->long_headers + (size_t)(message - shard->messages) * LONG_HEADER;
    uint8_t *end = start + STUN_HEADER;
    end = (uint8_t *)memcpy(end, challenge->before, challenge->before_size) +
          challenge->before_size;
    end = put_nonce(end, challenge, &from->client);
    end = (uint8_t *)memcpy(end, challenge->after, challenge->after_size) + challenge->after_size;
    uint32_t length = (uint32_t)(end - start) - STUN_HEADER;
    wire_header(start, TYPE_ALLOCATE_ERROR, length, data + 8);
    strangers_send(listener, from, message, start, end, signs);
    shard->challenges++;
    return true;
}
