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
    struct in_addr local; /* clients and peers live on another loopback address than relays, so
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
    int outstanding;       /* requests in flight, in the modes of requests */
    int pids[MAX_PIDS];    /* the server's processes */
    int pid_count;
};

/* A client and its peer: the client's socket is connected to the server, the peer's to the relay. */
struct flow {
    int client;
    int peer;
    struct sockaddr_in peer_address;
    struct sockaddr_in relayed;
    struct credential credential;
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

/* Allocate; dies if the server does not grant it. */
void open_allocation(const struct options *options, struct flow *flow);

/* The peer's socket, a permission for it and, unless indications are asked for, a channel. */
void open_peer(const struct options *options, struct flow *flow, uint16_t channel);

/* The modes; each prints one line of JSON. */
void run_traffic(const struct options *options);
void run_binding(const struct options *options);
void run_allocate(const struct options *options);
void run_idle(const struct options *options);

#endif
