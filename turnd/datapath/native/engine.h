/* The native engine: what turnd/datapath/interface.py describes, in threads without the GIL.
 *
 * A shard is one thread with its own sockets, rows and buffers. Its mutex is taken once
 * for a batch of packets, and by the control thread for a change of rows: what a batch
 * points to can't be removed under it, and no lock is taken per packet. A gate before the
 * mutex keeps a flooded shard from starving the control thread.
 */
#ifndef TURND_ENGINE_H
#define TURND_ENGINE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* recvmmsg, sendmmsg, in6_pktinfo */
#endif

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "sha256.h"
#include "table.h"

#define MAX_SHARDS 64
#define MAX_OWN_IPS 64
#define MAX_LISTENERS 64
#define BATCH 64               /* datagrams of one receive, and of one send, at the most */
#define RELAY_BATCH 16         /* of one relay socket in one turn: no flow starves another */
#define SHORT_BATCH 8          /* where few come: the first does not wait for those behind it */
#define MAX_SEGMENTS 64        /* the kernel's UDP_MAX_SEGMENTS of old */
#define SLOT_SIZE (65536 + 64) /* off the power of two, so that slots don't share cache sets */
#define CONTROL_SIZE 192
#define MAX_HEADER 64 /* before a payload: Data indication with IPv6 peer 48, with ICMP 60 */
#define MAX_OUT 1024

enum transport { TRANSPORT_UDP, TRANSPORT_TCP, TRANSPORT_TLS, TRANSPORT_DTLS, TRANSPORTS };
enum direction { TO_PEER, TO_CLIENT, DIRECTIONS };
enum family { IPV4, IPV6, FAMILIES };

/* In the order of `turnd.datapath.interface.Drop`. */
enum drop {
    DROP_MALFORMED,
    DROP_NO_ALLOCATION,
    DROP_NO_CHANNEL,
    DROP_NO_PERMISSION,
    DROP_PEER_DENIED,
    DROP_FAMILY_MISMATCH,
    DROP_BANDWIDTH,
    DROP_TOTAL_BANDWIDTH,
    DROP_TOO_LARGE,
    DROP_SEND_BUFFER_FULL,
    DROP_SEND_FAILED,
    DROP_CLIENT_QUEUE_FULL,
    DROP_CLIENT_GONE,
    DROP_SOCKET_OVERFLOW,
    DROP_PEER_TAKEN,
    DROPS
};

/* A transport address: IPv4 in the first four bytes of `ip`, the rest zero. */
typedef struct {
    uint8_t ip[16];
    uint32_t scope;
    uint16_t port; /* host byte order */
    uint8_t family;
    uint8_t zero;
} addr_t;

typedef struct {
    addr_t client;
    addr_t server;
    uint8_t transport;
    uint8_t zero[3];
} five_tuple_t;

typedef struct {
    uint32_t hash;
    uint8_t ip[16];
    uint8_t family;
    uint8_t zero[3];
    uint8_t internal_only;
    int64_t deadline; /* nanoseconds, CLOCK_MONOTONIC; so everywhere */
} permission_t;
#define PERMISSION_KEY 20

typedef struct {
    uint32_t hash;
    uint16_t number;
    uint16_t zero;
    addr_t peer;
    int64_t deadline;
} channel_t;
#define CHANNEL_KEY 4

typedef struct {
    uint32_t hash;
    addr_t peer;
    uint16_t number;
} bound_peer_t;

typedef struct {
    uint64_t packets[DIRECTIONS];
    uint64_t bytes[DIRECTIONS];
} traffic_t;

/* A token bucket of payload bytes; holds a second's worth, and may go below zero by a packet. */
typedef struct {
    int64_t rate; /* bytes per second, 0 for no limit */
    int64_t tokens;
    int64_t updated;
} bucket_t;

struct allocation;
typedef struct engine engine_t;
typedef struct shard shard_t;

/* What is to be sent by one socket in this batch, in order. */
typedef struct {
    int fd;
    int16_t head, tail; /* indices of shard's messages, -1 for none */
    bool queued;
    bool no_gso; /* the path refused segmentation offload */
    bool df;     /* IP_MTU_DISCOVER stands at "do" */
    uint8_t family;
} out_queue_t;

/* On a shared relay, whose packets a peer's are. */
typedef struct {
    uint32_t hash;
    addr_t peer;
    struct allocation *allocation;
} claim_t;
#define MOST_CLAIMS 1024 /* of one allocation */

typedef struct relay {
    out_queue_t queue;
    struct allocation *allocation; /* NULL: it is shared */
    table_t claims;                /* then, claim_t by the peer's transport address */
    addr_t local;
    addr_t public;
    uint32_t slot;
    uint32_t overflow; /* SO_RXQ_OVFL's last value */
    bucket_t errors;   /* ICMP errors told to the client */
    struct relay *next_gone;
} relay_t;

typedef struct {
    out_queue_t queue;
    addr_t address; /* as bound: the IP address may be the wildcard */
    bool wildcard;
    bool plain; /* takes STUN as it is, not in DTLS alone */
    uint32_t overflow;
} listener_t;

typedef struct allocation {
    uint64_t number;
    five_tuple_t client;
    listener_t *listener; /* NULL: the client is on a stream or DTLS */
    shard_t *arrival;     /* a client that moved: the shard it comes in by, if not its own */
    relay_t *relays[FAMILIES];
    table_t permissions, channels, bound_peers;
    table_t claimed; /* peers on shared relays, as keys alone */
    traffic_t traffic;
    traffic_t taken; /* by sinks: counted by the control thread alone */
    bucket_t buckets[DIRECTIONS];
} allocation_t;

typedef struct {
    uint32_t hash;
    five_tuple_t key;
    allocation_t *allocation; /* NULL: it is another shard's */
    shard_t *home;            /* that other shard */
    uint64_t guest;           /* the number of the allocation there */
} client_row_t;

typedef struct {
    uint32_t hash;
    addr_t key;
    relay_t *relay;
} relay_row_t;

typedef struct {
    uint32_t hash;
    addr_t key;
} denied_row_t;

typedef struct {
    uint32_t hash;
    uint32_t key[2]; /* the allocation's number */
    shard_t *shard;
    allocation_t *allocation;
} number_row_t;

/* What the engine says to a stranger's Allocate: a nonce between two pieces of the core's answer. */
#define NONCE_TIME 5
#define NONCE_TAG 10
#define MAX_COVERS 256
#define MAX_PIECE 320
typedef struct {
    bool on;
    hmac_key_t key;
    uint8_t features[3];
    uint8_t covers[MAX_COVERS], before[MAX_PIECE], after[MAX_PIECE];
    uint32_t covers_size, before_size, after_size;
} challenge_t;
#define LONG_HEADER 768 /* a whole challenge */

typedef struct {
    struct iovec parts[3]; /* header, payload, padding */
    uint8_t header[MAX_HEADER];
    addr_t to;
    addr_t from; /* the wildcard listener's own address; family 0xff: let the kernel choose */
    allocation_t *allocation;
    uint32_t size;    /* of the whole datagram */
    uint32_t payload; /* what counts */
    int16_t next;
    uint8_t tos;
    bool df;
    bool inside; /* from another allocation of this server */
    uint8_t direction;
    uint8_t family; /* of the relay */
} message_t;

/* What the engine hands to Python: a request, a DTLS datagram, or data for a stream client;
 * then what a shard hands to another: from one of its relays, or from a client of the other's.
 */
enum up_kind { UP_REQUEST, UP_DTLS, UP_TO_CLIENT, UP_GONE, IN_FROM_RELAY, IN_FROM_CLIENT };

typedef struct {
    uint32_t size;
    uint8_t kind;
    uint8_t family; /* of the relay, where it is data for a client */
    uint8_t inside;
    uint8_t tos;
    uint32_t payload;    /* what counts; 0xffffffff: nothing does */
    uint64_t allocation; /* its number */
    five_tuple_t five_tuple;
} up_header_t;

#define UNCOUNTED 0xffffffffu

/* A single-producer, single-consumer ring of entries: up_header_t, then bytes, 8-aligned. */
typedef struct {
    uint8_t *bytes;
    uint32_t capacity; /* a power of two */
    _Atomic uint32_t head; /* the consumer's */
    _Atomic uint32_t tail; /* the producer's */
} ring_t;

#define UP_RING_SIZE (1u << 21)

struct shard {
    engine_t *engine;
    uint8_t index;
    pthread_t thread;
    bool running;
    pthread_mutex_t gate, mutex;
    int epoll_fd;
    int wake_fd;
    listener_t *listeners[MAX_LISTENERS];
    int listener_count;
    relay_t **relays; /* by slot; NULL for free ones */
    relay_t *shared[MAX_OWN_IPS];
    int shared_count;
    relay_t *gone; /* removed, but not closed yet: the control thread's alone */
    uint32_t *generations;
    uint32_t relay_capacity, relay_free; /* relay_free: first slot that may be free */
    table_t clients;
    table_t relays_by_address; /* local and public */
    uint64_t transaction_counter;
    uint64_t transaction_seed;
    ring_t known, strangers; /* up to Python: clients with an allocation first */
    ring_t inbox;            /* from other shards: inside deliveries; producers hold its mutex */
    pthread_mutex_t inbox_mutex;
    bool raised; /* something went up in this batch */
    /* one batch */
    int64_t now;
    uint8_t *slots;
    uint32_t slots_used;
    uint32_t batch;    /* datagrams received before they are sent: SHORT_BATCH or BATCH */
    uint32_t received; /* since the thread woke up */
    message_t *messages;
    uint8_t *long_headers; /* one a message, for those that are all header */
    int message_count;
    out_queue_t *queues[MAX_OUT];
    int queue_count;
    /* counters, written by whoever holds the mutex */
    traffic_t relayed[TRANSPORTS][FAMILIES];
    uint64_t drops[DROPS];
    uint64_t internal;
    uint64_t bindings; /* requests answered here */
    uint64_t challenges;
    uint64_t answers_limited;
    uint64_t passed_on; /* to the shard that has the client */
};

struct engine {
    shard_t *shards[MAX_SHARDS];
    int shard_count;
    int up_fd; /* eventfd: something is in a ring */
    _Atomic bool up_idle; /* the consumer waits for up_fd */
    _Atomic bool stopping;
    _Atomic int64_t manual_now; /* -1: the clock is the system's; else a test's */
    addr_t own_ips[MAX_OWN_IPS]; /* port 0 */
    _Atomic int own_ip_count;
    _Atomic uint8_t *own_ports[MAX_OWN_IPS]; /* by port: 1 + shard of the live relay, or 0 */
    table_t allocations; /* number -> allocation and shard; the control thread's alone */
    table_t denied;      /* read by shards: changed with every shard stopped */
    uint8_t plain_ports[65536 / 8]; /* bits: listeners there are `plain` */
    uint8_t turn;                   /* whose ring is looked at first */
    bool answers_bindings;
    challenge_t challenge;
    int64_t answer_interval; /* nanoseconds per answer to a prefix of strangers; 0: no limit */
    int64_t answer_burst;    /* nanoseconds' worth of answers at once */
    _Atomic int64_t *answer_times; /* by hashed prefix: when the answers given are paid for */
    bool known_attributes[0x8000]; /* comprehension-required ones that stun.attributes knows */
    bucket_t total[DIRECTIONS];
    pthread_mutex_t total_mutex;
    traffic_t taken[TRANSPORTS][FAMILIES]; /* by sinks; the control thread's alone */
    uint64_t taken_inside;
};

/* rows.c: changes of rows, by the control thread; the caller holds the shard's mutex, but not for
 * the two that make system calls: packets would wait for them. */
bool rows_watch(shard_t *shard, const relay_t *relay); /* false: errno says why */
void rows_close_gone(shard_t *shard); /* close the sockets of relays removed since */
allocation_t *rows_add(shard_t *shard, uint64_t number, const five_tuple_t *client, int64_t rate);
int rows_add_relay(shard_t *shard, allocation_t *allocation, int fd, const addr_t *local,
                   const addr_t *public_address);
int rows_add_shared_relay(shard_t *shard, int fd, const addr_t *local,
                          const addr_t *public_address);
relay_t *rows_shared_relay(const shard_t *shard, const addr_t *ip);
void rows_leave_relay(shard_t *shard, allocation_t *allocation, uint8_t family);
void rows_remove_shared_relays(shard_t *shard);
bool rows_claim(allocation_t *allocation, relay_t *relay, const addr_t *peer, int64_t now);
allocation_t *rows_claimant(const relay_t *relay, const addr_t *peer);
permission_t *rows_find_permission(const allocation_t *allocation, const addr_t *peer,
                                   int64_t now);
void rows_remove(shard_t *shard, allocation_t *allocation);
void rows_receive_tos(const shard_t *shard, bool on);
bool rows_move(shard_t *shard, allocation_t *allocation, const five_tuple_t *client);
bool rows_put_guest(shard_t *shard, const five_tuple_t *client, shard_t *home, uint64_t number);
void rows_remove_guest(shard_t *shard, const five_tuple_t *client, uint64_t number);
bool rows_set_permission(allocation_t *allocation, const addr_t *ip, int64_t deadline,
                         bool internal_only);
void rows_remove_permission(allocation_t *allocation, const addr_t *ip);
/* Not announced: the client may use it, and still gets Data indications. */
bool rows_set_channel(allocation_t *allocation, uint16_t number, const addr_t *peer,
                      int64_t deadline, bool announced);
void rows_remove_channel(allocation_t *allocation, uint16_t number);
listener_t *rows_listener_of(shard_t *shard, const five_tuple_t *client);

/* road.c: what happens to one packet. */
void road_from_client(shard_t *shard, listener_t *listener, const five_tuple_t *from,
                      uint8_t *data, uint32_t size, uint8_t tos);
void road_from_peer(shard_t *shard, relay_t *relay, const addr_t *peer, uint8_t *data,
                    uint32_t size, uint8_t tos, bool inside);
void road_icmp(shard_t *shard, relay_t *relay, const addr_t *peer, uint8_t type, uint8_t code,
               uint32_t data);
void road_inbox(shard_t *shard);
void road_pass_on(shard_t *shard, shard_t *home, const five_tuple_t *from, const uint8_t *data,
                  uint32_t size, uint8_t tos);

/* strangers.c, binding.c, challenge.c: answers that are given here. */
bool strangers_init(engine_t *engine);
bool strangers_check_fingerprint(const uint8_t *data, uint32_t size, uint32_t offset,
                                 uint32_t length);
bool strangers_may_have(shard_t *shard, const five_tuple_t *from);
void strangers_send(const listener_t *listener, const five_tuple_t *from, message_t *message,
                    uint8_t *start, uint8_t *end, bool signs);
bool binding_answer(shard_t *shard, listener_t *listener, const five_tuple_t *from,
                    const uint8_t *data, uint32_t size);
bool challenge_answer(shard_t *shard, listener_t *listener, const five_tuple_t *from,
                      const uint8_t *data, uint32_t size);

/* send.c and receive.c: what is sent, and what is received. */
message_t *batch_add(shard_t *shard, out_queue_t *queue);
void batch_flush(shard_t *shard); /* send everything; the received bytes are not needed any more */
void batch_adapt(shard_t *shard); /* after each turn */
void batch_receive_listener(shard_t *shard, listener_t *listener);
void batch_receive_relay(shard_t *shard, relay_t *relay);
void batch_socket_options(int fd);

/* ahead.c: what a batch will need, brought into the cache; at most BATCH clients. */
void ahead_clients(const shard_t *shard, const five_tuple_t *from, int count);
void ahead_relays(const shard_t *shard, relay_t *const *relays, int count);

/* ring.c */
bool ring_init(ring_t *ring, uint32_t capacity);
void ring_free(ring_t *ring);
bool ring_push(ring_t *ring, const up_header_t *header, const void *head, uint32_t head_size,
               const void *data, uint32_t size, uint32_t pad);
const up_header_t *ring_peek(ring_t *ring);
void ring_pop(ring_t *ring);

/* engine.c: threads and sockets. */
engine_t *engine_new(int shards, uint64_t seed, uint64_t id_seed);
void engine_free(engine_t *engine);
bool engine_start(engine_t *engine);
void engine_stop(engine_t *engine);
void shard_lock(shard_t *shard);
void shard_unlock(shard_t *shard);
bool shard_add_listener(shard_t *shard, int fd, const addr_t *address, bool plain);
void shard_close_listeners(shard_t *shard); /* no allocation, no thread is left */
bool shard_watch(shard_t *shard, int fd, uint64_t tag);
int64_t engine_now(const engine_t *engine);
void engine_set_clock(engine_t *engine, int64_t now); /* a test's; -1: the system's */
void engine_lock_all(engine_t *engine);
void engine_unlock_all(engine_t *engine);
void engine_set_own_ips(engine_t *engine, const addr_t *ips, int count);
void engine_wake_control(engine_t *engine);
shard_t *engine_shard_of(const engine_t *engine, const addr_t *client);
bool engine_steer(const engine_t *engine, int fd);
void engine_mark_port(engine_t *engine, const addr_t *address, int shard);
int engine_own_shard(const engine_t *engine, const addr_t *address, bool *own_ip);

/* address.c */
void addr_from_sockaddr(addr_t *address, const struct sockaddr_storage *sockaddr);
socklen_t addr_to_sockaddr(const addr_t *address, struct sockaddr_storage *sockaddr);
static inline bool addr_same_ip(const addr_t *a, const addr_t *b) {
    return a->family == b->family && !__builtin_memcmp(a->ip, b->ip, 16);
}

bool bucket_take(bucket_t *bucket, int64_t bytes, int64_t now);

static inline void count_drop(shard_t *shard, enum drop reason, uint64_t packets) {
    shard->drops[reason] += packets;
}

#endif
