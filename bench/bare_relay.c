/* bare_relay: the sockets' ceiling. It makes a relay's system calls on the packets and nothing else:
 * no authentication, no permissions, no deadlines, no look-up (a client's row in the table is the
 * low 14 bits of its address, which the load generator counts up). What turnd and coturn take more
 * than this program does is theirs; what this takes is the kernel's.
 *
 * It answers Binding, Allocate, CreatePermission, ChannelBind and Refresh with success, whoever
 * asks, so that the load generator needs no second way to set up. Loopback and namespaces only. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loadgen/stun.h"

enum {
    ROWS = 1 << 14,
    LISTENER = ROWS, /* among epoll's numbers */
    SHARED = ROWS + 1,
    EVENTS = 64,
    BATCH = 64,           /* datagrams, or runs of them, read at once */
    SEGMENTS = 64,        /* of one send: UDP_MAX_SEGMENTS of the kernels before 6.9 */
    MERGED = 128,         /* of one reading: that of those since */
    RUN_BYTES = 65000,    /* of one UDP_SEGMENT send: a datagram's greatest length */
    OUT = BATCH * MERGED,
    ROOM = 65536 + 1088,  /* a datagram, and what puts each buffer into other lines of the cache */
    CHANNEL_HEADER = 4,
    BUFFER = 4 << 20,     /* asked for, as relays do; the kernel gives what net.core allows */
};

enum mode { PLAIN, MMSG, GSO };

struct row {
    int relay;
    struct sockaddr_in client, peer;
    uint8_t header[CHANNEL_HEADER];
};

/* What one round of readings brought, and what goes out for it. */
struct batch {
    struct mmsghdr in[BATCH];
    struct iovec in_vectors[BATCH];
    struct sockaddr_in sources[BATCH];
    uint8_t in_control[BATCH][CMSG_SPACE(sizeof(int))];
    uint8_t bytes[BATCH][ROOM];

    int in_count, out_count, vector_count;
    struct mmsghdr out[OUT];
    int out_fds[OUT];
    size_t out_size[OUT], out_bytes[OUT]; /* a segment's; all together */
    uint8_t out_control[OUT][CMSG_SPACE(sizeof(uint16_t))];
    struct iovec out_vectors[2 * OUT];
};

static struct row rows[ROWS];
static struct batch batch;
static enum mode mode = MMSG;
static struct in_addr relay_address;
static int epoll, listener, shared = -1;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int open_udp(struct sockaddr_in *address, uint32_t number) {
    socklen_t size = sizeof *address;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    int buffer = BUFFER;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
    if (fd < 0 || bind(fd, (struct sockaddr *)address, size) < 0 ||
        getsockname(fd, (struct sockaddr *)address, &size) < 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        die("bare_relay: a socket");
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    if (mode == GSO && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) < 0) {
        die("bare_relay: UDP_GRO");
    }
    return fd;
}

static uint32_t number_of(const struct sockaddr_in *address) {
    return ntohl(address->sin_addr.s_addr) & (ROWS - 1);
}

static struct sockaddr_in open_relay(uint32_t number, const struct sockaddr_in *client) {
    struct sockaddr_in relayed = {.sin_family = AF_INET, .sin_addr = relay_address};
    struct row *row = &rows[number];
    socklen_t size = sizeof relayed;
    if (row->client.sin_port != 0) {
        /* The request came again; the answer to the first was lost. */
        getsockname(row->relay, (struct sockaddr *)&relayed, &size);
    } else if (shared >= 0) {
        row->relay = shared;
        getsockname(shared, (struct sockaddr *)&relayed, &size);
    } else {
        row->relay = open_udp(&relayed, number);
    }
    row->client = *client;
    return relayed;
}

static void close_relay(uint32_t number) {
    if (rows[number].client.sin_port != 0 && rows[number].relay != shared) {
        close(rows[number].relay);
    }
    memset(&rows[number], 0, sizeof rows[number]);
}

static void bind_channel(struct row *row, const uint8_t *bytes, size_t size) {
    struct attribute channel;
    if (stun_find(bytes, size, ATTR_CHANNEL_NUMBER, &channel) && channel.size == 4) {
        memcpy(row->header, channel.value, 2);
        stun_address(bytes, size, ATTR_XOR_PEER_ADDRESS, &row->peer);
    }
}

/* Answer a request with success. Runs per request. */
static void answer(const uint8_t *bytes, size_t size, const struct sockaddr_in *client) {
    uint32_t number = number_of(client);
    struct message reply;
    struct sockaddr_in relayed;
    if (size < STUN_HEADER) {
        return;
    }
    uint16_t type = read_u16(bytes);
    stun_begin(&reply, type | SUCCESS);
    memcpy(reply.bytes + 8, bytes + 8, 12);
    switch (type) {
    case BINDING: stun_add_address(&reply, ATTR_XOR_MAPPED_ADDRESS, client); break;
    case ALLOCATE:
        relayed = open_relay(number, client);
        stun_add_address(&reply, ATTR_XOR_RELAYED_ADDRESS, &relayed);
        stun_add_u32(&reply, ATTR_LIFETIME, 3600);
        break;
    case CHANNEL_BIND: bind_channel(&rows[number], bytes, size); break;
    case REFRESH: close_relay(number); break;
    case CREATE_PERMISSION: break;
    default: return;
    }
    sendto(listener, reply.bytes, reply.size, MSG_DONTWAIT, (const struct sockaddr *)client,
           sizeof *client);
}

/* The payload of ChannelData, its size in `size`; NULL if it is none. Runs per packet. */
static uint8_t *unframe(uint8_t *bytes, size_t *size) {
    if (*size < CHANNEL_HEADER || bytes[0] >> 6 != 1 ||
        read_u16(bytes + 2) > *size - CHANNEL_HEADER) {
        return NULL;
    }
    *size = read_u16(bytes + 2);
    return bytes + CHANNEL_HEADER;
}

/* The header of ChannelData for so many bytes to this row's client. */
static void frame(struct row *row, size_t size) { write_u16(row->header + 2, (uint16_t)size); }

static void relay_plain_up(uint8_t *bytes, size_t size, const struct sockaddr_in *source) {
    struct row *row = &rows[number_of(source)];
    uint8_t *payload = unframe(bytes, &size);
    if (payload == NULL) {
        answer(bytes, size, source);
    } else {
        sendto(row->relay, payload, size, MSG_DONTWAIT, (struct sockaddr *)&row->peer,
               sizeof row->peer);
    }
}

static void relay_plain_down(uint8_t *bytes, size_t size, struct row *row) {
    frame(row, size);
    memcpy(bytes - CHANNEL_HEADER, row->header, CHANNEL_HEADER);
    sendto(listener, bytes - CHANNEL_HEADER, size + CHANNEL_HEADER, MSG_DONTWAIT,
           (struct sockaddr *)&row->client, sizeof row->client);
}

/* recvfrom and sendto, one packet each. */
static void turn_plain(int fd, uint32_t number) {
    uint8_t *bytes = batch.bytes[0] + CHANNEL_HEADER;
    for (int i = 0; i < BATCH; i++) {
        struct sockaddr_in source;
        socklen_t length = sizeof source;
        ssize_t size = recvfrom(fd, bytes, ROOM - CHANNEL_HEADER, MSG_DONTWAIT,
                                (struct sockaddr *)&source, &length);
        if (size < 0) {
            return;
        }
        if (number == LISTENER) {
            relay_plain_up(bytes, (size_t)size, &source);
        } else {
            relay_plain_down(bytes, (size_t)size,
                             &rows[number == SHARED ? number_of(&source) : number]);
        }
    }
}

/* Add a packet to what goes out: to the last message if that is a run it continues, else as a new
 * one. The segments of a run are of one size, only its last may be smaller. Runs per packet. */
static void add(int fd, struct sockaddr_in *to, uint8_t *head, size_t head_size, uint8_t *payload,
                size_t payload_size) {
    size_t size = head_size + payload_size;
    int last = batch.out_count - 1;
    struct msghdr *message = last >= 0 ? &batch.out[last].msg_hdr : NULL;
    int vectors = head_size > 0 ? 2 : 1;
    int joins = mode == GSO && message != NULL && message->msg_name == to &&
                size == batch.out_size[last] && batch.out_bytes[last] + size <= RUN_BYTES &&
                message->msg_iovlen < (size_t)(SEGMENTS * vectors);
    struct iovec *vector = &batch.out_vectors[batch.vector_count];
    if (!joins) {
        last = batch.out_count++;
        message = &batch.out[last].msg_hdr;
        *message = (struct msghdr){.msg_name = to, .msg_namelen = sizeof *to, .msg_iov = vector};
        batch.out_fds[last] = fd;
        batch.out_size[last] = size;
        batch.out_bytes[last] = 0;
    }
    if (head_size > 0) {
        *vector++ = (struct iovec){head, head_size};
    }
    *vector = (struct iovec){payload, payload_size};
    batch.vector_count += vectors;
    batch.out_bytes[last] += size;
    message->msg_iovlen += (size_t)vectors;
}

static void add_up(uint8_t *bytes, size_t size, const struct sockaddr_in *source) {
    struct row *row = &rows[number_of(source)];
    uint8_t *payload = unframe(bytes, &size);
    if (payload == NULL) {
        answer(bytes, size, source);
    } else {
        add(row->relay, &row->peer, NULL, 0, payload, size);
    }
}

/* The row's header is one for all packets of a round: the load's are of one size. */
static void add_down(uint8_t *bytes, size_t size, struct row *row) {
    frame(row, size);
    add(listener, &row->client, row->header, CHANNEL_HEADER, bytes, size);
}

static void set_segment(struct msghdr *message, uint8_t *control, uint16_t size) {
    message->msg_control = control;
    message->msg_controllen = CMSG_SPACE(sizeof size);
    struct cmsghdr *item = CMSG_FIRSTHDR(message);
    item->cmsg_level = IPPROTO_UDP;
    item->cmsg_type = UDP_SEGMENT;
    item->cmsg_len = CMSG_LEN(sizeof size);
    memcpy(CMSG_DATA(item), &size, sizeof size);
}

/* One sendmmsg for each row of messages from one socket. What does not go at once is dropped. */
static void flush(void) {
    for (int i = 0; i < batch.out_count; i++) {
        if (batch.out_bytes[i] > batch.out_size[i]) {
            set_segment(&batch.out[i].msg_hdr, batch.out_control[i], (uint16_t)batch.out_size[i]);
        }
    }
    for (int begin = 0, end; begin < batch.out_count; begin = end) {
        for (end = begin; end < batch.out_count && batch.out_fds[end] == batch.out_fds[begin];) {
            end++;
        }
        for (int at = begin; at < end;) {
            int sent = sendmmsg(batch.out_fds[begin], batch.out + at, (unsigned)(end - at),
                                MSG_DONTWAIT);
            at += sent > 0 ? sent : 1;
        }
    }
    batch.in_count = batch.out_count = batch.vector_count = 0;
}

static size_t segment_size(struct msghdr *message, size_t size) {
    for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item != NULL;
         item = CMSG_NXTHDR(message, item)) {
        if (item->cmsg_level == IPPROTO_UDP && item->cmsg_type == UDP_GRO) {
            return (size_t)*(int *)CMSG_DATA(item);
        }
    }
    return size;
}

/* Make a buffer ready for the next reading. */
static void renew(int i) {
    batch.in[i].msg_hdr.msg_namelen = sizeof batch.sources[i];
    batch.in[i].msg_hdr.msg_controllen = mode == GSO ? sizeof batch.in_control[i] : 0;
}

static void prepare_batch(void) {
    for (int i = 0; i < BATCH; i++) {
        batch.in_vectors[i] = (struct iovec){batch.bytes[i], ROOM};
        batch.in[i].msg_hdr = (struct msghdr){.msg_name = &batch.sources[i],
                                              .msg_control = batch.in_control[i],
                                              .msg_iov = &batch.in_vectors[i],
                                              .msg_iovlen = 1};
        renew(i);
    }
}

/* Add the packets of one buffer, many if the kernel merged them, to what goes out. */
static void add_all(int i, uint32_t number) {
    size_t size = batch.in[i].msg_len, segment = segment_size(&batch.in[i].msg_hdr, size);
    uint32_t from = number == SHARED ? number_of(&batch.sources[i]) : number;
    for (size_t at = 0; at < size; at += segment) {
        size_t part = size - at < segment ? size - at : segment;
        if (number == LISTENER) {
            add_up(batch.bytes[i] + at, part, &batch.sources[i]);
        } else {
            add_down(batch.bytes[i] + at, part, &rows[from]);
        }
    }
    renew(i);
}

/* recvmmsg into the buffers that are left, and sendmmsg for all that came once none is. */
static void turn_batch(int fd, uint32_t number) {
    int free_buffers = BATCH - batch.in_count;
    int count = recvmmsg(fd, batch.in + batch.in_count, (unsigned)free_buffers, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
        add_all(batch.in_count++, number);
    }
    if (batch.in_count == BATCH) {
        flush();
    }
}

static int usage(void) {
    fputs("bare_relay plain|mmsg|gso LISTEN_IP PORT RELAY_IP [shared]\n"
          "  shared: one relayed address for all, told apart by the peer's address\n",
          stderr);
    return 2;
}

static int parse_mode(const char *text) {
    static const char *const names[] = {"plain", "mmsg", "gso"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(names[i], text) == 0) {
            mode = (enum mode)i;
            return 1;
        }
    }
    return 0;
}

static void raise_file_limit(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    int sharing = argc == 6 && strcmp(argv[5], "shared") == 0;
    if (argc != 5 + sharing || !parse_mode(argv[1]) ||
        inet_pton(AF_INET, argv[2], &address.sin_addr) != 1 ||
        inet_pton(AF_INET, argv[4], &relay_address) != 1) {
        return usage();
    }
    raise_file_limit();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    address.sin_port = htons((uint16_t)atoi(argv[3]));
    listener = open_udp(&address, LISTENER);
    if (sharing) {
        address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = relay_address};
        shared = open_udp(&address, SHARED);
    }
    prepare_batch();
    for (;;) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            uint32_t number = events[i].data.u32;
            int fd = number == LISTENER ? listener : number == SHARED ? shared : rows[number].relay;
            if (mode == PLAIN) {
                turn_plain(fd, number);
            } else {
                turn_batch(fd, number);
            }
        }
        flush();
    }
}
