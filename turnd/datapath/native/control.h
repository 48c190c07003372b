/* What the control thread (trio's) asks of a running engine. Each call takes the locks it needs. */
#ifndef TURND_CONTROL_H
#define TURND_CONTROL_H

#include "engine.h"

typedef struct {
    traffic_t relayed[TRANSPORTS][FAMILIES];
    uint64_t drops[DROPS];
    uint64_t internal;
    uint64_t bindings, challenges, answers_limited, passed_on;
} totals_t;

typedef struct {
    const addr_t *own_ips;
    int own_ip_count;
    const addr_t *denied;
    int denied_count;
    const uint16_t *plain_ports; /* of listeners where strangers may be answered here */
    int plain_port_count;
    bool answers_bindings;
    const challenge_t *challenge;
    int64_t answer_interval, answer_burst; /* nanoseconds; 0: no limit */
    int64_t total_rate;
} control_settings_t;

/* One socket of a listener; those of other shards are bound to the same address, in the shards'
 * order. With the last of them, the kernel is told which client is whose. */
bool control_add_listener(engine_t *engine, int shard, int fd, const addr_t *address);

/* Takes the socket over. Returns 0, or an errno; the socket is closed then. */
int control_open_relay(engine_t *engine, uint64_t number, const five_tuple_t *client, int fd,
                       const addr_t *local, const addr_t *public_address, int64_t rate);
/* The same on the relay that the clients of that shard share on `local`'s IP address: one there is
 * already (`fd` is -1 then), or one that the socket is for. */
int control_join_relay(engine_t *engine, uint64_t number, const five_tuple_t *client, int fd,
                       const addr_t *local, const addr_t *public_address, int64_t rate);
/* Where that relay is; false if there is none yet. */
bool control_shared_relay(const engine_t *engine, const five_tuple_t *client, const addr_t *ip,
                          addr_t *local);
void control_close_relay(engine_t *engine, uint64_t number, uint8_t family);
/* False if there is no such allocation: so in all that follow. */
bool control_close(engine_t *engine, uint64_t number, traffic_t *moved);
bool control_traffic(engine_t *engine, uint64_t number, traffic_t *moved);
bool control_move(engine_t *engine, uint64_t number, const five_tuple_t *client);
bool control_set_permission(engine_t *engine, uint64_t number, const addr_t *ip, int64_t deadline,
                            bool internal_only);
bool control_remove_permission(engine_t *engine, uint64_t number, const addr_t *ip);
bool control_set_channel(engine_t *engine, uint64_t number, uint16_t channel, const addr_t *peer,
                         int64_t deadline, bool announced);
bool control_remove_channel(engine_t *engine, uint64_t number, uint16_t channel);
bool control_is_relayed(engine_t *engine, const addr_t *address);
void control_close_all(engine_t *engine);
void control_close_listeners(engine_t *engine); /* the threads are stopped */

/* One datagram or frame of a client on a stream or DTLS: ChannelData, a Send indication, garbage. */
void control_receive(engine_t *engine, const uint8_t *data, uint32_t size,
                     const five_tuple_t *client);

/* The packets that a client's stream begins with, ChannelData and Send indications; returns how many
 * bytes they are. What follows is not whole yet, or for others to judge. */
uint32_t control_receive_run(engine_t *engine, const uint8_t *data, uint32_t size,
                             const five_tuple_t *client);

/* The next entry for Python; NULL if there is none. Clients with an allocation come first, but for
 * every eighth, and shards take turns: nobody's flood keeps the others out. */
const up_header_t *control_peek(engine_t *engine, ring_t **ring);

/* Whether to wait for `up_fd` now: everything was taken, and whoever adds more will say so. */
bool control_may_wait(engine_t *engine);
void control_woken(engine_t *engine);

/* A sink has taken a packet of that entry. */
void control_taken(engine_t *engine, const up_header_t *entry);

bool control_reconfigure(engine_t *engine, const control_settings_t *settings);
void control_receive_tos(engine_t *engine, bool on);
void control_totals(engine_t *engine, totals_t *totals);

#endif
