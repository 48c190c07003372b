/* What the modes of the load generator share: options, sockets, clocks, a server's CPU time. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <netinet/in.h>
#include <stdint.h>

#include "stun.h"

enum { MAX_PIDS = 16 };

struct options {
    const char *mode;
    struct sockaddr_in server;
    struct in_addr local; /* the first address of clients and peers, another than the relays', so
                             that neither takes the other's port */
    const char *user;
    const char *password;
    int allocations;
    int payload;           /* bytes of application data in each packet */
    double rate;           /* packets a second over all flows; 0 floods */
    double seconds;        /* how long is measured */
    double warmup;         /* how long the load runs before it */
    int up, down;          /* client to peer, peer to client */
    int indications;       /* Send and Data indications, no channels */
    int burst;             /* packets of one flow in a row before the next flow's turn */
    int segment;           /* send the packets of a burst as one UDP_SEGMENT send */
    int outstanding;       /* requests in flight, in the modes of requests */
    int pids[MAX_PIDS];    /* the server's processes */
    int pid_count;
};

/* A socket on a port of every local address. All clients share one and all peers another: flows
 * differ in their address (IP_PKTINFO), so that ten thousand need no more descriptors than one, and
 * one system call sends for many of them. */
struct end {
    int fd;
    uint16_t port; /* network order */
};

/* A client and its peer, on the same address and the ports of the two ends. */
struct flow {
    struct in_addr address;
    struct sockaddr_in relayed;
    struct credential credential;
    uint16_t channel;
};

void die(const char *what) __attribute__((noreturn));

/* Nanoseconds of the monotonic clock. */
uint64_t now_ns(void);

/* utime + stime of the server's processes in seconds; NAN if none was named or one is gone. */
double server_cpu(const struct options *options);

/* Seconds of CPU this process took. */
double own_cpu(void);

/* A UDP socket on the local address with large buffers, connected if `remote` is not NULL. */
int open_socket(const struct options *options, const struct sockaddr_in *remote,
                struct sockaddr_in *bound);

/* Open such a socket; it tells packets apart by IP_PKTINFO and takes them merged (UDP_GRO). */
void open_end(struct end *end);

/* The address of a flow's client (its port that of the clients' end) or peer. */
struct sockaddr_in address_of(const struct flow *flow, const struct end *end);

/* Name the source of a message that leaves an end: room for IP_PKTINFO and UDP_SEGMENT (0: none).
 * Returns what of the room is used. */
enum { CONTROL_MAX = 64 };
size_t write_control(uint8_t control[CONTROL_MAX], struct in_addr source, uint16_t segment);

/* The flows, each with an address, nothing asked for yet. */
struct flow *new_flows(const struct options *options);

/* Allocate; dies if the server does not grant it. */
void open_allocation(const struct options *options, struct flow *flow, const struct end *clients);

/* A channel to the peer or, if indications are asked for, a permission. */
void open_peer(const struct options *options, struct flow *flow, const struct end *clients,
               const struct end *peers);

/* The modes; each prints one line of JSON. */
void run_traffic(const struct options *options);
void run_binding(const struct options *options);
void run_allocate(const struct options *options);
void run_idle(const struct options *options);

#endif
