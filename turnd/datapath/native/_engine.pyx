# cython: language_level=3
"""The C engine as a Python object: addresses in and out of C, and no policy."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

import os

from stun import Address
from turnd.core.five_tuple import FiveTuple, Transport

_TRANSPORTS = (Transport.UDP, Transport.TCP, Transport.TLS, Transport.DTLS)
cdef enum:
    MOST_OF_A_RUN = 64
    BYTES_OF_A_RUN = 66000  # more than the largest entry, a whole datagram with its header
cdef dict _TRANSPORT_NUMBERS = {transport: i for i, transport in enumerate(_TRANSPORTS)}


cdef int fill_ip(addr_t *out, bytes packed) except -1:
    memset(out, 0, sizeof(addr_t))
    cdef Py_ssize_t size = len(packed)
    if size != 4 and size != 16:
        raise ValueError("an IP address has 4 or 16 bytes")
    memcpy(out.ip, <const uint8_t *>packed, size)
    out.family = size == 16
    return 0


cdef int fill(addr_t *out, object address) except -1:
    fill_ip(out, address.packed)
    out.port = address.port
    out.scope = address.scope
    return 0


cdef int fill_five_tuple(five_tuple_t *out, object five_tuple) except -1:
    memset(out, 0, sizeof(five_tuple_t))
    fill(&out.client, five_tuple.client)
    fill(&out.server, five_tuple.server)
    out.transport = _TRANSPORT_NUMBERS[five_tuple.transport]
    return 0


cdef object read_address(const addr_t *address):
    packed = PyBytes_FromStringAndSize(<const char *>address.ip, 16 if address.family else 4)
    return Address(packed, address.port, address.scope)


cdef object read_five_tuple(const five_tuple_t *five_tuple):
    return FiveTuple(
        _TRANSPORTS[five_tuple.transport],
        read_address(&five_tuple.client),
        read_address(&five_tuple.server),
    )


cdef tuple read_traffic(const traffic_t *moved):
    return moved.packets[0], moved.bytes[0], moved.packets[1], moved.bytes[1]


cdef addr_t *fill_all(list addresses) except? NULL:
    cdef addr_t *filled = <addr_t *>calloc(len(addresses) + 1, sizeof(addr_t))
    if filled == NULL:
        raise MemoryError
    try:
        for i, address in enumerate(addresses):
            fill(&filled[i], address)
    except BaseException:
        free(filled)
        raise
    return filled


cdef int fill_challenge(challenge_t *out, object challenge) except -1:
    memset(out, 0, sizeof(challenge_t))
    if challenge is None:
        return 0
    cdef bytes covers = challenge.covers
    cdef bytes before = challenge.before
    cdef bytes after = challenge.after
    cdef bytes features = challenge.features
    cdef bytes key = challenge.key
    if len(covers) > MAX_COVERS or len(before) > MAX_PIECE or len(after) > MAX_PIECE:
        return 0  # a realm that long: the core answers
    memcpy(out.covers, <const uint8_t *>covers, len(covers))
    memcpy(out.before, <const uint8_t *>before, len(before))
    memcpy(out.after, <const uint8_t *>after, len(after))
    memcpy(out.features, <const uint8_t *>features, 3)
    out.covers_size = len(covers)
    out.before_size = len(before)
    out.after_size = len(after)
    hmac_key(&out.key, key, len(key))
    out.on = True
    return 0


cdef class Engine:
    """An engine with its threads."""

    cdef engine_t *_engine
    cdef dict _five_tuples  # of each allocation
    cdef set _run_takers
    cdef up_header_t _taking[MOST_OF_A_RUN]
    cdef int _taking_count
    cdef uint8_t *_run

    def __cinit__(self, int shards, known_attributes):
        seed = int.from_bytes(os.urandom(8), "big")
        id_seed = int.from_bytes(os.urandom(8), "big")
        self._engine = engine_new(shards, seed, id_seed)
        self._run = <uint8_t *>malloc(BYTES_OF_A_RUN)
        if self._engine == NULL or self._run == NULL:
            raise MemoryError
        self._five_tuples = {}
        self._run_takers = set()
        for code in known_attributes:
            self._engine.known_attributes[code & 0x7FFF] = True

    def __dealloc__(self):
        engine_free(self._engine)
        free(self._run)

    def start(self):
        if not engine_start(self._engine):
            raise RuntimeError("can't start a thread")

    def stop(self):
        with nogil:
            engine_stop(self._engine)

    @property
    def up_fd(self):
        return self._engine.up_fd

    def set_clock(self, int64_t now):
        engine_set_clock(self._engine, now)

    def add_listener(self, int shard, int fd, address):
        cdef addr_t filled
        fill(&filled, address)
        if not control_add_listener(self._engine, shard, fd, &filled):
            raise OSError("too many listeners")

    def shared_relay(self, five_tuple, bytes ip):
        cdef five_tuple_t client
        cdef addr_t filled, local
        fill_five_tuple(&client, five_tuple)
        fill_ip(&filled, ip)
        if not control_shared_relay(self._engine, &client, &filled, &local):
            return None
        return read_address(&local)

    def open_relay(
        self, uint64_t number, five_tuple, int fd, local, public, int64_t rate, bint shared
    ):
        cdef five_tuple_t client
        cdef addr_t c_local, c_public
        fill_five_tuple(&client, five_tuple)
        fill(&c_local, local)
        fill(&c_public, public)
        if shared:
            error = control_join_relay(
                self._engine, number, &client, fd, &c_local, &c_public, rate
            )
        else:
            error = control_open_relay(
                self._engine, number, &client, fd, &c_local, &c_public, rate
            )
        if not error:
            self._five_tuples[number] = five_tuple
        return error

    def close_relay(self, uint64_t number, bint v6):
        control_close_relay(self._engine, number, v6)

    def close_allocation(self, uint64_t number):
        cdef traffic_t moved
        if not control_close(self._engine, number, &moved):
            return None
        del self._five_tuples[number]
        return read_traffic(&moved)

    def close_all(self):
        control_close_all(self._engine)
        self._five_tuples.clear()

    def close_listeners(self):
        control_close_listeners(self._engine)

    def traffic(self, uint64_t number):
        cdef traffic_t moved
        if not control_traffic(self._engine, number, &moved):
            return None
        return read_traffic(&moved)

    def move_allocation(self, uint64_t number, five_tuple):
        cdef five_tuple_t client
        fill_five_tuple(&client, five_tuple)
        if not control_move(self._engine, number, &client):
            return False
        self._five_tuples[number] = five_tuple
        return True

    def set_permission(self, uint64_t number, bytes ip, int64_t deadline, bint internal_only):
        cdef addr_t peer
        fill_ip(&peer, ip)
        return control_set_permission(self._engine, number, &peer, deadline, internal_only)

    def remove_permission(self, uint64_t number, bytes ip):
        cdef addr_t peer
        fill_ip(&peer, ip)
        control_remove_permission(self._engine, number, &peer)

    def set_channel(
        self, uint64_t number, uint16_t channel, peer, int64_t deadline, bint announced
    ):
        cdef addr_t filled
        fill(&filled, peer)
        return control_set_channel(self._engine, number, channel, &filled, deadline, announced)

    def remove_channel(self, uint64_t number, uint16_t channel):
        control_remove_channel(self._engine, number, channel)

    def is_relayed_address(self, address):
        cdef addr_t filled
        fill(&filled, address)
        return control_is_relayed(self._engine, &filled)

    def receive(self, bytes data, five_tuple):
        cdef five_tuple_t client
        fill_five_tuple(&client, five_tuple)
        control_receive(self._engine, data, len(data), &client)

    def receive_run(self, const uint8_t[::1] data, five_tuple):
        cdef five_tuple_t client
        if not data.shape[0]:
            return 0
        fill_five_tuple(&client, five_tuple)
        return control_receive_run(self._engine, &data[0], <uint32_t>data.shape[0], &client)

    def takes_runs(self, five_tuple, bint on):
        if on:
            self._run_takers.add(five_tuple)
        else:
            self._run_takers.discard(five_tuple)

    def reconfigure(
        self,
        list own_ips,
        list denied,
        int64_t total_rate,
        list plain_ports,
        int64_t answer_interval,
        int64_t answer_burst,
        bint answers_bindings,
        challenge,
    ):
        cdef control_settings_t settings
        cdef challenge_t template
        cdef uint16_t ports[256]
        cdef int port_count = min(len(plain_ports), 256)
        for i in range(port_count):
            ports[i] = plain_ports[i]
        fill_challenge(&template, challenge)
        cdef addr_t *ips = fill_all(own_ips)
        cdef addr_t *endpoints = NULL
        try:
            endpoints = fill_all(denied)
            settings.own_ips = ips
            settings.own_ip_count = len(own_ips)
            settings.denied = endpoints
            settings.denied_count = len(denied)
            settings.plain_ports = ports
            settings.plain_port_count = port_count
            settings.answers_bindings = answers_bindings
            settings.challenge = &template
            settings.answer_interval = answer_interval
            settings.answer_burst = answer_burst
            settings.total_rate = total_rate
            if not control_reconfigure(self._engine, &settings):
                raise MemoryError
        finally:
            free(ips)
            free(endpoints)

    def receive_tos(self, bint on):
        control_receive_tos(self._engine, on)

    def take(self):
        cdef ring_t *ring
        cdef const up_header_t *entry = control_peek(self._engine, &ring)
        self._taking_count = 0
        if entry == NULL:
            return None
        kind = entry.kind
        if kind != UP_TO_CLIENT:
            five_tuple = read_five_tuple(&entry.five_tuple)
            data = PyBytes_FromStringAndSize(<const char *>(entry + 1), entry.size)
            ring_pop(ring)
            return kind, data, five_tuple, 1
        number = entry.allocation
        five_tuple = self._five_tuples.get(number)
        if five_tuple is None:
            five_tuple = read_five_tuple(&entry.five_tuple)
            ring_pop(ring)
            return UP_GONE, b"", five_tuple, 1
        return kind, self._take_run(ring, number, five_tuple in self._run_takers), five_tuple, (
            self._taking_count
        )

    cdef bytes _take_run(self, ring_t *ring, uint64_t number, bint runs):
        """Take what is next for a client, and what follows for the same one."""
        cdef const up_header_t *entry = ring_peek(ring)
        cdef uint32_t size = 0
        while True:
            memcpy(self._run + size, entry + 1, entry.size)
            size += entry.size
            self._taking[self._taking_count] = entry[0]
            self._taking_count += 1
            ring_pop(ring)
            entry = ring_peek(ring) if runs else NULL
            if (
                entry == NULL
                or entry.kind != UP_TO_CLIENT
                or entry.allocation != number
                or self._taking_count == MOST_OF_A_RUN
                or size + entry.size > BYTES_OF_A_RUN
            ):
                return PyBytes_FromStringAndSize(<const char *>self._run, size)

    def taken(self):
        cdef int index
        for index in range(self._taking_count):
            control_taken(self._engine, &self._taking[index])
        self._taking_count = 0

    def may_wait(self):
        return control_may_wait(self._engine)

    def woken(self):
        control_woken(self._engine)

    def totals(self):
        cdef totals_t totals
        control_totals(self._engine, &totals)
        relayed = {
            (transport, family): read_traffic(&totals.relayed[i][family])
            for i, transport in enumerate(_TRANSPORTS)
            for family in range(2)
        }
        drops = [totals.drops[i] for i in range(DROPS)]
        return (
            relayed,
            drops,
            totals.internal,
            totals.bindings,
            totals.challenges,
            totals.answers_limited,
            totals.passed_on,
        )
