# cython: language_level=3
"""What `_engine.pyx` uses of the engine in C: `engine.h` and `control.h` say what each is."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "engine.h":
    ctypedef struct addr_t:
        uint8_t ip[16]
        uint32_t scope
        uint16_t port
        uint8_t family
    ctypedef struct five_tuple_t:
        addr_t client
        addr_t server
        uint8_t transport
    ctypedef struct traffic_t:
        uint64_t packets[2]
        uint64_t bytes[2]
    ctypedef struct up_header_t:
        uint32_t size
        uint8_t kind
        uint64_t allocation
        five_tuple_t five_tuple
    ctypedef struct ring_t:
        pass
    ctypedef struct engine_t:
        int up_fd
        bint known_attributes[0x8000]
    enum: DROPS
    enum: UP_TO_CLIENT
    enum: UP_GONE
    enum: MAX_COVERS
    enum: MAX_PIECE
    ctypedef struct hmac_key_t:
        pass
    ctypedef struct challenge_t:
        bint on
        hmac_key_t key
        uint8_t features[3]
        uint8_t covers[MAX_COVERS]
        uint8_t before[MAX_PIECE]
        uint8_t after[MAX_PIECE]
        uint32_t covers_size
        uint32_t before_size
        uint32_t after_size
    void hmac_key(hmac_key_t *ready, const uint8_t *key, size_t size)
    engine_t *engine_new(int shards, uint64_t seed, uint64_t id_seed)
    void engine_free(engine_t *engine) nogil
    bint engine_start(engine_t *engine)
    void engine_stop(engine_t *engine) nogil
    void engine_set_clock(engine_t *engine, int64_t now)
    const up_header_t *ring_peek(ring_t *ring)
    void ring_pop(ring_t *ring)

cdef extern from "control.h":
    ctypedef struct totals_t:
        traffic_t relayed[4][2]
        uint64_t drops[DROPS]
        uint64_t internal
        uint64_t bindings
        uint64_t challenges
        uint64_t answers_limited
        uint64_t passed_on
    ctypedef struct control_settings_t:
        const addr_t *own_ips
        int own_ip_count
        const addr_t *denied
        int denied_count
        const uint16_t *plain_ports
        int plain_port_count
        bint answers_bindings
        const challenge_t *challenge
        int64_t answer_interval
        int64_t answer_burst
        int64_t total_rate
    bint control_add_listener(engine_t *engine, int shard, int fd, const addr_t *address)
    int control_open_relay(engine_t *engine, uint64_t number, const five_tuple_t *client,
                           int fd, const addr_t *local, const addr_t *public_address, int64_t rate)
    int control_join_relay(engine_t *engine, uint64_t number, const five_tuple_t *client,
                           int fd, const addr_t *local, const addr_t *public_address, int64_t rate)
    bint control_shared_relay(const engine_t *engine, const five_tuple_t *client,
                              const addr_t *ip, addr_t *local)
    void control_close_relay(engine_t *engine, uint64_t number, uint8_t family)
    bint control_close(engine_t *engine, uint64_t number, traffic_t *moved)
    bint control_traffic(engine_t *engine, uint64_t number, traffic_t *moved)
    bint control_move(engine_t *engine, uint64_t number, const five_tuple_t *client)
    bint control_set_permission(engine_t *engine, uint64_t number, const addr_t *ip,
                                int64_t deadline, bint internal_only)
    bint control_remove_permission(engine_t *engine, uint64_t number, const addr_t *ip)
    bint control_set_channel(engine_t *engine, uint64_t number, uint16_t channel,
                             const addr_t *peer, int64_t deadline, bint announced)
    bint control_remove_channel(engine_t *engine, uint64_t number, uint16_t channel)
    bint control_is_relayed(engine_t *engine, const addr_t *address)
    void control_close_all(engine_t *engine)
    void control_close_listeners(engine_t *engine)
    uint32_t control_receive_run(engine_t *engine, const uint8_t *data, uint32_t size,
                                 const five_tuple_t *client)
    void control_receive(engine_t *engine, const uint8_t *data, uint32_t size,
                         const five_tuple_t *client)
    const up_header_t *control_peek(engine_t *engine, ring_t **ring)
    bint control_may_wait(engine_t *engine)
    void control_woken(engine_t *engine)
    void control_taken(engine_t *engine, const up_header_t *entry)
    bint control_reconfigure(engine_t *engine, const control_settings_t *settings)
    void control_receive_tos(engine_t *engine, bint on)
    void control_totals(engine_t *engine, totals_t *totals)
