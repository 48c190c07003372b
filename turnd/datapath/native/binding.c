/* Binding requests that ask for nothing but an address (RFC 8489 §3), answered on the spot.
 *
 * Whatever is odd about a request (an integrity attribute, one for NAT behaviour discovery,
 * one that must be understood and is not, a wrong FINGERPRINT) is left to the core, which
 * knows the answer; so is everything while the core wants to see all of them.
 */
#include "engine.h"
#include "wire.h"

/* Whether all that counts in the request is its header; and whether it has a FINGERPRINT. */
static bool is_plain(const engine_t *engine, const uint8_t *data, uint32_t size, bool *signs) {
    *signs = false;
    for (uint32_t offset = STUN_HEADER; offset < size;) {
        if (size - offset < 4) return false;
        uint16_t type = get16(data + offset);
        uint32_t length = get16(data + offset + 2);
        if (length + padding(length) > size - offset - 4) return false;
        if (type == ATTRIBUTE_FINGERPRINT) {
            if (!strangers_check_fingerprint(data, size, offset, length)) return false;
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

/* Answer, or drop and count; false: it is for the core. */
bool binding_answer(shard_t *shard, listener_t *listener, const five_tuple_t *from,
                    const uint8_t *data, uint32_t size) {
    bool signs;
    if (!is_plain(shard->engine, data, size, &signs)) return false;
    if (!strangers_may_have(shard, from)) {
        shard->answers_limited++;
        return true;
    }
    message_t *message = batch_add(shard, &listener->queue);
    uint8_t *start = message->header;
    uint8_t *end = wire_xor_address(start + STUN_HEADER, ATTRIBUTE_XOR_MAPPED_ADDRESS,
                                    &from->client, data);
    uint32_t length = (uint32_t)(end - start) - STUN_HEADER;
    wire_header(start, TYPE_BINDING_SUCCESS, length, data + 8);
    strangers_send(listener, from, message, start, end, signs);
    shard->bindings++;
    return true;
}
