/* Threads, sockets and the shared maps of the engine. */
#include "engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <linux/filter.h>

#define LISTENER_TAG ((uint64_t)1 << 63) /* | index of the listener */
#define WAKE_TAG UINT64_MAX
#define EVENTS 128

int64_t engine_now(const engine_t *engine) {
    int64_t manual = atomic_load_explicit(&engine->manual_now, memory_order_relaxed);
    if (manual >= 0) return manual;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void engine_set_clock(engine_t *engine, int64_t now) { atomic_store(&engine->manual_now, now); }

void shard_lock(shard_t *shard) {
    /* Whoever waits for the mutex holds the gate, and is next. */
    pthread_mutex_lock(&shard->gate);
    pthread_mutex_lock(&shard->mutex);
    pthread_mutex_unlock(&shard->gate);
}

void shard_unlock(shard_t *shard) { pthread_mutex_unlock(&shard->mutex); }

static void *shard_run(void *argument);

void shard_close_listeners(shard_t *shard) {
    for (int i = 0; i < shard->listener_count; i++) {
        close(shard->listeners[i]->queue.fd);
        free(shard->listeners[i]);
    }
    shard->listener_count = 0;
}

static void shard_free(shard_t *shard) {
    if (!shard) return;
    shard_close_listeners(shard);
    rows_remove_shared_relays(shard);
    rows_close_gone(shard);
    if (shard->epoll_fd >= 0) close(shard->epoll_fd);
    if (shard->wake_fd >= 0) close(shard->wake_fd);
    table_free(&shard->clients);
    table_free(&shard->relays_by_address);
    ring_free(&shard->known);
    ring_free(&shard->strangers);
    ring_free(&shard->inbox);
    free(shard->relays);
    free(shard->generations);
    free(shard->slots);
    free(shard->messages);
    free(shard->long_headers);
    pthread_mutex_destroy(&shard->gate);
    pthread_mutex_destroy(&shard->mutex);
    pthread_mutex_destroy(&shard->inbox_mutex);
    free(shard);
}

static shard_t *shard_new(engine_t *engine, int index, uint64_t id_seed) {
    shard_t *shard = calloc(1, sizeof *shard);
    if (!shard) return NULL;
    shard->engine = engine;
    shard->index = (uint8_t)index;
    shard->batch = SHORT_BATCH;
    shard->transaction_seed = id_seed * (2 * (uint64_t)index + 1);
    shard->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    shard->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&shard->gate, NULL);
    pthread_mutex_init(&shard->mutex, NULL);
    pthread_mutex_init(&shard->inbox_mutex, NULL);
    table_init(&shard->clients, sizeof(client_row_t), sizeof(five_tuple_t));
    table_init(&shard->relays_by_address, sizeof(relay_row_t), sizeof(addr_t));
    shard->slots = malloc((size_t)BATCH * SLOT_SIZE);
    shard->messages = malloc(MAX_OUT * sizeof *shard->messages);
    shard->long_headers = malloc((size_t)MAX_OUT * LONG_HEADER);
    bool rings = ring_init(&shard->known, UP_RING_SIZE);
    rings = ring_init(&shard->strangers, UP_RING_SIZE) && rings;
    rings = ring_init(&shard->inbox, UP_RING_SIZE) && rings;
    if (!rings || !shard->slots || !shard->messages || !shard->long_headers ||
        shard->epoll_fd < 0 || shard->wake_fd < 0 ||
        !shard_watch(shard, shard->wake_fd, WAKE_TAG)) {
        shard_free(shard);
        return NULL;
    }
    return shard;
}

engine_t *engine_new(int shards, uint64_t seed, uint64_t id_seed) {
    engine_t *engine = calloc(1, sizeof *engine);
    if (!engine) return NULL;
    table_seed(seed);
    atomic_init(&engine->manual_now, -1);
    engine->up_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    table_init(&engine->allocations, sizeof(number_row_t), 2 * sizeof(uint32_t));
    table_init(&engine->denied, sizeof(denied_row_t), sizeof(addr_t));
    pthread_mutex_init(&engine->total_mutex, NULL);
    if (!strangers_init(engine)) {
        engine_free(engine);
        return NULL;
    }
    for (int i = 0; i < shards; i++) {
        engine->shards[i] = shard_new(engine, i, id_seed);
        if (!engine->shards[i]) {
            engine_free(engine);
            return NULL;
        }
        engine->shard_count++;
    }
    return engine;
}

void engine_free(engine_t *engine) {
    if (!engine) return;
    engine_stop(engine);
    uint32_t position = 0;
    number_row_t *row;
    while ((row = table_next(&engine->allocations, &position)))
        rows_remove(row->shard, row->allocation);
    table_free(&engine->allocations);
    for (int i = 0; i < engine->shard_count; i++) shard_free(engine->shards[i]);
    for (int i = 0; i < MAX_OWN_IPS; i++) free(engine->own_ports[i]);
    table_free(&engine->denied);
    free((void *)engine->answer_times);
    if (engine->up_fd >= 0) close(engine->up_fd);
    pthread_mutex_destroy(&engine->total_mutex);
    free(engine);
}

bool engine_start(engine_t *engine) {
    atomic_store(&engine->stopping, false);
    for (int i = 0; i < engine->shard_count; i++) {
        shard_t *shard = engine->shards[i];
        if (shard->running) continue;
        if (pthread_create(&shard->thread, NULL, shard_run, shard)) return false;
        shard->running = true;
    }
    return true;
}

void engine_stop(engine_t *engine) {
    atomic_store(&engine->stopping, true);
    for (int i = 0; i < engine->shard_count; i++) {
        shard_t *shard = engine->shards[i];
        if (!shard || !shard->running) continue;
        uint64_t one = 1;
        while (write(shard->wake_fd, &one, sizeof one) < 0 && errno == EINTR) continue;
        pthread_join(shard->thread, NULL);
        shard->running = false;
    }
}

bool shard_watch(shard_t *shard, int fd, uint64_t tag) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = tag};
    return !epoll_ctl(shard->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

bool shard_add_listener(shard_t *shard, int fd, const addr_t *address, bool plain) {
    if (shard->listener_count == MAX_LISTENERS) return false;
    listener_t *listener = calloc(1, sizeof *listener);
    if (!listener) return false;
    static const uint8_t zeros[16];
    listener->queue = (out_queue_t){.fd = fd, .head = -1, .tail = -1, .family = address->family};
    listener->address = *address;
    listener->plain = plain;
    listener->wildcard = !memcmp(address->ip, zeros, 16);
    batch_socket_options(fd);
    int index = shard->listener_count;
    if (!shard_watch(shard, fd, LISTENER_TAG | (uint64_t)index)) {
        free(listener);
        return false;
    }
    shard->listeners[index] = listener;
    shard->listener_count++;
    return true;
}

/* Which shard has a client: told by its address alone, so that the kernel can be told too. */
shard_t *engine_shard_of(const engine_t *engine, const addr_t *client) {
    const uint8_t *low = client->ip + (client->family == IPV4 ? 2 : 14);
    uint32_t sum = (uint32_t)(low[0] << 8 | low[1]) + client->port;
    return engine->shards[sum % (uint32_t)engine->shard_count];
}

/* Have the kernel give each socket of a SO_REUSEPORT group the clients that are its shard's. */
bool engine_steer(const engine_t *engine, int fd) {
    enum { NET = SKF_NET_OFF };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NET), /* the IP header's version */
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 4, 0, 6),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, NET + 14), /* the low half of the source address */
        BPF_STMT(BPF_ST, 0),
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, NET), /* the IPv4 header's length */
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, NET),  /* the UDP source port */
        BPF_STMT(BPF_LDX | BPF_MEM, 0),
        BPF_STMT(BPF_JMP | BPF_JA, 3),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, NET + 22),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, NET + 40),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, (uint32_t)engine->shard_count),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog program = {sizeof code / sizeof code[0], code};
    return !setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
}

void engine_lock_all(engine_t *engine) {
    for (int i = 0; i < engine->shard_count; i++) shard_lock(engine->shards[i]);
}

void engine_unlock_all(engine_t *engine) {
    for (int i = engine->shard_count - 1; i >= 0; i--) shard_unlock(engine->shards[i]);
}

/* Own addresses: which ports of them have a live relay, and whose. Readable without a lock. */

/* Every shard is locked. An address beyond what fits is not delivered to inside. */
void engine_set_own_ips(engine_t *engine, const addr_t *ips, int count) {
    int there = 0;
    for (int i = 0; i < count && there < MAX_OWN_IPS; i++) {
        _Atomic uint8_t *ports = engine->own_ports[there];
        if (!ports) ports = calloc(65536, sizeof *ports);
        if (!ports) break;
        for (int port = 0; port < 65536; port++) atomic_init(&ports[port], 0);
        engine->own_ips[there] = ips[i];
        engine->own_ports[there++] = ports;
    }
    atomic_store_explicit(&engine->own_ip_count, there, memory_order_release);
    for (int i = 0; i < engine->shard_count; i++) {
        uint32_t position = 0;
        relay_row_t *row;
        while ((row = table_next(&engine->shards[i]->relays_by_address, &position)))
            if (row->relay->allocation) engine_mark_port(engine, &row->key, i + 1);
    }
}

static _Atomic uint8_t *own_port(const engine_t *engine, const addr_t *address) {
    int count = atomic_load_explicit(&engine->own_ip_count, memory_order_acquire);
    for (int i = 0; i < count; i++)
        if (addr_same_ip(&engine->own_ips[i], address)) return &engine->own_ports[i][address->port];
    return NULL;
}

void engine_mark_port(engine_t *engine, const addr_t *address, int shard) {
    _Atomic uint8_t *port = own_port(engine, address);
    if (port) atomic_store_explicit(port, (uint8_t)shard, memory_order_release);
}

/* The shard of the live relay with that address, or -1. */
int engine_own_shard(const engine_t *engine, const addr_t *address, bool *own_ip) {
    _Atomic uint8_t *port = own_port(engine, address);
    *own_ip = port != NULL;
    return port ? atomic_load_explicit(port, memory_order_acquire) - 1 : -1;
}

/* The shard's thread. */

/* The relay that an event is of; NULL: of none, or of one that is gone. */
static relay_t *relay_of(const shard_t *shard, uint64_t tag) {
    uint32_t slot = (uint32_t)tag;
    uint32_t generation = (uint32_t)(tag >> 32);
    /* Its slot may have been given on since the event was fetched. */
    if (slot >= shard->relay_capacity || !shard->relays[slot] ||
        (shard->generations[slot] & 0x7fffffffu) != generation)
        return NULL;
    return shard->relays[slot];
}

static void look_ahead(const shard_t *shard, const struct epoll_event *events, int count) {
    relay_t *relays[EVENTS];
    int found = 0;
    for (int i = 0; i < count; i++) {
        relay_t *relay = events[i].data.u64 & LISTENER_TAG ? NULL : relay_of(shard, events[i].data.u64);
        if (relay) relays[found++] = relay;
    }
    ahead_relays(shard, relays, found);
}

static void handle(shard_t *shard, const struct epoll_event *event) {
    uint64_t tag = event->data.u64;
    if (tag == WAKE_TAG) {
        uint64_t count;
        while (read(shard->wake_fd, &count, sizeof count) < 0 && errno == EINTR) continue;
        batch_flush(shard);
        road_inbox(shard);
        /* What is left waits for the next turn, after everybody else's. */
        uint64_t one = 1;
        if (ring_peek(&shard->inbox) && write(shard->wake_fd, &one, sizeof one) < 0) return;
        return;
    }
    if (tag & LISTENER_TAG) {
        batch_receive_listener(shard, shard->listeners[tag & 0xff]);
        return;
    }
    relay_t *relay = relay_of(shard, tag);
    if (relay) batch_receive_relay(shard, relay);
}

void engine_wake_control(engine_t *engine) {
    if (!atomic_exchange(&engine->up_idle, false)) return;
    uint64_t one = 1;
    while (write(engine->up_fd, &one, sizeof one) < 0 && errno == EINTR) continue;
}

static void *shard_run(void *argument) {
    shard_t *shard = argument;
    struct epoll_event events[EVENTS];
    while (!atomic_load_explicit(&shard->engine->stopping, memory_order_relaxed)) {
        int count = epoll_wait(shard->epoll_fd, events, EVENTS, -1);
        if (count <= 0) continue;
        shard_lock(shard);
        shard->now = engine_now(shard->engine);
        look_ahead(shard, events, count);
        for (int i = 0; i < count; i++) handle(shard, &events[i]);
        batch_flush(shard);
        batch_adapt(shard);
        bool raised = shard->raised;
        shard->raised = false;
        shard_unlock(shard);
        if (raised) engine_wake_control(shard->engine);
    }
    return NULL;
}
