/* What happens to one packet: look-ups, checks, and where it goes. Hot, all of it. */
#include <unistd.h>

#include "engine.h"
#include "wire.h"

static void to_client(shard_t *shard, allocation_t *allocation, relay_t *relay,
                      const addr_t *peer, uint8_t *data, uint32_t size, uint8_t tos, bool inside);

static const addr_t no_source = {.family = 0xff};

static const client_row_t *find_client(const shard_t *shard, const five_tuple_t *from) {
    return table_find(&shard->clients, from);
}

static void hand_up(shard_t *shard, enum up_kind kind, bool known, const five_tuple_t *from,
                    const void *data, uint32_t size) {
    up_header_t header = {.kind = kind, .payload = UNCOUNTED, .five_tuple = *from};
    ring_t *ring = known ? &shard->known : &shard->strangers;
    if (ring_push(ring, &header, NULL, 0, data, size, 0))
        shard->raised = true;
    else
        count_drop(shard, DROP_SOCKET_OVERFLOW, 1);
}

/* To a client on a stream or DTLS; counted when its sink has taken it. */
static void to_sink(shard_t *shard, const allocation_t *allocation, const up_header_t *header,
                    const void *head, uint32_t head_size, const void *data, uint32_t size,
                    uint32_t pad) {
    up_header_t filled = *header;
    filled.kind = UP_TO_CLIENT;
    filled.allocation = allocation->number;
    filled.five_tuple = allocation->client;
    if (ring_push(&shard->known, &filled, head, head_size, data, size, pad))
        shard->raised = true;
    else
        count_drop(shard, DROP_CLIENT_QUEUE_FULL, 1);
}

static bool is_stream(const allocation_t *allocation) {
    return allocation->client.transport == TRANSPORT_TCP ||
           allocation->client.transport == TRANSPORT_TLS;
}

static bool total_take(shard_t *shard, enum direction direction, uint32_t size) {
    bucket_t *bucket = &shard->engine->total[direction];
    if (!bucket->rate) return true;
    pthread_mutex_lock(&shard->engine->total_mutex);
    bool taken = bucket_take(bucket, size, shard->now);
    pthread_mutex_unlock(&shard->engine->total_mutex);
    return taken;
}

static bool may_pass(shard_t *shard, allocation_t *allocation, enum direction direction,
                     uint32_t size) {
    if (!bucket_take(&allocation->buckets[direction], size, shard->now)) {
        count_drop(shard, DROP_BANDWIDTH, 1);
        return false;
    }
    if (!total_take(shard, direction, size)) {
        if (allocation->buckets[direction].rate) allocation->buckets[direction].tokens += size;
        count_drop(shard, DROP_TOTAL_BANDWIDTH, 1);
        return false;
    }
    return true;
}

static void count_relayed(shard_t *shard, allocation_t *allocation, uint8_t family,
                          enum direction direction, uint32_t size) {
    traffic_t *totals = &shard->relayed[allocation->client.transport][family];
    totals->packets[direction]++;
    totals->bytes[direction] += size;
    allocation->traffic.packets[direction]++;
    allocation->traffic.bytes[direction] += size;
}

static void to_shard(shard_t *shard, shard_t *other, const up_header_t *header,
                     const uint8_t *data, uint32_t size) {
    pthread_mutex_lock(&other->inbox_mutex);
    bool pushed = ring_push(&other->inbox, header, NULL, 0, data, size, 0);
    pthread_mutex_unlock(&other->inbox_mutex);
    uint64_t one = 1;
    if (!pushed)
        count_drop(shard, DROP_CLIENT_QUEUE_FULL, 1);
    else if (write(other->wake_fd, &one, sizeof one) < 0)
        count_drop(shard, DROP_SEND_FAILED, 1);
}

/* Give data to another allocation of this server, as if it had come from our relay. */
static void deliver_inside(shard_t *shard, relay_t *from, const addr_t *peer, int shard_index,
                           uint8_t *data, uint32_t size, uint8_t tos) {
    if (shard_index != shard->index) {
        up_header_t header = {.kind = IN_FROM_RELAY, .tos = tos};
        header.five_tuple.client = from->public;
        header.five_tuple.server = *peer;
        return to_shard(shard, shard->engine->shards[shard_index], &header, data, size);
    }
    relay_row_t *row = table_find(&shard->relays_by_address, peer);
    if (row) road_from_peer(shard, row->relay, &from->public, data, size, tos, true);
}

/* RFC 8656 §13: from and to IPv6 DONT-FRAGMENT is ignored; §15: not so for what came by TCP. */
static bool keeps_df(const allocation_t *allocation, uint8_t family) {
    return is_stream(allocation) || (allocation->client.client.family == IPV4 && family == IPV4);
}

static void to_peer(shard_t *shard, allocation_t *allocation, const addr_t *peer, uint8_t *data,
                    uint32_t size, uint8_t tos, bool df) {
    relay_t *relay = allocation->relays[peer->family];
    if (!relay) return count_drop(shard, DROP_FAMILY_MISMATCH, 1);
    permission_t *permission = rows_find_permission(allocation, peer, shard->now);
    if (!permission) return count_drop(shard, DROP_NO_PERMISSION, 1);
    bool own_ip;
    int inside = engine_own_shard(shard->engine, peer, &own_ip);
    if (inside < 0) {
        if (permission->internal_only) return count_drop(shard, DROP_PEER_DENIED, 1);
        if (shard->engine->denied.count && table_find(&shard->engine->denied, peer))
            return count_drop(shard, DROP_PEER_DENIED, 1);
    }
    if (!may_pass(shard, allocation, TO_PEER, size)) return;
    if (inside >= 0) {
        count_relayed(shard, allocation, peer->family, TO_PEER, size);
        return deliver_inside(shard, relay, peer, inside, data, size, tos);
    }
    if (!relay->allocation && !rows_claim(allocation, relay, peer, shard->now))
        return count_drop(shard, DROP_PEER_TAKEN, 1);
    message_t *message = batch_add(shard, &relay->queue);
    message->parts[0] = (struct iovec){0};
    message->parts[1] = (struct iovec){data, size};
    message->parts[2] = (struct iovec){0};
    message->to = *peer;
    message->from = no_source;
    message->allocation = allocation;
    message->size = message->payload = size;
    message->tos = tos;
    message->df = df && keeps_df(allocation, peer->family);
    message->inside = false;
    message->direction = TO_PEER;
    message->family = peer->family;
}

static void channel_data(shard_t *shard, allocation_t *allocation, uint8_t *data, uint32_t size,
                         uint8_t tos) {
    uint32_t length = size >= 4 ? get16(data + 2) : 0;
    /* RFC 8656 §12.5: a datagram may be padded, by up to three bytes. */
    if (size < 4 || length > size - 4 || size - 4 - length > 3)
        return count_drop(shard, DROP_MALFORMED, 1);
    if (!allocation) return count_drop(shard, DROP_NO_ALLOCATION, 1);
    uint8_t key[CHANNEL_KEY] = {0};
    uint16_t number = get16(data);
    memcpy(key, &number, sizeof number);
    channel_t *channel = table_find(&allocation->channels, key);
    if (!channel || channel->deadline <= shard->now)
        return count_drop(shard, DROP_NO_CHANNEL, 1);
    to_peer(shard, allocation, &channel->peer, data + 4, length, tos, false);
}

static void send_indication(shard_t *shard, allocation_t *allocation, uint8_t *data, uint32_t size,
                            uint8_t tos) {
    addr_t peer;
    uint8_t *payload = NULL;
    uint32_t payload_size = 0;
    bool has_peer = false, valid_peer = false, df = false, is_signed = false;
    for (uint32_t offset = STUN_HEADER; offset < size;) {
        if (size - offset < 4) return count_drop(shard, DROP_MALFORMED, 1);
        uint16_t type = get16(data + offset);
        uint32_t length = get16(data + offset + 2);
        uint8_t *value = data + offset + 4;
        if (length + padding(length) > size - offset - 4)
            return count_drop(shard, DROP_MALFORMED, 1);
        offset += 4 + length + padding(length);
        if (is_signed) continue; /* RFC 8489 §14.5: what follows the integrity is ignored */
        if (type == ATTRIBUTE_XOR_PEER_ADDRESS) {
            /* The first of its kind counts (RFC 8489 §14). */
            if (!has_peer) valid_peer = wire_read_xor_address(value, length, data, &peer);
            has_peer = true;
        } else if (type == ATTRIBUTE_DATA) {
            if (!payload) payload = value, payload_size = length;
        } else if (type == ATTRIBUTE_DONT_FRAGMENT) {
            df = true;
        } else if (type == ATTRIBUTE_MESSAGE_INTEGRITY ||
                   type == ATTRIBUTE_MESSAGE_INTEGRITY_SHA256) {
            is_signed = true;
        } else if (type < 0x8000 && !shard->engine->known_attributes[type]) {
            /* RFC 8489 §6.3.2: unknown comprehension-required, and no reply to say so. */
            return count_drop(shard, DROP_MALFORMED, 1);
        }
    }
    if (!valid_peer || !payload) return count_drop(shard, DROP_MALFORMED, 1);
    if (!allocation) return count_drop(shard, DROP_NO_ALLOCATION, 1);
    to_peer(shard, allocation, &peer, payload, payload_size, tos, df);
}

void road_pass_on(shard_t *shard, shard_t *home, const five_tuple_t *from, const uint8_t *data,
                  uint32_t size, uint8_t tos) {
    up_header_t header = {.kind = IN_FROM_CLIENT, .five_tuple = *from, .tos = tos};
    shard->passed_on++;
    to_shard(shard, home, &header, data, size);
}

/* Whether another shard has the allocation of this client, and now the packet. */
static bool is_guest(shard_t *shard, const client_row_t *row, const five_tuple_t *from,
                     const uint8_t *data, uint32_t size, uint8_t tos) {
    if (!row || row->allocation) return false;
    road_pass_on(shard, row->home, from, data, size, tos);
    return true;
}

void road_from_client(shard_t *shard, listener_t *listener, const five_tuple_t *from,
                      uint8_t *data, uint32_t size, uint8_t tos) {
    if (!size) return count_drop(shard, DROP_MALFORMED, 1);
    if (data[0] >= 0x40 && data[0] < 0x80) {
        const client_row_t *row = find_client(shard, from);
        if (is_guest(shard, row, from, data, size, tos)) return;
        return channel_data(shard, row ? row->allocation : NULL, data, size, tos);
    }
    if (data[0] >= 20 && data[0] < 64) {
        five_tuple_t dtls = *from;
        dtls.transport = TRANSPORT_DTLS;
        return hand_up(shard, UP_DTLS, find_client(shard, &dtls) != NULL, &dtls, data, size);
    }
    if (data[0] >= 4) return count_drop(shard, DROP_MALFORMED, 1);
    bool whole = wire_is_stun(data, size);
    uint16_t type = size >= 2 ? get16(data) : 0xffff;
    if (type == TYPE_SEND_INDICATION) {
        if (!whole) return count_drop(shard, DROP_MALFORMED, 1);
        const client_row_t *row = find_client(shard, from);
        if (is_guest(shard, row, from, data, size, tos)) return;
        return send_indication(shard, row ? row->allocation : NULL, data, size, tos);
    }
    if (whole && listener && listener->plain) {
        if (type == TYPE_BINDING_REQUEST && shard->engine->answers_bindings &&
            binding_answer(shard, listener, from, data, size))
            return;
        if (type == TYPE_ALLOCATE_REQUEST && shard->engine->challenge.on &&
            challenge_answer(shard, listener, from, data, size))
            return;
    }
    hand_up(shard, UP_REQUEST, find_client(shard, from) != NULL, from, data, size);
}

void road_from_peer(shard_t *shard, relay_t *relay, const addr_t *peer, uint8_t *data,
                    uint32_t size, uint8_t tos, bool inside) {
    allocation_t *allocation = rows_claimant(relay, peer);
    if (!allocation) return count_drop(shard, DROP_NO_PERMISSION, 1);
    /* Inside, the sender's family may be one that the relay has no socket for. */
    if (!allocation->relays[peer->family]) return count_drop(shard, DROP_FAMILY_MISMATCH, 1);
    if (!rows_find_permission(allocation, peer, shard->now))
        return count_drop(shard, DROP_NO_PERMISSION, 1);
    if (!may_pass(shard, allocation, TO_CLIENT, size)) return;
    to_client(shard, allocation, relay, peer, data, size, tos, inside);
}

static void transaction_id(shard_t *shard, uint8_t *at) {
    /* RFC 8656 §11.3 wants one; nobody answers it, so it need only differ each time. */
    uint64_t count = ++shard->transaction_counter;
    uint64_t state = shard->transaction_seed + count * 0x9e3779b97f4a7c15ull;
    state = (state ^ state >> 30) * 0xbf58476d1ce4e5b9ull;
    state = (state ^ state >> 27) * 0x94d049bb133111ebull;
    state ^= state >> 31; /* each step can be undone: no two counts give the same */
    uint32_t more = (uint32_t)(shard->transaction_seed >> 32) ^ (uint32_t)(state * 0x2545f491u);
    memcpy(at, &more, 4);
    memcpy(at + 4, &state, 8);
}

static uint32_t frame(shard_t *shard, allocation_t *allocation, const addr_t *peer, uint32_t size,
                      uint8_t *header) {
    bound_peer_t *bound = table_find(&allocation->bound_peers, peer);
    if (bound) {
        uint8_t key[CHANNEL_KEY] = {0};
        memcpy(key, &bound->number, sizeof bound->number);
        channel_t *channel = table_find(&allocation->channels, key);
        if (channel && channel->deadline > shard->now) {
            put16(header, bound->number);
            put16(header + 2, size);
            return 4;
        }
    }
    uint8_t id[12];
    transaction_id(shard, id);
    uint8_t *at = header + STUN_HEADER;
    memcpy(header + 8, id, 12);
    put32(header + 4, MAGIC_COOKIE);
    at = wire_xor_address(at, ATTRIBUTE_XOR_PEER_ADDRESS, peer, header);
    put16(at, ATTRIBUTE_DATA);
    put16(at + 2, size);
    at += 4;
    uint32_t length = (uint32_t)(at - header) - STUN_HEADER + size + padding(size);
    wire_header(header, TYPE_DATA_INDICATION, length, id);
    return (uint32_t)(at - header);
}

static void to_client(shard_t *shard, allocation_t *allocation, relay_t *relay,
                      const addr_t *peer, uint8_t *data, uint32_t size, uint8_t tos, bool inside) {
    static uint8_t zeros[4];
    uint8_t local[MAX_HEADER];
    listener_t *listener = allocation->listener;
    uint32_t header_size = frame(shard, allocation, peer, size, local);
    /* An indication is always padded, ChannelData on a stream alone (RFC 8656 §12.5). */
    uint32_t pad = header_size > 4 || is_stream(allocation) ? padding(size) : 0;
    if (header_size > 4 && header_size - STUN_HEADER + size + pad > 0xffff)
        return count_drop(shard, DROP_TOO_LARGE, 1);
    if (!listener) {
        up_header_t up = {.payload = size, .family = relay->queue.family, .inside = inside};
        return to_sink(shard, allocation, &up, local, header_size, data, size, pad);
    }
    message_t *message = batch_add(shard, &listener->queue);
    uint8_t *header = message->header;
    memcpy(header, local, header_size);
    message->parts[0] = (struct iovec){header, header_size};
    message->parts[1] = (struct iovec){data, size};
    message->parts[2] = (struct iovec){zeros, pad};
    message->to = allocation->client.client;
    message->from = listener->wildcard ? allocation->client.server : no_source;
    message->allocation = allocation;
    message->size = header_size + size + pad;
    message->payload = size;
    message->tos = tos;
    message->df = false;
    message->inside = inside;
    message->direction = TO_CLIENT;
    message->family = relay->queue.family;
}

void road_icmp(shard_t *shard, relay_t *relay, const addr_t *peer, uint8_t type, uint8_t code,
               uint32_t data) {
    allocation_t *allocation = rows_claimant(relay, peer);
    if (!allocation || !rows_find_permission(allocation, peer, shard->now)) return;
    if (!bucket_take(&relay->errors, 1, shard->now)) return;
    uint8_t header[MAX_HEADER + 12];
    uint8_t id[12];
    transaction_id(shard, id);
    memcpy(header + 8, id, 12);
    put32(header + 4, MAGIC_COOKIE);
    uint8_t *at =
        wire_xor_address(header + STUN_HEADER, ATTRIBUTE_XOR_PEER_ADDRESS, peer, header);
    put16(at, ATTRIBUTE_ICMP);
    put16(at + 2, 8);
    put16(at + 4, 0);
    /* RFC 8656 figure 11 gives the type 7 bits and the code 9. */
    put16(at + 6, (uint32_t)type << 9 | code);
    put32(at + 8, data);
    at += 12;
    uint32_t size = (uint32_t)(at - header);
    wire_header(header, TYPE_DATA_INDICATION, size - STUN_HEADER, id);
    listener_t *listener = allocation->listener;
    if (!listener) {
        up_header_t up = {.payload = UNCOUNTED};
        to_sink(shard, allocation, &up, NULL, 0, header, size, 0);
        return;
    }
    message_t *message = batch_add(shard, &listener->queue);
    memcpy(message->header, header, size);
    message->parts[0] = (struct iovec){message->header, size};
    message->parts[1] = message->parts[2] = (struct iovec){0};
    message->to = allocation->client.client;
    message->from = listener->wildcard ? allocation->client.server : no_source;
    message->allocation = NULL;
    message->size = size;
    message->payload = 0;
    message->tos = 0;
    message->df = false;
    message->inside = false;
    message->direction = TO_CLIENT;
}

void road_inbox(shard_t *shard) {
    const up_header_t *entry;
    for (int count = 0; count < BATCH && (entry = ring_peek(&shard->inbox)); count++) {
        five_tuple_t from = entry->five_tuple;
        uint8_t *data = (uint8_t *)(entry + 1);
        relay_row_t *row;
        if (entry->kind == IN_FROM_CLIENT)
            road_from_client(shard, NULL, &from, data, entry->size, entry->tos);
        else if ((row = table_find(&shard->relays_by_address, &from.server)))
            road_from_peer(shard, row->relay, &from.client, data, entry->size, entry->tos, true);
        batch_flush(shard); /* the ring's bytes are gone after the pop */
        ring_pop(&shard->inbox);
    }
}
