#include <stdlib.h>
#include <string.h>

#include "engine.h"

#define ALIGN(size) (((size) + 7u) & ~7u)
#define WRAP 0xffffffffu /* a size that says: go on at the ring's start */

bool ring_init(ring_t *ring, uint32_t capacity) {
    ring->bytes = malloc(capacity);
    ring->capacity = capacity;
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    return ring->bytes != NULL;
}

void ring_free(ring_t *ring) {
    free(ring->bytes);
    ring->bytes = NULL;
}

bool ring_push(ring_t *ring, const up_header_t *header, const void *head, uint32_t head_size,
               const void *data, uint32_t size, uint32_t pad) {
    uint32_t total = ALIGN((uint32_t)sizeof *header + head_size + size + pad);
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint32_t used = tail - atomic_load_explicit(&ring->head, memory_order_acquire);
    uint32_t offset = tail & (ring->capacity - 1);
    uint32_t skip = ring->capacity - offset < total ? ring->capacity - offset : 0;
    if (total + skip > ring->capacity - used) return false;
    if (skip) {
        /* Offsets are multiples of 8: there is room for a size at least. */
        uint32_t mark = WRAP;
        memcpy(ring->bytes + offset, &mark, sizeof mark);
        tail += skip;
        offset = 0;
    }
    uint8_t *entry = ring->bytes + offset;
    up_header_t written = *header;
    written.size = head_size + size + pad;
    memcpy(entry, &written, sizeof written);
    if (head_size) memcpy(entry + sizeof written, head, head_size);
    if (size) memcpy(entry + sizeof written + head_size, data, size);
    if (pad) memset(entry + sizeof written + head_size + size, 0, pad);
    atomic_store_explicit(&ring->tail, tail + total, memory_order_release);
    return true;
}

const up_header_t *ring_peek(ring_t *ring) {
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head == atomic_load_explicit(&ring->tail, memory_order_acquire)) return NULL;
    uint32_t offset = head & (ring->capacity - 1);
    const up_header_t *header = (const void *)(ring->bytes + offset);
    if (header->size != WRAP) return header;
    head += ring->capacity - offset;
    atomic_store_explicit(&ring->head, head, memory_order_release);
    return (const void *)ring->bytes;
}

void ring_pop(ring_t *ring) {
    const up_header_t *header = ring_peek(ring);
    if (!header) return;
    uint32_t total = ALIGN((uint32_t)sizeof *header + header->size);
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    atomic_store_explicit(&ring->head, head + total, memory_order_release);
}
