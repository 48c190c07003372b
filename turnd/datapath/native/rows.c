/* Changes of rows. The control thread makes them, holding the shard's mutex. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"

#define ERRORS_PER_SECOND 16 /* so that ICMP errors can not amplify a stream */

listener_t *rows_listener_of(shard_t *shard, const five_tuple_t *client) {
    if (client->transport != TRANSPORT_UDP) return NULL;
    listener_t *wildcard = NULL;
    for (int i = 0; i < shard->listener_count; i++) {
        listener_t *listener = shard->listeners[i];
        if (listener->address.family != client->server.family ||
            listener->address.port != client->server.port)
            continue;
        if (listener->wildcard)
            wildcard = listener;
        else if (addr_same_ip(&listener->address, &client->server))
            return listener;
    }
    return wildcard;
}

allocation_t *rows_add(shard_t *shard, uint64_t number, const five_tuple_t *client, int64_t rate) {
    allocation_t *allocation = calloc(1, sizeof *allocation);
    if (!allocation) return NULL;
    client_row_t *row = table_put(&shard->clients, client);
    if (!row) {
        free(allocation);
        return NULL;
    }
    row->allocation = allocation;
    allocation->number = number;
    allocation->client = *client;
    allocation->listener = rows_listener_of(shard, client);
    table_init(&allocation->permissions, sizeof(permission_t), PERMISSION_KEY);
    table_init(&allocation->channels, sizeof(channel_t), CHANNEL_KEY);
    table_init(&allocation->bound_peers, sizeof(bound_peer_t), sizeof(addr_t));
    table_init(&allocation->claimed, sizeof(denied_row_t), sizeof(addr_t));
    int64_t now = engine_now(shard->engine);
    for (int i = 0; i < DIRECTIONS; i++)
        allocation->buckets[i] = (bucket_t){.rate = rate, .tokens = rate, .updated = now};
    return allocation;
}

static bool grow_slots(shard_t *shard) {
    uint32_t capacity = shard->relay_capacity ? shard->relay_capacity * 2 : 64;
    relay_t **relays = realloc(shard->relays, capacity * sizeof *relays);
    if (!relays) return false;
    shard->relays = relays;
    uint32_t *generations = realloc(shard->generations, capacity * sizeof *generations);
    if (!generations) return false;
    shard->generations = generations;
    for (uint32_t i = shard->relay_capacity; i < capacity; i++) {
        relays[i] = NULL;
        generations[i] = 0;
    }
    shard->relay_capacity = capacity;
    return true;
}

static bool take_slot(shard_t *shard, uint32_t *slot) {
    for (uint32_t i = shard->relay_free; i < shard->relay_capacity; i++) {
        if (!shard->relays[i]) {
            *slot = i;
            shard->relay_free = i + 1;
            return true;
        }
    }
    *slot = shard->relay_capacity;
    shard->relay_free = *slot + 1;
    return grow_slots(shard);
}

static bool put_address(shard_t *shard, const addr_t *address, relay_t *relay) {
    relay_row_t *row = table_put(&shard->relays_by_address, address);
    if (row) row->relay = relay;
    return row != NULL;
}

bool rows_watch(shard_t *shard, const relay_t *relay) {
    uint32_t generation = shard->generations[relay->slot] & 0x7fffffffu;
    return shard_watch(shard, relay->queue.fd, (uint64_t)generation << 32 | relay->slot);
}

static void remove_address(shard_t *shard, const addr_t *address, const relay_t *relay) {
    relay_row_t *row = table_find(&shard->relays_by_address, address);
    if (!row || row->relay != relay) return; /* another has the name by now */
    engine_mark_port(shard->engine, address, 0);
    table_remove(&shard->relays_by_address, address);
}

static void remove_relay(shard_t *shard, relay_t *relay) {
    remove_address(shard, &relay->local, relay);
    remove_address(shard, &relay->public, relay);
    table_free(&relay->claims);
    shard->relays[relay->slot] = NULL;
    shard->generations[relay->slot]++; /* events already fetched name the old one */
    if (relay->slot < shard->relay_free) shard->relay_free = relay->slot;
    relay->next_gone = shard->gone;
    shard->gone = relay;
}

void rows_close_gone(shard_t *shard) {
    while (shard->gone) {
        relay_t *relay = shard->gone;
        shard->gone = relay->next_gone;
        close(relay->queue.fd);
        free(relay);
    }
}

/* Takes the socket over, but does not watch it yet. Returns 0, or an errno; the socket is closed
 * then. */
static int add_relay(shard_t *shard, allocation_t *allocation, int fd, const addr_t *local,
                     const addr_t *public_address) {
    relay_t *relay = calloc(1, sizeof *relay);
    uint32_t slot;
    if (!relay || !take_slot(shard, &slot)) {
        free(relay);
        close(fd);
        return ENOMEM;
    }
    relay->queue = (out_queue_t){.fd = fd, .head = -1, .tail = -1, .family = local->family};
    relay->allocation = allocation;
    table_init(&relay->claims, sizeof(claim_t), sizeof(addr_t));
    relay->local = *local;
    relay->public = *public_address;
    relay->slot = slot;
    if (!put_address(shard, local, relay) || !put_address(shard, public_address, relay)) {
        table_remove(&shard->relays_by_address, local);
        table_remove(&shard->relays_by_address, public_address);
        free(relay);
        close(fd);
        return ENOMEM;
    }
    relay->errors = (bucket_t){.rate = ERRORS_PER_SECOND,
                               .tokens = ERRORS_PER_SECOND,
                               .updated = engine_now(shard->engine)};
    shard->relays[slot] = relay;
    if (!allocation) {
        shard->shared[shard->shared_count++] = relay;
        return 0; /* nothing is delivered to it inside: nobody could tell to which client */
    }
    allocation->relays[local->family] = relay;
    engine_mark_port(shard->engine, local, shard->index + 1);
    engine_mark_port(shard->engine, public_address, shard->index + 1);
    return 0;
}

int rows_add_relay(shard_t *shard, allocation_t *allocation, int fd, const addr_t *local,
                   const addr_t *public_address) {
    return add_relay(shard, allocation, fd, local, public_address);
}

int rows_add_shared_relay(shard_t *shard, int fd, const addr_t *local,
                          const addr_t *public_address) {
    if (shard->shared_count == MAX_OWN_IPS) {
        close(fd);
        return ENOSPC;
    }
    int error = add_relay(shard, NULL, fd, local, public_address);
    if (error) return error;
    /* Under the lock, for once: an address has one such relay. */
    if (rows_watch(shard, shard->shared[shard->shared_count - 1])) return 0;
    error = errno;
    remove_relay(shard, shard->shared[--shard->shared_count]);
    rows_close_gone(shard);
    return error;
}

/* The relay that the shard's clients share on an IP address. */
relay_t *rows_shared_relay(const shard_t *shard, const addr_t *ip) {
    for (int i = 0; i < shard->shared_count; i++)
        if (addr_same_ip(&shard->shared[i]->local, ip)) return shard->shared[i];
    return NULL;
}

static void disclaim(relay_t *relay, allocation_t *allocation, const addr_t *peer) {
    claim_t *claim = table_find(&relay->claims, peer);
    if (claim && claim->allocation == allocation) table_remove(&relay->claims, peer);
}

/* Have a peer's packets from now on; false if another allocation has them. */
bool rows_claim(allocation_t *allocation, relay_t *relay, const addr_t *peer, int64_t now) {
    claim_t *claim = table_find(&relay->claims, peer);
    if (claim && claim->allocation == allocation) return true;
    if (allocation->claimed.count >= MOST_CLAIMS) return false;
    if (claim) {
        allocation_t *other = claim->allocation;
        if (rows_find_permission(other, peer, now)) return false;
        table_remove(&other->claimed, peer); /* it has let the peer go */
    } else if (!(claim = table_put(&relay->claims, peer))) {
        return false;
    }
    claim->allocation = allocation;
    if (table_put(&allocation->claimed, peer)) return true;
    table_remove(&relay->claims, peer);
    return false;
}

allocation_t *rows_claimant(const relay_t *relay, const addr_t *peer) {
    if (relay->allocation) return relay->allocation;
    const claim_t *claim = table_find(&relay->claims, peer);
    return claim ? claim->allocation : NULL;
}

/* A client whose datagrams come in here, and whose allocation another shard has. */
bool rows_put_guest(shard_t *shard, const five_tuple_t *client, shard_t *home, uint64_t number) {
    client_row_t *row = table_put(&shard->clients, client);
    if (!row) return false;
    row->allocation = NULL;
    row->home = home;
    row->guest = number;
    return true;
}

void rows_remove_guest(shard_t *shard, const five_tuple_t *client, uint64_t number) {
    client_row_t *row = table_find(&shard->clients, client);
    if (row && !row->allocation && row->guest == number) table_remove(&shard->clients, client);
}

void rows_leave_relay(shard_t *shard, allocation_t *allocation, uint8_t family) {
    relay_t *relay = allocation->relays[family];
    if (!relay) return;
    allocation->relays[family] = NULL;
    if (relay->allocation) return remove_relay(shard, relay);
    uint32_t position = 0;
    const denied_row_t *peer; /* a transport address alone, too */
    while ((peer = table_next(&allocation->claimed, &position)))
        disclaim(relay, allocation, &peer->key);
}

/* With the last allocation gone. */
void rows_remove_shared_relays(shard_t *shard) {
    while (shard->shared_count) remove_relay(shard, shard->shared[--shard->shared_count]);
}

static void forget_client(shard_t *shard, const allocation_t *allocation) {
    client_row_t *row = table_find(&shard->clients, &allocation->client);
    if (row && row->allocation == allocation) table_remove(&shard->clients, &allocation->client);
}

void rows_remove(shard_t *shard, allocation_t *allocation) {
    for (uint8_t family = 0; family < FAMILIES; family++)
        rows_leave_relay(shard, allocation, family);
    table_free(&allocation->claimed);
    forget_client(shard, allocation);
    table_free(&allocation->permissions);
    table_free(&allocation->channels);
    table_free(&allocation->bound_peers);
    free(allocation);
}

bool rows_move(shard_t *shard, allocation_t *allocation, const five_tuple_t *client) {
    forget_client(shard, allocation);
    client_row_t *row = table_put(&shard->clients, client);
    if (!row) return false;
    row->allocation = allocation;
    allocation->client = *client;
    allocation->listener = rows_listener_of(shard, client);
    return true;
}

static void permission_key(const addr_t *ip, uint8_t *key) {
    memset(key, 0, PERMISSION_KEY);
    memcpy(key, ip->ip, 16);
    key[16] = ip->family;
}

bool rows_set_permission(allocation_t *allocation, const addr_t *ip, int64_t deadline,
                         bool internal_only) {
    uint8_t key[PERMISSION_KEY];
    permission_key(ip, key);
    permission_t *permission = table_put(&allocation->permissions, key);
    if (!permission) return false;
    permission->deadline = deadline;
    permission->internal_only = internal_only;
    return true;
}

permission_t *rows_find_permission(const allocation_t *allocation, const addr_t *peer,
                                   int64_t now) {
    uint8_t key[PERMISSION_KEY];
    permission_key(peer, key);
    permission_t *permission = table_find(&allocation->permissions, key);
    return permission && permission->deadline > now ? permission : NULL;
}

void rows_remove_permission(allocation_t *allocation, const addr_t *ip) {
    uint8_t key[PERMISSION_KEY];
    permission_key(ip, key);
    table_remove(&allocation->permissions, key);
}

static bool announce(allocation_t *allocation, uint16_t number, const addr_t *peer) {
    bound_peer_t *bound = table_put(&allocation->bound_peers, peer);
    if (bound) bound->number = number;
    return bound != NULL;
}

bool rows_set_channel(allocation_t *allocation, uint16_t number, const addr_t *peer,
                      int64_t deadline, bool announced) {
    uint8_t key[CHANNEL_KEY] = {0};
    memcpy(key, &number, sizeof number);
    channel_t *there = table_find(&allocation->channels, key);
    if (there && !memcmp(&there->peer, peer, sizeof *peer)) {
        there->deadline = deadline;
        return !announced || announce(allocation, number, peer);
    }
    /* Whatever had the number or the peer before is gone. */
    bound_peer_t *bound = table_find(&allocation->bound_peers, peer);
    if (bound) rows_remove_channel(allocation, bound->number);
    rows_remove_channel(allocation, number);
    channel_t *channel = table_put(&allocation->channels, key);
    if (!channel) return false;
    channel->peer = *peer;
    channel->deadline = deadline;
    if (!announced || announce(allocation, number, peer)) return true;
    rows_remove_channel(allocation, number);
    return false;
}

void rows_remove_channel(allocation_t *allocation, uint16_t number) {
    uint8_t key[CHANNEL_KEY] = {0};
    memcpy(key, &number, sizeof number);
    channel_t *channel = table_find(&allocation->channels, key);
    if (!channel) return;
    table_remove(&allocation->bound_peers, &channel->peer);
    table_remove(&allocation->channels, key);
}

static void receive_tos(const out_queue_t *queue, int on) {
    if (queue->family == IPV4)
        setsockopt(queue->fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
    else
        setsockopt(queue->fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on);
}

void rows_receive_tos(const shard_t *shard, bool on) {
    for (int i = 0; i < shard->listener_count; i++) receive_tos(&shard->listeners[i]->queue, on);
    for (uint32_t i = 0; i < shard->relay_capacity; i++)
        if (shard->relays[i]) receive_tos(&shard->relays[i]->queue, on);
}
