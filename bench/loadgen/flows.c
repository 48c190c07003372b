/* Flows: their addresses, the two sockets they share, and what is asked of the server for each. */
#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "load.h"

enum {
    ATTEMPTS = 7,
    /* RFC 8656 12 ends channel numbers at 0x4FFF; they need to differ inside an allocation only. */
    FIRST_CHANNEL = 0x4000,
    CHANNELS = 0x1000,
};

static const uint64_t RTO_NS = 500000000u;

void open_end(struct end *end) {
    struct options any = {.local.s_addr = htonl(INADDR_ANY)};
    struct sockaddr_in bound;
    int on = 1;
    end->fd = open_socket(&any, NULL, &bound);
    end->port = bound.sin_port;
    if (setsockopt(end->fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) < 0 ||
        setsockopt(end->fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) < 0) {
        die("setsockopt");
    }
    /* Spares a look-up of the source address per packet; needs CAP_NET_ADMIN, goes without. */
    setsockopt(end->fd, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof on);
}

struct sockaddr_in address_of(const struct flow *flow, const struct end *end) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr = flow->address, .sin_port = end->port};
}

size_t write_control(uint8_t control[CONTROL_MAX], struct in_addr source, uint16_t segment) {
    struct msghdr message = {.msg_control = control, .msg_controllen = CONTROL_MAX};
    struct in_pktinfo info = {.ipi_spec_dst = source};
    memset(control, 0, CONTROL_MAX);
    struct cmsghdr *item = CMSG_FIRSTHDR(&message);
    item->cmsg_level = IPPROTO_IP;
    item->cmsg_type = IP_PKTINFO;
    item->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(item), &info, sizeof info);
    if (segment == 0) {
        return CMSG_SPACE(sizeof info);
    }
    item = CMSG_NXTHDR(&message, item);
    item->cmsg_level = IPPROTO_UDP;
    item->cmsg_type = UDP_SEGMENT;
    item->cmsg_len = CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(item), &segment, sizeof segment);
    return CMSG_SPACE(sizeof info) + CMSG_SPACE(sizeof segment);
}

struct flow *new_flows(const struct options *options) {
    struct flow *flows = calloc((size_t)options->allocations, sizeof *flows);
    if (flows == NULL) {
        die("calloc");
    }
    for (int i = 0; i < options->allocations; i++) {
        flows[i].address.s_addr = htonl(ntohl(options->local.s_addr) + (uint32_t)i);
        flows[i].channel = (uint16_t)(FIRST_CHANNEL + i % CHANNELS);
    }
    return flows;
}

static void send_request(const struct options *options, const struct flow *flow,
                         const struct end *clients, const struct message *request) {
    uint8_t control[CONTROL_MAX];
    struct sockaddr_in server = options->server;
    struct iovec vector = {(void *)request->bytes, request->size};
    struct msghdr message = {.msg_name = &server,
                             .msg_namelen = sizeof server,
                             .msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = write_control(control, flow->address, 0)};
    if (sendmsg(clients->fd, &message, 0) < 0 && errno != ECONNREFUSED) {
        die("sendmsg");
    }
}

/* Send a request until it is answered; the size of the answer. RFC 8489 6.2.1, with a flat RTO. */
static size_t transact(const struct options *options, const struct flow *flow,
                       const struct end *clients, const struct message *request,
                       uint8_t answer[STUN_MAX]) {
    struct timeval timeout = {.tv_usec = RTO_NS / 1000};
    setsockopt(clients->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        send_request(options, flow, clients, request);
        uint64_t deadline = now_ns() + RTO_NS;
        while (now_ns() < deadline) {
            ssize_t size = recv(clients->fd, answer, STUN_MAX, 0);
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
static size_t ask(const struct options *options, struct flow *flow, const struct end *clients,
                  const struct message *unsigned_request, uint8_t answer[STUN_MAX]) {
    uint16_t type = read_u16(unsigned_request->bytes);
    for (int attempt = 0; attempt < 3; attempt++) {
        struct message request = *unsigned_request;
        stun_renew(&request);
        if (flow->credential.nonce_size > 0) {
            stun_sign(&request, options->user, &flow->credential);
        }
        size_t size = transact(options, flow, clients, &request, answer);
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

void open_allocation(const struct options *options, struct flow *flow, const struct end *clients) {
    uint8_t answer[STUN_MAX];
    struct message request;
    stun_begin(&request, ALLOCATE);
    stun_add_u32(&request, ATTR_REQUESTED_TRANSPORT, (uint32_t)IPPROTO_UDP << 24);
    /* An hour, so that no measurement needs a Refresh. */
    stun_add_u32(&request, ATTR_LIFETIME, 3600);
    size_t size = ask(options, flow, clients, &request, answer);
    errno = 0;
    if (!stun_address(answer, size, ATTR_XOR_RELAYED_ADDRESS, &flow->relayed)) {
        die("the Allocate response has no IPv4 XOR-RELAYED-ADDRESS");
    }
}

void open_peer(const struct options *options, struct flow *flow, const struct end *clients,
               const struct end *peers) {
    uint8_t answer[STUN_MAX];
    struct sockaddr_in peer = address_of(flow, peers);
    struct message request;
    if (options->indications) {
        stun_begin(&request, CREATE_PERMISSION);
    } else {
        /* RFC 8656 12: it installs the permission as well. */
        stun_begin(&request, CHANNEL_BIND);
        stun_add_u32(&request, ATTR_CHANNEL_NUMBER, (uint32_t)flow->channel << 16);
    }
    stun_add_address(&request, ATTR_XOR_PEER_ADDRESS, &peer);
    ask(options, flow, clients, &request, answer);
}
