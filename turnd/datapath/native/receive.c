/* Receiving in batches: recvmmsg, UDP_GRO; and the kernel's news of ICMP errors. */
#include "engine.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <time.h>

#include <linux/errqueue.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

void batch_socket_options(int fd) {
    int on = 1;
    /* A refinement: a kernel without it relays all the same. */
    setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
}

typedef struct {
    struct mmsghdr headers[BATCH];
    struct iovec parts[BATCH];
    struct sockaddr_storage names[BATCH];
    union {
        struct cmsghdr align;
        uint8_t bytes[CONTROL_SIZE];
    } controls[BATCH];
} receive_vector_t;

static _Thread_local receive_vector_t receiving;

typedef struct {
    uint32_t segment; /* size of each but the last datagram in the buffer; 0: it is one */
    uint8_t tos;
    addr_t to;
} ancillary_t;

static void read_controls(shard_t *shard, struct msghdr *header, uint32_t *overflow,
                          ancillary_t *out) {
    out->segment = 0;
    out->tos = 0;
    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control;
         control = CMSG_NXTHDR(header, control)) {
        const void *value = CMSG_DATA(control);
        if (control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, value, sizeof size);
            out->segment = (uint32_t)size;
        } else if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_TOS) {
            out->tos = *(const uint8_t *)value;
        } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_TCLASS) {
            int tclass;
            memcpy(&tclass, value, sizeof tclass);
            out->tos = (uint8_t)tclass;
        } else if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
            const struct in_pktinfo *info = value;
            memcpy(out->to.ip, &info->ipi_addr, 4);
        } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
            const struct in6_pktinfo *info = value;
            memcpy(out->to.ip, &info->ipi6_addr, 16);
            bool link_local = out->to.ip[0] == 0xfe && (out->to.ip[1] & 0xc0) == 0x80;
            out->to.scope = link_local ? (uint32_t)info->ipi6_ifindex : 0;
        } else if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SO_RXQ_OVFL) {
            uint32_t lost;
            memcpy(&lost, value, sizeof lost);
            count_drop(shard, DROP_SOCKET_OVERFLOW, lost - *overflow);
            *overflow = lost;
        }
    }
}

static uint32_t segment_of(const ancillary_t *ancillary, uint32_t size) {
    return ancillary->segment && ancillary->segment < size ? ancillary->segment : size;
}

/* Receive up to `most` datagrams into free slots; -1 with errno. */
static int receive(shard_t *shard, int fd, int most) {
    for (int i = 0; i < most; i++) {
        uint8_t *slot = shard->slots + (size_t)(shard->slots_used + (uint32_t)i) * SLOT_SIZE;
        receiving.parts[i] = (struct iovec){slot, 65536};
        receiving.headers[i].msg_hdr = (struct msghdr){.msg_name = &receiving.names[i],
                                                       .msg_namelen = sizeof receiving.names[i],
                                                       .msg_iov = &receiving.parts[i],
                                                       .msg_iovlen = 1,
                                                       .msg_control = receiving.controls[i].bytes,
                                                       .msg_controllen = CONTROL_SIZE};
    }
    int count = recvmmsg(fd, receiving.headers, (unsigned)most, MSG_DONTWAIT, NULL);
    if (count > 0) {
        shard->slots_used += (uint32_t)count;
        shard->received += (uint32_t)count;
    }
    return count;
}

/* Long batches cost less for each packet, and make the first wait: only a flood gets them. */
void batch_adapt(shard_t *shard) {
    shard->batch = shard->received < SHORT_BATCH ? SHORT_BATCH : BATCH;
    shard->received = 0;
}

void batch_receive_listener(shard_t *shard, listener_t *listener) {
    batch_flush(shard); /* all slots are free now */
    int count = receive(shard, listener->queue.fd, (int)shard->batch);
    ancillary_t ancillaries[BATCH];
    five_tuple_t senders[BATCH];
    for (int i = 0; i < count; i++) {
        ancillaries[i] = (ancillary_t){.to = listener->address};
        read_controls(shard, &receiving.headers[i].msg_hdr, &listener->overflow, &ancillaries[i]);
        senders[i] = (five_tuple_t){.server = ancillaries[i].to, .transport = TRANSPORT_UDP};
        addr_from_sockaddr(&senders[i].client, &receiving.names[i]);
    }
    ahead_clients(shard, senders, count);
    for (int i = 0; i < count; i++) {
        const five_tuple_t *from = &senders[i];
        shard_t *home = engine_shard_of(shard->engine, &from->client);
        uint8_t *data = receiving.parts[i].iov_base;
        uint32_t size = receiving.headers[i].msg_len;
        uint32_t segment = segment_of(&ancillaries[i], size);
        uint32_t offset = 0;
        do {
            uint32_t length = size - offset < segment ? size - offset : segment;
            if (home == shard)
                road_from_client(shard, listener, from, data + offset, length, ancillaries[i].tos);
            else
                road_pass_on(shard, home, from, data + offset, length, ancillaries[i].tos);
            offset += length;
        } while (offset < size);
    }
    batch_flush(shard);
}

static void drain_errors(shard_t *shard, relay_t *relay) {
    for (int i = 0; i < BATCH; i++) {
        uint8_t byte[1];
        struct iovec part = {byte, sizeof byte};
        struct sockaddr_storage name;
        union {
            struct cmsghdr align;
            uint8_t bytes[512];
        } control;
        struct msghdr header = {.msg_name = &name,
                                .msg_namelen = sizeof name,
                                .msg_iov = &part,
                                .msg_iovlen = 1,
                                .msg_control = control.bytes,
                                .msg_controllen = sizeof control.bytes};
        if (recvmsg(relay->queue.fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return;
        for (struct cmsghdr *entry = CMSG_FIRSTHDR(&header); entry;
             entry = CMSG_NXTHDR(&header, entry)) {
            bool v4 = entry->cmsg_level == IPPROTO_IP && entry->cmsg_type == IP_RECVERR;
            bool v6 = entry->cmsg_level == IPPROTO_IPV6 && entry->cmsg_type == IPV6_RECVERR;
            if (!v4 && !v6) continue;
            struct sock_extended_err error;
            memcpy(&error, CMSG_DATA(entry), sizeof error);
            /* RFC 8656 §11.5: types 3 and 11 of ICMPv4, 1, 2 and 3 of ICMPv6. */
            bool relevant =
                (error.ee_origin == SO_EE_ORIGIN_ICMP && (error.ee_type == 3 || error.ee_type == 11)) ||
                (error.ee_origin == SO_EE_ORIGIN_ICMP6 && error.ee_type >= 1 && error.ee_type <= 3);
            if (!relevant) continue;
            bool too_big = error.ee_origin == SO_EE_ORIGIN_ICMP
                               ? error.ee_type == 3 && error.ee_code == 4
                               : error.ee_type == 2 && error.ee_code == 0;
            addr_t peer;
            addr_from_sockaddr(&peer, &name);
            road_icmp(shard, relay, &peer, error.ee_type, error.ee_code,
                      too_big ? error.ee_info : 0);
        }
    }
}

void batch_receive_relay(shard_t *shard, relay_t *relay) {
    /* A shared one has many clients' packets. */
    uint32_t most = relay->allocation ? RELAY_BATCH : BATCH;
    if (most > shard->batch) most = shard->batch;
    if (shard->slots_used >= shard->batch || shard->slots_used + most > BATCH) batch_flush(shard);
    int count = receive(shard, relay->queue.fd, (int)most);
    if (count < 0) {
        /* On EAGAIN too: a send may have been told the error that woke us. */
        if (errno != EINTR) drain_errors(shard, relay);
        return;
    }
    for (int i = 0; i < count; i++) {
        struct msghdr *header = &receiving.headers[i].msg_hdr;
        ancillary_t ancillary = {0};
        read_controls(shard, header, &relay->overflow, &ancillary);
        addr_t peer;
        addr_from_sockaddr(&peer, &receiving.names[i]);
        uint8_t *data = receiving.parts[i].iov_base;
        uint32_t size = receiving.headers[i].msg_len;
        uint32_t segment = segment_of(&ancillary, size);
        uint32_t offset = 0;
        do {
            uint32_t length = size - offset < segment ? size - offset : segment;
            road_from_peer(shard, relay, &peer, data + offset, length, ancillary.tos, false);
            offset += length;
        } while (offset < size);
    }
}
