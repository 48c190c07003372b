#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

void die(const char *what) {
    fprintf(stderr, "loadgen: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static double process_cpu(int pid) {
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return NAN;
    }
    size_t size = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[size] = 0;
    /* The command's name, in parentheses, may hold blanks: count fields from its end (proc(5)). */
    const char *rest = strrchr(line, ')');
    unsigned long user, system;
    if (rest == NULL ||
        sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) !=
            2) {
        return NAN;
    }
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

double server_cpu(const struct options *options) {
    double total = options->pid_count > 0 ? 0 : NAN;
    for (int i = 0; i < options->pid_count; i++) {
        total += process_cpu(options->pids[i]);
    }
    return total;
}

double own_cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int open_socket(const struct options *options, const struct sockaddr_in *remote,
                struct sockaddr_in *bound) {
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr = options->local};
    socklen_t size = sizeof local;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        die("socket");
    }
    /* What the generator loses for want of room would be counted against the server. The forced
     * option needs CAP_NET_ADMIN; without it the system's limit has to do. */
    int buffer = 16 << 20;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) < 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    }
    if (bind(fd, (struct sockaddr *)&local, size) < 0) {
        die("bind");
    }
    if (remote != NULL && connect(fd, (const struct sockaddr *)remote, size) < 0) {
        die("connect");
    }
    if (bound != NULL && getsockname(fd, (struct sockaddr *)bound, &size) < 0) {
        die("getsockname");
    }
    return fd;
}

/* Send a request until it is answered; the size of the answer. RFC 8489 6.2.1, with a flat RTO. */
static size_t transact(int fd, const struct message *request, uint8_t answer[STUN_MAX]) {
    struct timeval timeout = {.tv_usec = 500000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    for (int attempt = 0; attempt < 7; attempt++) {
        if (send(fd, request->bytes, request->size, 0) < 0 && errno != ECONNREFUSED) {
            die("send");
        }
        uint64_t deadline = now_ns() + 500000000u;
        while (now_ns() < deadline) {
            ssize_t size = recv(fd, answer, STUN_MAX, 0);
            if (size < 0) {
                break;
            }
            if (stun_answers(answer, (size_t)size, request)) {
                return (size_t)size;
            }
        }
    }
    errno = 0;
    die("the server does not answer");
}

/* Ask, answering one challenge (401) or one stale nonce (438); dies of any other error. */
static size_t ask(const struct options *options, struct flow *flow, uint16_t type,
                  void (*fill)(struct message *, const struct flow *, uint16_t), uint16_t channel,
                  uint8_t answer[STUN_MAX]) {
    struct message request;
    for (int attempt = 0; attempt < 3; attempt++) {
        stun_begin(&request, type);
        fill(&request, flow, channel);
        if (flow->credential.nonce_size > 0) {
            stun_sign(&request, options->user, &flow->credential);
        }
        size_t size = transact(flow->client, &request, answer);
        int error = stun_error(answer, size);
        if (read_u16(answer) == (type | SUCCESS)) {
            return size;
        }
        if ((error != 401 && error != 438) ||
            !stun_challenge(answer, size, options->user, options->password, &flow->credential)) {
            fprintf(stderr, "loadgen: error %d to a request of type 0x%04x\n", error, type);
            exit(1);
        }
    }
    errno = 0;
    die("the server does not take the credential");
}

static void fill_allocate(struct message *request, const struct flow *flow, uint16_t channel) {
    (void)flow;
    (void)channel;
    stun_add_u32(request, ATTR_REQUESTED_TRANSPORT, (uint32_t)IPPROTO_UDP << 24);
    /* An hour, so that no measurement needs a Refresh. */
    stun_add_u32(request, ATTR_LIFETIME, 3600);
}

static void fill_permission(struct message *request, const struct flow *flow, uint16_t channel) {
    (void)channel;
    stun_add_address(request, ATTR_XOR_PEER_ADDRESS, &flow->peer_address);
}

static void fill_channel(struct message *request, const struct flow *flow, uint16_t channel) {
    stun_add_u32(request, ATTR_CHANNEL_NUMBER, (uint32_t)channel << 16);
    stun_add_address(request, ATTR_XOR_PEER_ADDRESS, &flow->peer_address);
}

void open_allocation(const struct options *options, struct flow *flow) {
    uint8_t answer[STUN_MAX];
    flow->client = open_socket(options, &options->server, NULL);
    size_t size = ask(options, flow, ALLOCATE, fill_allocate, 0, answer);
    errno = 0;
    if (!stun_address(answer, size, ATTR_XOR_RELAYED_ADDRESS, &flow->relayed)) {
        die("the Allocate response has no IPv4 XOR-RELAYED-ADDRESS");
    }
}

void open_peer(const struct options *options, struct flow *flow, uint16_t channel) {
    uint8_t answer[STUN_MAX];
    flow->peer = open_socket(options, &flow->relayed, &flow->peer_address);
    ask(options, flow, CREATE_PERMISSION, fill_permission, channel, answer);
    if (!options->indications) {
        ask(options, flow, CHANNEL_BIND, fill_channel, channel, answer);
    }
}
