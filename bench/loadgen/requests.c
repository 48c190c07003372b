/* The modes of requests: Binding, cycles of Allocate, idle allocations. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

enum { BATCH = 16, EVENTS = 64, ADDRESSES = 200 };

/* A request unanswered for so long is given up and counted. */
static const uint64_t GIVE_UP_NS = 1000000000u;

/* What both modes of requests count and print. */
struct tally {
    uint64_t done, lost, refused;
    int last_error; /* the code of the last refusal */
    uint64_t begin;
    double server_before, own_before;
};

static void start(struct tally *tally, const struct options *options) {
    *tally = (struct tally){.begin = now_ns(),
                            .server_before = server_cpu(options),
                            .own_before = own_cpu()};
}

static void print(const struct tally *tally, const struct options *options) {
    double seconds = (double)(now_ns() - tally->begin) / 1e9;
    printf("{\"done\": %llu, \"lost\": %llu, \"refused\": %llu, "
           "\"last_error\": %d, \"seconds\": %.6f, \"load_cpu\": %.3f",
           (unsigned long long)tally->done, (unsigned long long)tally->lost,
           (unsigned long long)tally->refused, tally->last_error, seconds, own_cpu() - tally->own_before);
    if (options->pid_count > 0) {
        printf(", \"server_cpu\": %.3f", server_cpu(options) - tally->server_before);
    }
    printf("}\n");
}

static int watch(int epoll, int fd, uint32_t index) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* A socket with its share of the Binding requests in flight. */
struct asker {
    int fd;
    int waiting;
    uint64_t last; /* when it last sent or received, ns */
    struct message requests[BATCH];
};

static void ask_more(struct asker *asker) {
    struct mmsghdr out[BATCH];
    struct iovec vectors[BATCH];
    int count = BATCH - asker->waiting;
    for (int i = 0; i < count; i++) {
        stun_begin(&asker->requests[i], BINDING);
        vectors[i] = (struct iovec){asker->requests[i].bytes, asker->requests[i].size};
        out[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[i], .msg_iovlen = 1}};
    }
    int sent = sendmmsg(asker->fd, out, (unsigned)count, MSG_DONTWAIT);
    asker->waiting += sent > 0 ? sent : 0;
    asker->last = now_ns();
}

static void hear(struct asker *asker, struct tally *tally) {
    static uint8_t buffers[BATCH][STUN_MAX];
    struct mmsghdr in[BATCH];
    struct iovec vectors[BATCH];
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){buffers[i], STUN_MAX};
        in[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[i], .msg_iovlen = 1}};
    }
    int count = recvmmsg(asker->fd, in, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
        if (in[i].msg_len >= STUN_HEADER && read_u16(buffers[i]) == (BINDING | SUCCESS)) {
            tally->done++;
        } else {
            tally->refused++;
            tally->last_error = stun_error(buffers[i], in[i].msg_len);
        }
        asker->waiting -= asker->waiting > 0;
    }
}

static void keep_asking(struct asker *askers, int count, int epoll, struct tally *tally,
                        uint64_t end) {
    struct epoll_event events[EVENTS];
    uint64_t now;
    while ((now = now_ns()) < end) {
        int ready = epoll_wait(epoll, events, EVENTS, 10);
        for (int i = 0; i < ready; i++) {
            struct asker *asker = &askers[events[i].data.u32];
            hear(asker, tally);
            ask_more(asker);
        }
        for (int i = 0; i < count; i++) {
            if (now > askers[i].last + GIVE_UP_NS) {
                tally->lost += (uint64_t)askers[i].waiting;
                askers[i].waiting = 0;
                ask_more(&askers[i]);
            }
        }
    }
}

void run_binding(const struct options *options) {
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int count = (options->outstanding + BATCH - 1) / BATCH;
    struct asker *askers = calloc((size_t)count, sizeof *askers);
    struct tally tally;
    if (askers == NULL || epoll < 0) {
        die("binding");
    }
    for (int i = 0; i < count; i++) {
        askers[i].fd = open_socket(options, &options->server, NULL);
        watch(epoll, askers[i].fd, (uint32_t)i);
        ask_more(&askers[i]);
    }
    start(&tally, options);
    keep_asking(askers, count, epoll, &tally, now_ns() + (uint64_t)(options->warmup * 1e9));
    start(&tally, options);
    keep_asking(askers, count, epoll, &tally, now_ns() + (uint64_t)(options->seconds * 1e9));
    print(&tally, options);
}

/* A cycle under way: what was asked last, from which socket. */
struct cycle {
    int fd;
    uint16_t type;
    uint64_t deadline;
    struct message request;
    struct credential credential;
};

static void cycle_send(struct cycle *cycle, const struct options *options, uint16_t type) {
    cycle->type = type;
    stun_begin(&cycle->request, type);
    if (type == ALLOCATE) {
        stun_add_u32(&cycle->request, ATTR_REQUESTED_TRANSPORT, (uint32_t)IPPROTO_UDP << 24);
    } else {
        stun_add_u32(&cycle->request, ATTR_LIFETIME, 0);
    }
    if (cycle->credential.nonce_size > 0) {
        stun_sign(&cycle->request, options->user, &cycle->credential);
    }
    cycle->deadline = now_ns() + GIVE_UP_NS;
    send(cycle->fd, cycle->request.bytes, cycle->request.size, MSG_DONTWAIT);
}

/* Begin anew as a client the server has not seen: another 5-tuple, no nonce.
 *
 * The addresses take turns too: the system gives out the same few thousand ports again and again,
 * and a server may remember a 5-tuple for a while after its Refresh(0); coturn answers 437 then. */
static void cycle_begin(struct cycle *cycle, const struct options *options, int epoll,
                        uint32_t index) {
    static uint32_t turn;
    struct options local = *options;
    local.local.s_addr = htonl(ntohl(options->local.s_addr) + turn++ % ADDRESSES);
    if (cycle->fd >= 0) {
        close(cycle->fd);
    }
    cycle->fd = open_socket(&local, &options->server, NULL);
    cycle->credential.nonce_size = 0;
    if (watch(epoll, cycle->fd, index) < 0) {
        die("epoll_ctl");
    }
    cycle_send(cycle, options, ALLOCATE);
}

/* Take one answer; 1 if the cycle goes on, 0 if it is over (and counted). */
static int cycle_step(struct cycle *cycle, const struct options *options, struct tally *tally) {
    uint8_t answer[STUN_MAX];
    ssize_t size = recv(cycle->fd, answer, sizeof answer, MSG_DONTWAIT);
    if (size < 0 || !stun_answers(answer, (size_t)size, &cycle->request)) {
        return 1;
    }
    int success = read_u16(answer) == (cycle->type | SUCCESS);
    if (success && cycle->type == REFRESH) {
        tally->done++;
        return 0;
    }
    if (success) {
        cycle_send(cycle, options, REFRESH);
        return 1;
    }
    int challenged = stun_error(answer, (size_t)size) == 401 && cycle->credential.nonce_size == 0;
    if (challenged && stun_challenge(answer, (size_t)size, options->user, options->password,
                                     &cycle->credential)) {
        cycle_send(cycle, options, ALLOCATE);
        return 1;
    }
    tally->refused++;
    tally->last_error = stun_error(answer, (size_t)size);
    return 0;
}

static void keep_cycling(struct cycle *cycles, const struct options *options, int epoll,
                         struct tally *tally, uint64_t end) {
    struct epoll_event events[EVENTS];
    uint64_t now;
    while ((now = now_ns()) < end) {
        int ready = epoll_wait(epoll, events, EVENTS, 10);
        for (int i = 0; i < ready; i++) {
            uint32_t index = events[i].data.u32;
            if (!cycle_step(&cycles[index], options, tally)) {
                cycle_begin(&cycles[index], options, epoll, index);
            }
        }
        for (int i = 0; i < options->outstanding; i++) {
            if (now > cycles[i].deadline) {
                tally->lost++;
                cycle_begin(&cycles[i], options, epoll, (uint32_t)i);
            }
        }
    }
}

void run_allocate(const struct options *options) {
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct cycle *cycles = calloc((size_t)options->outstanding, sizeof *cycles);
    struct tally tally;
    if (cycles == NULL || epoll < 0) {
        die("allocate");
    }
    for (int i = 0; i < options->outstanding; i++) {
        cycles[i].fd = -1;
        cycle_begin(&cycles[i], options, epoll, (uint32_t)i);
    }
    start(&tally, options);
    keep_cycling(cycles, options, epoll, &tally, now_ns() + (uint64_t)(options->warmup * 1e9));
    start(&tally, options);
    keep_cycling(cycles, options, epoll, &tally, now_ns() + (uint64_t)(options->seconds * 1e9));
    print(&tally, options);
}

void run_idle(const struct options *options) {
    struct tally tally;
    struct flow *flows = new_flows(options);
    struct end clients;
    open_end(&clients);
    start(&tally, options);
    for (int i = 0; i < options->allocations; i++) {
        open_allocation(options, &flows[i], &clients);
        tally.done++;
    }
    print(&tally, options);
    fflush(stdout);
    /* The socket stays open while the reader of that line measures. */
    while (getchar() != EOF) {
    }
}
