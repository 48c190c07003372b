/* The mode of packets: through a server's allocations, or (`direct`) from socket to socket. */
#include <errno.h>
#include <math.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "load.h"

enum {
    BATCH = 32,           /* packets sent at once */
    READS = 16,           /* buffers read at once; each holds many packets if the kernel merged */
    READ_SIZE = 65536,
    HEAD_MAX = 64,        /* what goes before the payload: ChannelData, or a Send indication's head */
    PAYLOAD_ROOM = 1408,
};

/* At the head of every payload. */
struct stamp {
    uint64_t sent; /* ns */
    uint32_t mark;
    uint32_t flow;
};

static const uint32_t MARK = 0x62656E63;

enum framing { BARE, CHANNEL, INDICATION };

/* What is the same in all packets of a flow in one direction. */
struct lane {
    struct sockaddr_in destination;
    struct in_addr source;
    size_t head_size;
    uint8_t head[HEAD_MAX];
};

/* One direction: its lanes, which one's turn it is, and the packets of one system call. */
struct way {
    const struct end *from, *to;
    enum framing sent_as, received_as;
    struct lane *lanes;
    uint32_t turn;
    struct mmsghdr messages[BATCH];
    struct iovec vectors[2 * BATCH];
    uint8_t control[BATCH][CONTROL_MAX];
    uint8_t payloads[BATCH][PAYLOAD_ROOM];
};

struct traffic {
    const struct options *options;
    struct end clients, peers;
    struct flow *flows;
    struct way ways[2];
    int way_count;
    int direct;
    uint64_t sent, delivered, foreign;
    uint64_t from, until; /* only packets sent in this time count, at a fixed rate */
    uint32_t *latencies;  /* ns, as many as `delivered`; NULL when flooding */
    size_t latency_room;
    struct mmsghdr in[READS];
    struct iovec in_vectors[READS];
    struct sockaddr_in in_sources[READS];
    uint8_t in_control[READS][128];
    uint8_t buffers[READS][READ_SIZE];
};

static void *reserve(size_t count, size_t size) {
    void *room = calloc(count, size);
    if (room == NULL) {
        die("calloc");
    }
    return room;
}

static void fill_lane(const struct traffic *traffic, const struct way *way, struct lane *lane,
                      const struct flow *flow) {
    size_t payload = (size_t)traffic->options->payload;
    int up = way->from == &traffic->clients;
    lane->source = flow->address;
    lane->destination = traffic->direct ? address_of(flow, way->to)
                        : up            ? traffic->options->server
                                        : flow->relayed;
    if (way->sent_as == CHANNEL) {
        write_u16(lane->head, flow->channel);
        write_u16(lane->head + 2, (uint16_t)payload);
        lane->head_size = 4;
    } else if (way->sent_as == INDICATION) {
        struct message message;
        struct sockaddr_in peer = address_of(flow, way->to);
        uint8_t data[PAYLOAD_ROOM] = {0};
        stun_begin(&message, SEND_INDICATION);
        stun_add_address(&message, ATTR_XOR_PEER_ADDRESS, &peer);
        lane->head_size = message.size + 4;
        stun_add(&message, ATTR_DATA, data, payload);
        memcpy(lane->head, message.bytes, lane->head_size);
    }
}

static void add_way(struct traffic *traffic, const struct end *from, const struct end *to,
                    enum framing sent_as, enum framing received_as) {
    size_t count = (size_t)traffic->options->allocations;
    struct way *way = &traffic->ways[traffic->way_count++];
    way->from = from;
    way->to = to;
    way->sent_as = sent_as;
    way->received_as = received_as;
    way->lanes = reserve(count, sizeof *way->lanes);
    for (size_t i = 0; i < count; i++) {
        fill_lane(traffic, way, &way->lanes[i], &traffic->flows[i]);
    }
}

/* The lane whose turn it is: each for a burst. Runs per packet. */
static uint32_t next_flow(const struct traffic *traffic, struct way *way) {
    uint32_t flow = way->turn / (uint32_t)traffic->options->burst;
    uint32_t turns = (uint32_t)traffic->options->allocations * (uint32_t)traffic->options->burst;
    way->turn = way->turn + 1 < turns ? way->turn + 1 : 0;
    return flow;
}

/* Put a packet of this flow into its slot, as another segment of the message or as its first. */
static void put(struct way *way, struct msghdr *message, int slot, size_t size, uint32_t flow,
                uint64_t now) {
    struct stamp stamp = {now, MARK, flow};
    struct iovec *vectors = &way->vectors[2 * slot];
    struct lane *lane = &way->lanes[flow];
    memcpy(way->payloads[slot], &stamp, sizeof stamp);
    /* RFC 8489 14: an attribute's value is padded. The room behind the payload is zero. */
    size_t padded = way->sent_as == INDICATION ? (size + 3) & ~(size_t)3 : size;
    vectors[0] = (struct iovec){lane->head, lane->head_size};
    vectors[1] = (struct iovec){way->payloads[slot], padded};
    if (message->msg_iovlen == 0) {
        message->msg_name = &lane->destination;
        message->msg_namelen = sizeof lane->destination;
        message->msg_iov = vectors;
    }
    message->msg_iovlen += 2;
}

/* Send so many packets with one system call. */
static void send_batch(struct traffic *traffic, struct way *way, int packets) {
    size_t payload = (size_t)traffic->options->payload;
    uint64_t now = now_ns();
    uint32_t last = UINT32_MAX;
    int count = 0, counted[BATCH];
    for (int slot = 0; slot < packets; slot++) {
        uint32_t flow = next_flow(traffic, way);
        if (!traffic->options->segment || flow != last) {
            way->messages[count].msg_hdr = (struct msghdr){.msg_control = way->control[count]};
            counted[count++] = 0;
        }
        put(way, &way->messages[count - 1].msg_hdr, slot, payload, flow, now);
        counted[count - 1]++;
        last = flow;
    }
    for (int i = 0; i < count; i++) {
        struct msghdr *message = &way->messages[i].msg_hdr;
        size_t size = message->msg_iov[0].iov_len + message->msg_iov[1].iov_len;
        const struct stamp *stamp = message->msg_iov[1].iov_base;
        message->msg_controllen = write_control(way->control[i], way->lanes[stamp->flow].source,
                                                counted[i] > 1 ? (uint16_t)size : 0);
    }
    int done = sendmmsg(way->from->fd, way->messages, (unsigned)count, MSG_DONTWAIT);
    if (done < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED) {
        die("sendmmsg");
    }
    for (int i = 0; i < done; i++) {
        traffic->sent += (uint64_t)counted[i];
    }
}

static void account(struct traffic *traffic, const struct stamp *stamp, uint64_t now) {
    if (traffic->latencies == NULL) {
        traffic->delivered++;
        return;
    }
    if (stamp->sent < traffic->from || stamp->sent > traffic->until ||
        traffic->delivered >= traffic->latency_room) {
        return;
    }
    uint64_t took = now - stamp->sent;
    traffic->latencies[traffic->delivered++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
}

/* The payload inside a packet, or NULL if it is not what was sent. Runs per packet. */
static const uint8_t *unwrap(const struct traffic *traffic, const struct way *way,
                             const uint8_t *bytes, size_t size, uint16_t *channel) {
    size_t payload = (size_t)traffic->options->payload;
    struct attribute found;
    if (way->received_as == BARE) {
        return size == payload ? bytes : NULL;
    }
    if (way->received_as == CHANNEL) {
        *channel = size >= 4 ? read_u16(bytes) : 0;
        return size >= 4 + payload && read_u16(bytes + 2) == payload ? bytes + 4 : NULL;
    }
    return size >= STUN_HEADER && read_u16(bytes) == DATA_INDICATION &&
                   stun_find(bytes, size, ATTR_DATA, &found) && found.size == payload
               ? found.value
               : NULL;
}

/* Count a packet if it is what its flow sent and came from and to where it should. */
static void take(struct traffic *traffic, const struct way *way, const uint8_t *bytes, size_t size,
                 const struct sockaddr_in *source, struct in_addr destination, uint64_t now) {
    uint16_t channel = 0;
    struct stamp stamp;
    const uint8_t *payload = unwrap(traffic, way, bytes, size, &channel);
    if (payload != NULL) {
        memcpy(&stamp, payload, sizeof stamp);
    }
    if (payload == NULL || stamp.mark != MARK ||
        stamp.flow >= (uint32_t)traffic->options->allocations) {
        traffic->foreign++;
        return;
    }
    const struct flow *flow = &traffic->flows[stamp.flow];
    struct sockaddr_in expected = traffic->direct                ? address_of(flow, way->from)
                                  : way->to == &traffic->clients ? traffic->options->server
                                                                 : flow->relayed;
    if (flow->address.s_addr != destination.s_addr || source->sin_port != expected.sin_port ||
        source->sin_addr.s_addr != expected.sin_addr.s_addr ||
        (way->received_as == CHANNEL && channel != flow->channel)) {
        traffic->foreign++;
        return;
    }
    account(traffic, &stamp, now);
}

/* Take a batch from where the way leads. Not all there is: while a flood waits for its sender to
 * have read everything, the server runs dry and then loses the burst that follows. */
static void receive(struct traffic *traffic, const struct way *way) {
    for (int i = 0; i < READS; i++) {
        traffic->in[i].msg_hdr.msg_namelen = sizeof traffic->in_sources[i];
        traffic->in[i].msg_hdr.msg_controllen = sizeof traffic->in_control[i];
    }
    int count = recvmmsg(way->to->fd, traffic->in, READS, MSG_DONTWAIT, NULL);
    uint64_t now = count > 0 ? now_ns() : 0;
    for (int i = 0; i < count; i++) {
        struct msghdr *message = &traffic->in[i].msg_hdr;
        size_t size = traffic->in[i].msg_len, segment = size;
        struct in_addr destination = {0};
        for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item != NULL;
             item = CMSG_NXTHDR(message, item)) {
            if (item->cmsg_level == IPPROTO_UDP && item->cmsg_type == UDP_GRO) {
                segment = (size_t)*(int *)CMSG_DATA(item);
            } else if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_PKTINFO) {
                destination = ((struct in_pktinfo *)CMSG_DATA(item))->ipi_addr;
            }
        }
        for (size_t at = 0; at < size; at += segment) {
            take(traffic, way, traffic->buffers[i] + at, size - at < segment ? size - at : segment,
                 &traffic->in_sources[i], destination, now);
        }
    }
}

/* Send as fast as it goes, receiving in between, until `end`. */
static void flood(struct traffic *traffic, uint64_t end) {
    while (now_ns() < end) {
        for (int i = 0; i < traffic->way_count; i++) {
            send_batch(traffic, &traffic->ways[i], BATCH);
            receive(traffic, &traffic->ways[i]);
            receive(traffic, &traffic->ways[i]);
        }
    }
}

/* Send one packet whenever one is due, from the flows in turn, polling without sleep. */
static void pace(struct traffic *traffic, uint64_t begin, uint64_t end) {
    double interval = 1e9 / traffic->options->rate;
    uint64_t now, number = 0;
    while ((now = now_ns()) < end) {
        if (now >= begin + (uint64_t)((double)number * interval)) {
            send_batch(traffic, &traffic->ways[number++ % (uint64_t)traffic->way_count], 1);
        }
        for (int i = 0; i < traffic->way_count; i++) {
            receive(traffic, &traffic->ways[i]);
        }
    }
}

static int ascending(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* The nearest-rank quantile in microseconds. */
static double quantile(const struct traffic *traffic, double share) {
    if (traffic->delivered == 0) {
        return NAN;
    }
    size_t rank = (size_t)ceil(share * (double)traffic->delivered);
    return traffic->latencies[rank > 0 ? rank - 1 : 0] / 1e3;
}

static void prepare(struct traffic *traffic, const struct options *options) {
    enum framing framing = options->indications ? INDICATION : CHANNEL;
    traffic->options = options;
    traffic->direct = strcmp(options->mode, "direct") == 0;
    open_end(&traffic->clients);
    open_end(&traffic->peers);
    traffic->flows = new_flows(options);
    for (int i = 0; i < options->allocations && !traffic->direct; i++) {
        open_allocation(options, &traffic->flows[i], &traffic->clients);
        open_peer(options, &traffic->flows[i], &traffic->clients, &traffic->peers);
    }
    framing = traffic->direct ? BARE : framing;
    if (options->up) {
        add_way(traffic, &traffic->clients, &traffic->peers, framing, BARE);
    }
    if (options->down) {
        add_way(traffic, &traffic->peers, &traffic->clients, BARE, framing);
    }
    for (int i = 0; i < READS; i++) {
        traffic->in_vectors[i] = (struct iovec){traffic->buffers[i], READ_SIZE};
        traffic->in[i].msg_hdr = (struct msghdr){.msg_name = &traffic->in_sources[i],
                                                 .msg_control = traffic->in_control[i],
                                                 .msg_iov = &traffic->in_vectors[i],
                                                 .msg_iovlen = 1};
    }
    if (options->rate > 0) {
        traffic->latency_room = (size_t)(options->rate * options->seconds * 1.1) + 1000;
        traffic->latencies = reserve(traffic->latency_room, sizeof *traffic->latencies);
    }
}

static void print(const struct traffic *traffic, double seconds, double server, double own) {
    printf("{\"sent\": %llu, \"delivered\": %llu, \"foreign\": %llu, \"seconds\": %.6f, "
           "\"load_cpu\": %.3f",
           (unsigned long long)traffic->sent, (unsigned long long)traffic->delivered,
           (unsigned long long)traffic->foreign, seconds, own);
    if (traffic->options->pid_count > 0) {
        printf(", \"server_cpu\": %.3f", server);
    }
    if (traffic->latencies != NULL && traffic->delivered > 0) {
        printf(", \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f", quantile(traffic, 0.5),
               quantile(traffic, 0.99), quantile(traffic, 0.999));
    }
    printf("}\n");
}

void run_traffic(const struct options *options) {
    struct traffic *traffic = reserve(1, sizeof *traffic);
    if (options->payload < (int)sizeof(struct stamp) || options->payload > 1400) {
        errno = 0;
        die("--payload takes 16 to 1400 bytes");
    }
    prepare(traffic, options);

    uint64_t begin = now_ns();
    uint64_t warm = begin + (uint64_t)(options->warmup * 1e9);
    traffic->from = UINT64_MAX;
    if (traffic->latencies != NULL) {
        pace(traffic, begin, warm);
    } else {
        flood(traffic, warm);
    }
    double server_before = server_cpu(options), own_before = own_cpu();
    traffic->sent = traffic->delivered = traffic->foreign = 0;
    traffic->from = now_ns();
    traffic->until = traffic->from + (uint64_t)(options->seconds * 1e9);
    if (traffic->latencies != NULL) {
        pace(traffic, traffic->from, traffic->until);
    } else {
        flood(traffic, traffic->until);
    }
    double seconds = (double)(now_ns() - traffic->from) / 1e9;
    double server = server_cpu(options) - server_before, own = own_cpu() - own_before;
    if (traffic->latencies != NULL) {
        /* At a fixed rate what is still under way was not lost. */
        for (uint64_t end = now_ns() + 300000000u; now_ns() < end;) {
            for (int i = 0; i < traffic->way_count; i++) {
                receive(traffic, &traffic->ways[i]);
            }
        }
        qsort(traffic->latencies, traffic->delivered, sizeof *traffic->latencies, ascending);
    }
    print(traffic, seconds, server, own);
}
