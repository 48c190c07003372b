/* loadgen: loads a TURN server from one thread and prints one line of JSON. See --help. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "load.h"

static const char HELP[] =
    "loadgen MODE [options]: load a TURN server over UDP and print one line of JSON\n"
    "modes:\n"
    "  traffic   packets through allocations, client and peer both being this program\n"
    "  direct    the same packets with no server between\n"
    "  binding   Binding requests, so many in flight\n"
    "  allocate  cycles of 401, Allocate, Refresh(0), each from a new port\n"
    "  idle      make the allocations, print, and hold them until stdin ends\n"
    "options:\n"
    "  --server IP:PORT  --user NAME  --password TEXT  --local IP (the first; 127.2.0.1)\n"
    "  --allocations N (16)  --payload BYTES (160)  --direction up|down|both (up)\n"
    "  --framing channel|indication (channel)  --rate PACKETS_PER_SECOND (0: flood)\n"
    "  --burst N (1: packets of a flow in a row)  --segment (a burst is one UDP_SEGMENT send)\n"
    "  --seconds S (3)  --warmup S (0.5)  --outstanding N (64)\n"
    "  --pid PID (repeat: the server's processes, for its CPU time)\n";

static int usage(const char *what) {
    fprintf(stderr, "loadgen: %s; try --help\n", what);
    exit(2);
}

static double number(const char *text) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != 0 || !(value >= 0)) {
        usage("a number was expected");
    }
    return value;
}

static struct sockaddr_in endpoint(const char *text) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[64];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof host) {
        usage("--server takes IP:PORT");
    }
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    address.sin_port = htons((uint16_t)number(colon + 1));
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        usage("--server takes an IPv4 address");
    }
    return address;
}

static void set_direction(struct options *options, const char *text) {
    options->up = strcmp(text, "up") == 0 || strcmp(text, "both") == 0;
    options->down = strcmp(text, "down") == 0 || strcmp(text, "both") == 0;
    if (!options->up && !options->down) {
        usage("--direction takes up, down or both");
    }
}

static void set_framing(struct options *options, const char *text) {
    options->indications = strcmp(text, "indication") == 0;
    if (!options->indications && strcmp(text, "channel") != 0) {
        usage("--framing takes channel or indication");
    }
}

static void set(struct options *options, int option) {
    switch (option) {
    case 's': options->server = endpoint(optarg); break;
    case 'u': options->user = optarg; break;
    case 'p': options->password = optarg; break;
    case 'n': options->allocations = (int)number(optarg); break;
    case 'b': options->payload = (int)number(optarg); break;
    case 'r': options->rate = number(optarg); break;
    case 't': options->seconds = number(optarg); break;
    case 'w': options->warmup = number(optarg); break;
    case 'k': options->burst = (int)number(optarg); break;
    case 'g': options->segment = 1; break;
    case 'o': options->outstanding = (int)number(optarg); break;
    case 'd': set_direction(options, optarg); break;
    case 'f': set_framing(options, optarg); break;
    case 'l':
        if (inet_pton(AF_INET, optarg, &options->local) != 1) {
            usage("--local takes an IPv4 address");
        }
        break;
    case 'P':
        if (options->pid_count == MAX_PIDS) {
            usage("too many --pid");
        }
        options->pids[options->pid_count++] = (int)number(optarg);
        break;
    case 'h': fputs(HELP, stdout); exit(0);
    default: usage("unknown option");
    }
}

int main(int argc, char **argv) {
    static const struct option names[] = {
        {"server", 1, 0, 's'},    {"user", 1, 0, 'u'},      {"password", 1, 0, 'p'},
        {"allocations", 1, 0, 'n'}, {"payload", 1, 0, 'b'}, {"rate", 1, 0, 'r'},
        {"seconds", 1, 0, 't'},   {"warmup", 1, 0, 'w'},    {"outstanding", 1, 0, 'o'},
        {"direction", 1, 0, 'd'}, {"framing", 1, 0, 'f'},   {"local", 1, 0, 'l'},
        {"burst", 1, 0, 'k'},     {"segment", 0, 0, 'g'},   {"pid", 1, 0, 'P'},
              {"help", 0, 0, 'h'},      {0, 0, 0, 0},
    };
    static const struct {
        const char *name;
        void (*run)(const struct options *);
    } modes[] = {{"traffic", run_traffic},   {"direct", run_traffic}, {"binding", run_binding},
                 {"allocate", run_allocate}, {"idle", run_idle}};
    struct options options = {.user = "bench", .password = "bench", .allocations = 16,
                              .payload = 160, .seconds = 3, .warmup = 0.5, .up = 1,
                              .outstanding = 64, .burst = 1};
    inet_pton(AF_INET, "127.2.0.1", &options.local);
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        set(&options, option);
    }
    if (optind + 1 != argc) {
        usage("one mode was expected");
    }
    options.mode = argv[optind];
    if (options.allocations < 1 || options.outstanding < 1 || options.burst < 1) {
        usage("--allocations, --outstanding and --burst are at least 1");
    }
    if (strcmp(options.mode, "direct") != 0 && options.server.sin_port == 0) {
        usage("--server is needed");
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(modes[i].name, options.mode) == 0) {
            modes[i].run(&options);
            return 0;
        }
    }
    return usage("unknown mode");
}
