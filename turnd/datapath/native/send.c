/* Sending in batches: sendmmsg, UDP_SEGMENT.
 *
 * Received bytes stay in the shard's slots until `batch_flush` has sent what points to
 * them. Runs of datagrams with one destination, one size and one TOS leave as one
 * segmented send; the last of a run may be shorter, as the kernel allows.
 */
#include "engine.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
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
