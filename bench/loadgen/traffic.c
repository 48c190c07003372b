/* The mode of packets: through a server's allocations, or (`direct`) from socket to socket. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

enum {
    BATCH = 32,
    READY = 2, /* more than one, so that receiving outpaces sending */
    PACKET_MAX = 2048,
    STAMP_SIZE = 16, /* the time of sending and a mark, at the head of every payload */
};

static const uint64_t MARK = 0x7475726E62656E63u;

enum framing { BARE, CHANNEL, INDICATION };

/* A socket that sends: the packet, and where in it the time goes. */
struct sender {
    int fd;
    uint8_t *packet;
    size_t size;
    size_t stamp_at;
};

struct receiver {
    int fd;
    enum framing framing;
    uint16_t channel;
};

struct traffic {
    const struct options *options;
    struct sender *senders;
    int sender_count;
    struct receiver *receivers;
    int receiver_count;
    int epoll;
    uint64_t sent, delivered, foreign;
    uint64_t from, until; /* only packets sent in this time count, at a fixed rate */
    uint32_t *latencies;  /* ns, as many as `delivered`; NULL when flooding */
    size_t latency_room;
    struct mmsghdr in[BATCH], out[BATCH];
    struct iovec in_vectors[BATCH], out_vectors[BATCH];
    uint8_t buffers[BATCH][PACKET_MAX];
};

static void *reserve(size_t count, size_t size) {
    void *room = calloc(count, size);
    if (room == NULL) {
        die("calloc");
    }
    return room;
}

static void add_sender(struct traffic *traffic, int fd, enum framing framing, uint16_t channel,
                       const struct sockaddr_in *peer) {
    size_t payload = (size_t)traffic->options->payload;
    struct sender *sender = &traffic->senders[traffic->sender_count++];
    sender->fd = fd;
    sender->packet = reserve(1, PACKET_MAX);
    if (framing == BARE) {
        sender->size = payload;
        sender->stamp_at = 0;
    } else if (framing == CHANNEL) {
        write_u16(sender->packet, channel);
        write_u16(sender->packet + 2, (uint16_t)payload);
        sender->size = 4 + payload;
        sender->stamp_at = 4;
    } else {
        struct message message;
        uint8_t data[PACKET_MAX] = {0};
        stun_begin(&message, SEND_INDICATION);
        stun_add_address(&message, ATTR_XOR_PEER_ADDRESS, peer);
        sender->stamp_at = message.size + 4;
        stun_add(&message, ATTR_DATA, data, payload);
        memcpy(sender->packet, message.bytes, message.size);
        sender->size = message.size;
    }
    memcpy(sender->packet + sender->stamp_at + 8, &MARK, sizeof MARK);
}

static void add_receiver(struct traffic *traffic, int fd, enum framing framing, uint16_t channel) {
    int index = traffic->receiver_count++;
    traffic->receivers[index] = (struct receiver){fd, framing, channel};
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)index};
    if (epoll_ctl(traffic->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        die("epoll_ctl");
    }
}

/* The payload inside a received packet, or NULL if it is not what was sent. Runs per packet. */
static const uint8_t *unwrap(const struct traffic *traffic, const struct receiver *receiver,
                             const uint8_t *bytes, size_t size) {
    size_t payload = (size_t)traffic->options->payload;
    const uint8_t *data = NULL;
    struct attribute found;
    if (receiver->framing == BARE) {
        data = size == payload ? bytes : NULL;
    } else if (receiver->framing == CHANNEL) {
        data = size >= 4 + payload && read_u16(bytes) == receiver->channel &&
                       read_u16(bytes + 2) == payload
                   ? bytes + 4
                   : NULL;
    } else if (size >= STUN_HEADER && read_u16(bytes) == DATA_INDICATION &&
               stun_find(bytes, size, ATTR_DATA, &found) && found.size == payload) {
        data = found.value;
    }
    return data != NULL && memcmp(data + 8, &MARK, sizeof MARK) == 0 ? data : NULL;
}

static void account(struct traffic *traffic, const uint8_t *payload, uint64_t now) {
    if (traffic->latencies == NULL) {
        traffic->delivered++;
        return;
    }
    uint64_t stamp;
    memcpy(&stamp, payload, sizeof stamp);
    if (stamp < traffic->from || stamp > traffic->until ||
        traffic->delivered >= traffic->latency_room) {
        return;
    }
    uint64_t took = now - stamp;
    traffic->latencies[traffic->delivered++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
}

/* Take up to a batch of what one socket holds. */
static void drain(struct traffic *traffic, const struct receiver *receiver) {
    int count = recvmmsg(receiver->fd, traffic->in, BATCH, MSG_DONTWAIT, NULL);
    uint64_t now = now_ns();
    for (int i = 0; i < count; i++) {
        const uint8_t *payload =
            unwrap(traffic, receiver, traffic->buffers[i], traffic->in[i].msg_len);
        if (payload != NULL) {
            account(traffic, payload, now);
        } else {
            traffic->foreign++;
        }
    }
}

/* Take a batch from a few sockets. Never from all: while a flood waits for its sender to have read
 * everything, the server runs dry and then loses the burst that follows. */
static void receive(struct traffic *traffic) {
    struct epoll_event events[READY];
    int count = epoll_wait(traffic->epoll, events, READY, 0);
    for (int i = 0; i < count; i++) {
        drain(traffic, &traffic->receivers[events[i].data.u32]);
    }
}

static void stamp(struct sender *sender) {
    uint64_t now = now_ns();
    memcpy(sender->packet + sender->stamp_at, &now, sizeof now);
}

/* Send from every socket in turn as fast as it goes, receiving in between, until `end`. */
static void flood(struct traffic *traffic, uint64_t end) {
    while (now_ns() < end) {
        for (int i = 0; i < traffic->sender_count; i++) {
            struct sender *sender = &traffic->senders[i];
            stamp(sender);
            for (int k = 0; k < BATCH; k++) {
                traffic->out_vectors[k] = (struct iovec){sender->packet, sender->size};
            }
            int count = sendmmsg(sender->fd, traffic->out, BATCH, MSG_DONTWAIT);
            traffic->sent += count > 0 ? (uint64_t)count : 0;
            receive(traffic);
        }
    }
}

/* Send one packet whenever one is due, from the sockets in turn, polling without sleep. */
static void pace(struct traffic *traffic, uint64_t begin, uint64_t end) {
    double interval = 1e9 / traffic->options->rate;
    uint64_t now, number = 0;
    while ((now = now_ns()) < end) {
        if (now >= begin + (uint64_t)((double)number * interval)) {
            struct sender *sender = &traffic->senders[number++ % (uint64_t)traffic->sender_count];
            stamp(sender);
            if (send(sender->fd, sender->packet, sender->size, MSG_DONTWAIT) > 0) {
                traffic->sent++;
            }
        }
        receive(traffic);
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

static void open_direct(const struct options *options, struct flow *flow) {
    struct sockaddr_in client;
    flow->peer = open_socket(options, NULL, &flow->peer_address);
    flow->client = open_socket(options, &flow->peer_address, &client);
    if (connect(flow->peer, (struct sockaddr *)&client, sizeof client) < 0) {
        die("connect");
    }
}

static void open_flows(struct traffic *traffic) {
    const struct options *options = traffic->options;
    int direct = strcmp(options->mode, "direct") == 0;
    enum framing framing = direct ? BARE : options->indications ? INDICATION : CHANNEL;
    for (int i = 0; i < options->allocations; i++) {
        struct flow flow = {.client = -1, .peer = -1};
        uint16_t channel = (uint16_t)(0x4000 + i % 0x1000);
        if (direct) {
            open_direct(options, &flow);
        } else {
            open_allocation(options, &flow);
            open_peer(options, &flow, channel);
        }
        if (options->up) {
            add_sender(traffic, flow.client, framing, channel, &flow.peer_address);
            add_receiver(traffic, flow.peer, BARE, 0);
        }
        if (options->down) {
            add_sender(traffic, flow.peer, BARE, 0, NULL);
            add_receiver(traffic, flow.client, framing, channel);
        }
    }
}

static void prepare(struct traffic *traffic, const struct options *options) {
    size_t ends = 2 * (size_t)options->allocations;
    traffic->options = options;
    traffic->senders = reserve(ends, sizeof *traffic->senders);
    traffic->receivers = reserve(ends, sizeof *traffic->receivers);
    traffic->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < BATCH; i++) {
        traffic->in_vectors[i] = (struct iovec){traffic->buffers[i], PACKET_MAX};
        traffic->in[i].msg_hdr = (struct msghdr){.msg_iov = &traffic->in_vectors[i], .msg_iovlen = 1};
        traffic->out[i].msg_hdr =
            (struct msghdr){.msg_iov = &traffic->out_vectors[i], .msg_iovlen = 1};
    }
    if (options->rate > 0) {
        traffic->latency_room = (size_t)(options->rate * options->seconds * 1.1) + 1000;
        traffic->latencies = reserve(traffic->latency_room, sizeof *traffic->latencies);
    }
}

void run_traffic(const struct options *options) {
    struct traffic *traffic = reserve(1, sizeof *traffic);
    if (options->payload < STAMP_SIZE || options->payload > 1400) {
        errno = 0;
        die("--payload takes 16 to 1400 bytes");
    }
    prepare(traffic, options);
    open_flows(traffic);

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
            receive(traffic);
        }
        qsort(traffic->latencies, traffic->delivered, sizeof *traffic->latencies, ascending);
    }
    printf("{\"sent\": %llu, \"delivered\": %llu, \"foreign\": %llu, \"seconds\": %.6f, "
           "\"load_cpu\": %.3f",
           (unsigned long long)traffic->sent, (unsigned long long)traffic->delivered,
           (unsigned long long)traffic->foreign, seconds, own);
    if (options->pid_count > 0) {
        printf(", \"server_cpu\": %.3f", server);
    }
    if (traffic->latencies != NULL && traffic->delivered > 0) {
        printf(", \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f", quantile(traffic, 0.5),
               quantile(traffic, 0.99), quantile(traffic, 0.999));
    }
    printf("}\n");
}
