/* recvmmsg for the engine under AddressSanitizer: what lies behind a datagram is poisoned.
 *
 * The engine's slots are 64 KB each, so a parser that reads past a datagram's end would read the
 * datagram before it there, and nobody would notice. The build calls this in recvmmsg's place.
 */
#define _GNU_SOURCE
#undef recvmmsg
#include <sys/socket.h>

#include <sanitizer/asan_interface.h>

int poisoning_recvmmsg(int fd, struct mmsghdr *headers, unsigned count, int flags,
                       struct timespec *timeout);

int poisoning_recvmmsg(int fd, struct mmsghdr *headers, unsigned count, int flags,
                       struct timespec *timeout) {
    for (unsigned i = 0; i < count; i++) {
        const struct iovec *part = headers[i].msg_hdr.msg_iov;
        ASAN_UNPOISON_MEMORY_REGION(part->iov_base, part->iov_len);
    }
    int received = recvmmsg(fd, headers, count, flags, timeout);
    for (int i = 0; i < received; i++) {
        const struct iovec *part = headers[i].msg_hdr.msg_iov;
        char *end = (char *)part->iov_base + headers[i].msg_len;
        ASAN_POISON_MEMORY_REGION(end, part->iov_len - headers[i].msg_len);
    }
    return received;
}
