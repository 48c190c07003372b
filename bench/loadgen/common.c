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
