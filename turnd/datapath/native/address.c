#include <string.h>

#include "engine.h"

void addr_from_sockaddr(addr_t *address, const struct sockaddr_storage *sockaddr) {
    memset(address, 0, sizeof *address);
    if (sockaddr->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sockaddr;
        memcpy(address->ip, &in->sin_addr, 4);
        address->port = ntohs(in->sin_port);
        address->family = IPV4;
    } else {
        const struct sockaddr_in6 *in6 = (const void *)sockaddr;
        memcpy(address->ip, &in6->sin6_addr, 16);
        address->port = ntohs(in6->sin6_port);
        address->scope = in6->sin6_scope_id;
        address->family = IPV6;
    }
}

socklen_t addr_to_sockaddr(const addr_t *address, struct sockaddr_storage *sockaddr) {
    if (address->family == IPV4) {
        struct sockaddr_in *in = (void *)sockaddr;
        *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(address->port)};
        memcpy(&in->sin_addr, address->ip, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (void *)sockaddr;
    *in6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
                                 .sin6_port = htons(address->port),
                                 .sin6_scope_id = address->scope};
    memcpy(&in6->sin6_addr, address->ip, 16);
    return sizeof *in6;
}

bool bucket_take(bucket_t *bucket, int64_t bytes, int64_t now) {
    if (!bucket->rate) return true;
    int64_t elapsed = now - bucket->updated;
    if (elapsed > 1000000000000000) elapsed = 1000000000000000; /* so that nothing overflows */
    int64_t earned = elapsed > 0 ? (int64_t)((__int128_t)elapsed * bucket->rate / 1000000000) : 0;
    if (bucket->tokens + earned >= bucket->rate) {
        bucket->tokens = bucket->rate;
        bucket->updated = now;
    } else if (earned) {
        /* Only the time that was paid for is used up: the rest of a token is not lost. */
        bucket->tokens += earned;
        bucket->updated = now - elapsed + (int64_t)((__int128_t)earned * 1000000000 / bucket->rate);
    }
    /* A packet larger than a second's worth passes a full bucket, and leaves a debt. */
    if (bucket->tokens < (bytes < bucket->rate ? bytes : bucket->rate)) return false;
    bucket->tokens -= bytes;
    return true;
}
