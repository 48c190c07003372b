#include "control.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "wire.h"

static void number_key(uint64_t number, uint32_t *key) {
    memcpy(key, &number, sizeof number);
}

static number_row_t *find(const engine_t *engine, uint64_t number) {
    uint32_t key[2];
    number_key(number, key);
    return table_find(&engine->allocations, key);
}

static bool is_plain(const engine_t *engine, uint16_t port) {
    return engine->plain_ports[port / 8] >> port % 8 & 1;
}

bool control_add_listener(engine_t *engine, int index, int fd, const addr_t *address) {
    shard_t *shard = engine->shards[index];
    shard_lock(shard);
    bool added = shard_add_listener(shard, fd, address, is_plain(engine, address->port));
    shard_unlock(shard);
    /* Without the kernel's help shards pass on what is another's: slower, and as right. */
    if (added && index && index == engine->shard_count - 1) engine_steer(engine, fd);
    return added;
}

static int join(shard_t *shard, allocation_t *allocation, int fd, const addr_t *local,
                const addr_t *public_address) {
    int error = fd < 0 ? 0 : rows_add_shared_relay(shard, fd, local, public_address);
    relay_t *relay = rows_shared_relay(shard, local);
    if (!error && !relay) error = ENOENT;
    if (!error) allocation->relays[local->family] = relay;
    return error;
}

static void remove_row(engine_t *engine, uint64_t number) {
    uint32_t key[2];
    number_key(number, key);
    table_remove(&engine->allocations, key);
}

typedef int (*open_t)(shard_t *shard, allocation_t *allocation, int fd, const addr_t *local,
                      const addr_t *public_address);

static int open_by(open_t open_relay, engine_t *engine, uint64_t number,
                   const five_tuple_t *client, int fd, const addr_t *local,
                   const addr_t *public_address, int64_t rate) {
    number_row_t *row = find(engine, number);
    if (row) {
        if (row->allocation->relays[local->family]) { /* one per family */
            if (fd >= 0) close(fd);
            return EEXIST;
        }
        shard_lock(row->shard);
        int error = open_relay(row->shard, row->allocation, fd, local, public_address);
        shard_unlock(row->shard);
        return error;
    }
    uint32_t key[2];
    number_key(number, key);
    row = table_put(&engine->allocations, key);
    if (!row) {
        if (fd >= 0) close(fd);
        return ENOMEM;
    }
    row->shard = engine_shard_of(engine, &client->client);
    shard_lock(row->shard);
    row->allocation = rows_add(row->shard, number, client, rate);
    int error = ENOMEM;
    if (!row->allocation) {
        if (fd >= 0) close(fd);
    } else if ((error = open_relay(row->shard, row->allocation, fd, local, public_address))) {
        rows_remove(row->shard, row->allocation);
    }
    shard_unlock(row->shard);
    if (error) remove_row(engine, number);
    return error;
}

/* Have a new relay's packets received: last, and with no lock held. */
static int watch(engine_t *engine, uint64_t number, uint8_t family) {
    number_row_t *row = find(engine, number);
    shard_t *shard = row->shard;
    allocation_t *allocation = row->allocation;
    if (rows_watch(shard, allocation->relays[family])) return 0;
    int error = errno;
    shard_lock(shard);
    rows_leave_relay(shard, allocation, family);
    bool last = !allocation->relays[!family];
    if (last) rows_remove(shard, allocation);
    shard_unlock(shard);
    rows_close_gone(shard);
    if (last) remove_row(engine, number);
    return error;
}

int control_open_relay(engine_t *engine, uint64_t number, const five_tuple_t *client, int fd,
                       const addr_t *local, const addr_t *public_address, int64_t rate) {
    int error = open_by(rows_add_relay, engine, number, client, fd, local, public_address, rate);
    return error ? error : watch(engine, number, local->family);
}

int control_join_relay(engine_t *engine, uint64_t number, const five_tuple_t *client, int fd,
                       const addr_t *local, const addr_t *public_address, int64_t rate) {
    return open_by(join, engine, number, client, fd, local, public_address, rate);
}

bool control_shared_relay(const engine_t *engine, const five_tuple_t *client, const addr_t *ip,
                          addr_t *local) {
    /* No lock: this thread alone adds relays. */
    const relay_t *relay = rows_shared_relay(engine_shard_of(engine, &client->client), ip);
    if (relay) *local = relay->local;
    return relay != NULL;
}

void control_close_relay(engine_t *engine, uint64_t number, uint8_t family) {
    number_row_t *row = find(engine, number);
    if (!row) return;
    shard_lock(row->shard);
    rows_leave_relay(row->shard, row->allocation, family);
    shard_unlock(row->shard);
    rows_close_gone(row->shard);
}

static void sum(traffic_t *into, const traffic_t *more) {
    for (int i = 0; i < DIRECTIONS; i++) {
        into->packets[i] += more->packets[i];
        into->bytes[i] += more->bytes[i];
    }
}

bool control_traffic(engine_t *engine, uint64_t number, traffic_t *moved) {
    number_row_t *row = find(engine, number);
    if (!row) return false;
    shard_lock(row->shard);
    *moved = row->allocation->traffic;
    shard_unlock(row->shard);
    sum(moved, &row->allocation->taken);
    return true;
}

/* The client's datagrams do not come in by another shard any more. */
static void recall(number_row_t *row) {
    shard_t *arrival = row->allocation->arrival;
    if (!arrival) return;
    shard_lock(arrival);
    rows_remove_guest(arrival, &row->allocation->client, row->allocation->number);
    shard_unlock(arrival);
    row->allocation->arrival = NULL;
}

bool control_close(engine_t *engine, uint64_t number, traffic_t *moved) {
    number_row_t *row = find(engine, number);
    if (!row) return false;
    recall(row);
    shard_lock(row->shard);
    *moved = row->allocation->traffic;
    sum(moved, &row->allocation->taken);
    rows_remove(row->shard, row->allocation);
    shard_unlock(row->shard);
    rows_close_gone(row->shard);
    remove_row(engine, number);
    return true;
}

void control_close_all(engine_t *engine) {
    uint32_t position = 0;
    number_row_t *row;
    engine_lock_all(engine);
    while ((row = table_next(&engine->allocations, &position)))
        rows_remove(row->shard, row->allocation);
    for (int i = 0; i < engine->shard_count; i++) rows_remove_shared_relays(engine->shards[i]);
    engine_unlock_all(engine);
    for (int i = 0; i < engine->shard_count; i++) rows_close_gone(engine->shards[i]);
    table_free(&engine->allocations);
}

void control_close_listeners(engine_t *engine) {
    for (int i = 0; i < engine->shard_count; i++) shard_close_listeners(engine->shards[i]);
}

bool control_move(engine_t *engine, uint64_t number, const five_tuple_t *client) {
    number_row_t *row = find(engine, number);
    if (!row) return false;
    recall(row);
    shard_lock(row->shard);
    bool moved = rows_move(row->shard, row->allocation, client);
    shard_unlock(row->shard);
    shard_t *arrival = engine_shard_of(engine, &client->client);
    if (!moved || arrival == row->shard) return moved;
    /* The relay stays with its shard; the one that hears the client passes on what it sends. */
    shard_lock(arrival);
    moved = rows_put_guest(arrival, client, row->shard, number);
    shard_unlock(arrival);
    if (moved) row->allocation->arrival = arrival;
    return moved;
}

bool control_set_permission(engine_t *engine, uint64_t number, const addr_t *ip, int64_t deadline,
                            bool internal_only) {
    number_row_t *row = find(engine, number);
    if (!row) return false;
    shard_lock(row->shard);
    bool set = rows_set_permission(row->allocation, ip, deadline, internal_only);
    shard_unlock(row->shard);
    return set;
}

bool control_remove_permission(engine_t *engine, uint64_t number, const addr_t *ip) {
    number_row_t *row = find(engine, number);
    if (!row) return false;
    shard_lock(row->shard);
    rows_remove_permission(row->allocation, ip);
    shard_unlock(row->shard);
    return true;
}

bool control_set_channel(engine_t *engine, uint64_t number, uint16_t channel, const addr_t *peer,
                         int64_t deadline, bool announced) {
    number_row_t *row = find(engine, number);
    if (!row) return false;
    shard_lock(row->shard);
    allocation_t *allocation = row->allocation;
    bool set = rows_set_channel(allocation, channel, peer, deadline, announced);
    relay_t *relay = allocation->relays[peer->family];
    /* If another has the peer, packets to it are dropped and counted. */
    if (set && relay && !relay->allocation) rows_claim(allocation, relay, peer, engine_now(engine));
    shard_unlock(row->shard);
    return set;
}

bool control_remove_channel(engine_t *engine, uint64_t number, uint16_t channel) {
    number_row_t *row = find(engine, number);
    if (!row) return false;
    shard_lock(row->shard);
    rows_remove_channel(row->allocation, channel);
    shard_unlock(row->shard);
    return true;
}

bool control_is_relayed(engine_t *engine, const addr_t *address) {
    /* No lock: this thread alone changes rows. */
    for (int i = 0; i < engine->shard_count; i++)
        if (table_find(&engine->shards[i]->relays_by_address, address)) return true;
    return false;
}

static shard_t *enter(engine_t *engine, const five_tuple_t *client) {
    shard_t *shard = engine_shard_of(engine, &client->client);
    /* No lock to look: this thread alone changes rows. */
    const client_row_t *row = table_find(&shard->clients, client);
    if (row && !row->allocation) shard = row->home;
    shard_lock(shard);
    shard->now = engine_now(engine);
    return shard;
}

static void leave(shard_t *shard) {
    batch_flush(shard); /* what it sends is gone before the bytes are */
    bool raised = shard->raised;
    shard->raised = false;
    shard_unlock(shard);
    if (raised) engine_wake_control(shard->engine);
}

void control_receive(engine_t *engine, const uint8_t *data, uint32_t size,
                     const five_tuple_t *client) {
    shard_t *shard = enter(engine, client);
    /* The road only reads. */
    road_from_client(shard, NULL, client, (uint8_t *)(uintptr_t)data, size, 0);
    leave(shard);
}

uint32_t control_receive_run(engine_t *engine, const uint8_t *data, uint32_t size,
                             const five_tuple_t *client) {
    uint32_t frame, padded, offset = 0;
    if (!wire_packet_frame(data, size, &frame, &padded)) return 0;
    shard_t *shard = enter(engine, client);
    do {
        uint8_t *start = (uint8_t *)(uintptr_t)data + offset;
        road_from_client(shard, NULL, client, start, frame, 0);
        offset += padded;
    } while (wire_packet_frame(data + offset, size - offset, &frame, &padded));
    leave(shard);
    return offset;
}

const up_header_t *control_peek(engine_t *engine, ring_t **ring) {
    uint8_t turn = engine->turn++;
    bool strangers_first = turn % 8 == 7;
    for (int kind = 0; kind < 2; kind++) {
        for (int i = 0; i < engine->shard_count; i++) {
            shard_t *shard = engine->shards[(turn + i) % engine->shard_count];
            *ring = (kind == 1) != strangers_first ? &shard->strangers : &shard->known;
            const up_header_t *entry = ring_peek(*ring);
            if (entry) return entry;
        }
    }
    return NULL;
}

bool control_may_wait(engine_t *engine) {
    ring_t *ring;
    if (control_peek(engine, &ring)) return false;
    atomic_store(&engine->up_idle, true);
    /* Before the last look: whoever puts something in after it sees that we wait. */
    atomic_thread_fence(memory_order_seq_cst);
    if (!control_peek(engine, &ring)) return true;
    atomic_store(&engine->up_idle, false);
    return false;
}

void control_woken(engine_t *engine) {
    uint64_t count;
    atomic_store(&engine->up_idle, false);
    while (read(engine->up_fd, &count, sizeof count) < 0 && errno == EINTR) continue;
}

void control_taken(engine_t *engine, const up_header_t *entry) {
    if (entry->payload == UNCOUNTED) return;
    traffic_t *totals = &engine->taken[entry->five_tuple.transport][entry->family];
    totals->packets[TO_CLIENT]++;
    totals->bytes[TO_CLIENT] += entry->payload;
    engine->taken_inside += entry->inside;
    number_row_t *row = find(engine, entry->allocation);
    if (!row) return;
    row->allocation->taken.packets[TO_CLIENT]++;
    row->allocation->taken.bytes[TO_CLIENT] += entry->payload;
}

bool control_reconfigure(engine_t *engine, const control_settings_t *settings) {
    engine_lock_all(engine);
    bool whole = true;
    engine_set_own_ips(engine, settings->own_ips, settings->own_ip_count);
    table_free(&engine->denied);
    for (int i = 0; i < settings->denied_count; i++)
        whole = table_put(&engine->denied, &settings->denied[i]) != NULL && whole;
    if (engine->total[0].rate != settings->total_rate)
        for (int i = 0; i < DIRECTIONS; i++)
            engine->total[i] = (bucket_t){.rate = settings->total_rate,
                                          .tokens = settings->total_rate,
                                          .updated = engine_now(engine)};
    engine->answer_interval = settings->answer_interval;
    engine->answer_burst = settings->answer_burst;
    engine->answers_bindings = settings->answers_bindings;
    engine->challenge = *settings->challenge;
    memset(engine->plain_ports, 0, sizeof engine->plain_ports);
    for (int i = 0; i < settings->plain_port_count; i++)
        engine->plain_ports[settings->plain_ports[i] / 8] |=
            (uint8_t)(1 << settings->plain_ports[i] % 8);
    for (int i = 0; i < engine->shard_count; i++) {
        shard_t *shard = engine->shards[i];
        for (int j = 0; j < shard->listener_count; j++)
            shard->listeners[j]->plain = is_plain(engine, shard->listeners[j]->address.port);
    }
    engine_unlock_all(engine);
    return whole;
}

void control_receive_tos(engine_t *engine, bool on) {
    engine_lock_all(engine);
    for (int i = 0; i < engine->shard_count; i++) rows_receive_tos(engine->shards[i], on);
    engine_unlock_all(engine);
}

void control_totals(engine_t *engine, totals_t *totals) {
    memset(totals, 0, sizeof *totals);
    memcpy(totals->relayed, engine->taken, sizeof totals->relayed);
    totals->internal = engine->taken_inside;
    for (int i = 0; i < engine->shard_count; i++) {
        shard_t *shard = engine->shards[i];
        shard_lock(shard);
        for (int transport = 0; transport < TRANSPORTS; transport++)
            for (int family = 0; family < FAMILIES; family++)
                sum(&totals->relayed[transport][family], &shard->relayed[transport][family]);
        for (int reason = 0; reason < DROPS; reason++)
            totals->drops[reason] += shard->drops[reason];
        totals->internal += shard->internal;
        totals->bindings += shard->bindings;
        totals->challenges += shard->challenges;
        totals->answers_limited += shard->answers_limited;
        totals->passed_on += shard->passed_on;
        shard_unlock(shard);
    }
}
