/* Receiving and sending in batches: recvmmsg, sendmmsg, UDP_GRO, UDP_SEGMENT.
 *
 * Received bytes stay in the shard's slots until `batch_flush` has sent what points to
 * them. Runs of datagrams with one destination, one size and one TOS leave as one
 * segmented send; the last of a run may be shorter, as the kernel allows.
 */
#include "engine.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <time.h>

#include <linux/errqueue.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define MAX_PARTS (3 * MAX_SEGMENTS)
#define VECTOR_PARTS (4 * MAX_PARTS)
#define MAX_GSO_BYTES 65000

typedef struct {
    struct mmsghdr headers[BATCH];
    struct iovec parts[VECTOR_PARTS];
    struct sockaddr_storage names[BATCH];
    union {
        struct cmsghdr align;
        uint8_t bytes[CONTROL_SIZE];
    } controls[BATCH];
    int first[BATCH]; /* the first message of each header's run */
    int runs[BATCH];  /* how many messages it has */
} send_vector_t;

void batch_socket_options(int fd) {
    int on = 1;
    /* A refinement: a kernel without it relays all the same. */
    setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
}

static void send_all(shard_t *shard);

message_t *batch_add(shard_t *shard, out_queue_t *queue) {
    /* The slots stay taken: the caller is in the middle of what it received. */
    if (shard->message_count == MAX_OUT) send_all(shard);
    int index = shard->message_count++;
    message_t *message = &shard->messages[index];
    message->next = -1;
    if (queue->queued) {
        shard->messages[queue->tail].next = (int16_t)index;
    } else {
        queue->queued = true;
        queue->head = (int16_t)index;
        shard->queues[shard->queue_count++] = queue;
    }
    queue->tail = (int16_t)index;
    return message;
}

static void *put_control(struct msghdr *header, int level, int type, const void *value,
                         size_t size) {
    struct cmsghdr *control =
        (struct cmsghdr *)((uint8_t *)header->msg_control + header->msg_controllen);
    memset(control, 0, CMSG_SPACE(size));
    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(control), value, size);
    header->msg_controllen += CMSG_SPACE(size);
    return control;
}

static void put_controls(struct msghdr *header, const message_t *message, uint8_t family,
                         uint16_t segment) {
    header->msg_controllen = 0;
    if (message->tos) {
        int tos = message->tos;
        if (family == IPV4)
            put_control(header, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
        else
            put_control(header, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
    }
    if (message->from.family == IPV4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, message->from.ip, 4);
        put_control(header, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else if (message->from.family == IPV6) {
        struct in6_pktinfo info = {0};
        memcpy(&info.ipi6_addr, message->from.ip, 16);
        info.ipi6_ifindex = message->from.scope;
        put_control(header, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
    if (segment) put_control(header, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment);
    if (!header->msg_controllen) header->msg_control = NULL;
}

static bool joins(const message_t *first, const message_t *next, uint32_t bytes, int count) {
    return count < MAX_SEGMENTS && next->size <= first->size && next->size &&
           bytes + next->size <= MAX_GSO_BYTES && next->tos == first->tos &&
           next->df == first->df && !memcmp(&next->to, &first->to, sizeof next->to) &&
           !memcmp(&next->from, &first->from, sizeof next->from);
}

static int add_parts(struct iovec *parts, const message_t *message) {
    int count = 0;
    for (int i = 0; i < 3; i++)
        if (message->parts[i].iov_len) parts[count++] = message->parts[i];
    return count;
}

static bool set_df(out_queue_t *queue, bool df) {
    if (queue->df == df) return true;
    int result;
    if (queue->family == IPV4) {
        /* OMIT: no DF either, but ICMP's "fragmentation needed" is still told. */
        int value = df ? IP_PMTUDISC_DO : IP_PMTUDISC_OMIT;
        result = setsockopt(queue->fd, IPPROTO_IP, IP_MTU_DISCOVER, &value, sizeof value);
    } else {
        int value = df;
        result = setsockopt(queue->fd, IPPROTO_IPV6, IPV6_DONTFRAG, &value, sizeof value);
    }
    if (!result) queue->df = df;
    return !result;
}

/* Take messages off the queue into one vector; returns how many headers it has. */
static int fill(shard_t *shard, out_queue_t *queue, send_vector_t *vector) {
    int count = 0, parts = 0;
    int index = queue->head;
    bool df = shard->messages[index].df;
    while (index >= 0 && count < BATCH && parts + MAX_PARTS <= VECTOR_PARTS) {
        const message_t *first = &shard->messages[index];
        if (first->df != df) break;
        struct msghdr *header = &vector->headers[count].msg_hdr;
        *header = (struct msghdr){.msg_name = &vector->names[count],
                                  .msg_iov = &vector->parts[parts],
                                  .msg_control = vector->controls[count].bytes};
        header->msg_namelen = addr_to_sockaddr(&first->to, &vector->names[count]);
        vector->first[count] = index;
        int used = add_parts(&vector->parts[parts], first);
        uint32_t bytes = first->size;
        int run = 1;
        int next = first->next;
        while (next >= 0 && !queue->no_gso && first->size &&
               joins(first, &shard->messages[next], bytes, run)) {
            const message_t *message = &shard->messages[next];
            used += add_parts(&vector->parts[parts + used], message);
            bytes += message->size;
            run++;
            next = message->next;
            if (message->size < first->size) break;
        }
        header->msg_iovlen = (size_t)used;
        put_controls(header, first, queue->family, run > 1 ? (uint16_t)first->size : 0);
        vector->runs[count++] = run;
        parts += used;
        index = next;
    }
    queue->head = (int16_t)index;
    if (set_df(queue, df)) return count;
    /* RFC 8656 §11.2: as if the attribute were unknown, that is, to be discarded. */
    for (int i = 0; i < count; i++)
        count_drop(shard, DROP_SEND_FAILED, (uint64_t)vector->runs[i]);
    return 0;
}

static void count_sent(shard_t *shard, int index, int run) {
    for (; run > 0; run--) {
        const message_t *message = &shard->messages[index];
        allocation_t *allocation = message->allocation;
        if (allocation) {
            traffic_t *totals = &shard->relayed[allocation->client.transport][message->family];
            totals->packets[message->direction]++;
            totals->bytes[message->direction] += message->payload;
            allocation->traffic.packets[message->direction]++;
            allocation->traffic.bytes[message->direction] += message->payload;
            shard->internal += message->inside;
        }
        index = message->next;
    }
}

static enum drop drop_of(int error) {
    switch (error) {
        case EAGAIN:
        case ENOBUFS:
        case ENOMEM:
            return DROP_SEND_BUFFER_FULL;
        case EMSGSIZE:
            return DROP_TOO_LARGE;
        default:
            return DROP_SEND_FAILED;
    }
}

/* Send a run that failed as one segmented datagram, datagram by datagram. */
static void send_singly(shard_t *shard, out_queue_t *queue, int index, int run) {
    for (; run > 0; run--) {
        const message_t *message = &shard->messages[index];
        struct sockaddr_storage name;
        struct iovec parts[3];
        union {
            struct cmsghdr align;
            uint8_t bytes[CONTROL_SIZE];
        } control;
        struct msghdr header = {.msg_name = &name, .msg_iov = parts, .msg_control = control.bytes};
        header.msg_namelen = addr_to_sockaddr(&message->to, &name);
        header.msg_iovlen = (size_t)add_parts(parts, message);
        put_controls(&header, message, queue->family, 0);
        ssize_t sent = sendmsg(queue->fd, &header, MSG_DONTWAIT);
        /* An error of an earlier datagram (ICMP) comes up once, in place of a send. */
        if (sent < 0 && (errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH))
            sent = sendmsg(queue->fd, &header, MSG_DONTWAIT);
        if (sent < 0)
            count_drop(shard, drop_of(errno), 1);
        else
            count_sent(shard, index, 1);
        index = message->next;
    }
}

static void flush_queue(shard_t *shard, out_queue_t *queue, send_vector_t *vector) {
    while (queue->head >= 0) {
        int count = fill(shard, queue, vector);
        for (int done = 0; done < count;) {
            int sent =
                sendmmsg(queue->fd, &vector->headers[done], (unsigned)(count - done), MSG_DONTWAIT);
            if (sent > 0) {
                for (int i = done; i < done + sent; i++)
                    count_sent(shard, vector->first[i], vector->runs[i]);
                done += sent;
                continue;
            }
            int error = errno;
            if (error == EINTR) continue;
            if (vector->runs[done] > 1 && (error == EINVAL || error == EIO || error == EMSGSIZE)) {
                /* Segments larger than the device's MTU; or a device that can't: never again. */
                queue->no_gso = error == EIO;
                send_singly(shard, queue, vector->first[done], vector->runs[done]);
            } else if (error == EAGAIN || error == ENOBUFS) {
                count_drop(shard, DROP_SEND_BUFFER_FULL, (uint64_t)vector->runs[done]);
            } else {
                send_singly(shard, queue, vector->first[done], vector->runs[done]);
            }
            done++;
        }
    }
    queue->queued = false;
}

static void send_all(shard_t *shard) {
    static _Thread_local send_vector_t vector;
    for (int i = 0; i < shard->queue_count; i++) flush_queue(shard, shard->queues[i], &vector);
    shard->queue_count = 0;
    shard->message_count = 0;
}

void batch_flush(shard_t *shard) {
    send_all(shard);
    shard->slots_used = 0;
}

/* --- receiving --- */

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
    if (count > 0) shard->slots_used += (uint32_t)count;
    return count;
}

void batch_receive_listener(shard_t *shard, listener_t *listener) {
    batch_flush(shard); /* all slots are free now */
    int count = receive(shard, listener->queue.fd, BATCH);
    for (int i = 0; i < count; i++) {
        struct msghdr *header = &receiving.headers[i].msg_hdr;
        ancillary_t ancillary = {.to = listener->address};
        read_controls(shard, header, &listener->overflow, &ancillary);
        five_tuple_t from = {.server = ancillary.to, .transport = TRANSPORT_UDP};
        addr_from_sockaddr(&from.client, &receiving.names[i]);
        shard_t *home = engine_shard_of(shard->engine, &from.client);
        uint8_t *data = receiving.parts[i].iov_base;
        uint32_t size = receiving.headers[i].msg_len;
        uint32_t segment = ancillary.segment && ancillary.segment < size ? ancillary.segment : size;
        uint32_t offset = 0;
        do {
            uint32_t length = size - offset < segment ? size - offset : segment;
            if (home == shard)
                road_from_client(shard, listener, &from, data + offset, length, ancillary.tos);
            else
                road_pass_on(shard, home, &from, data + offset, length, ancillary.tos);
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
    int most = relay->allocation ? RELAY_BATCH : BATCH;
    if (shard->slots_used + (uint32_t)most > BATCH) batch_flush(shard);
    int count = receive(shard, relay->queue.fd, most);
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
        uint32_t segment = ancillary.segment && ancillary.segment < size ? ancillary.segment : size;
        uint32_t offset = 0;
        do {
            uint32_t length = size - offset < segment ? size - offset : segment;
            road_from_peer(shard, relay, &peer, data + offset, length, ancillary.tos, false);
            offset += length;
        } while (offset < size);
    }
}
