#include "table.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash_seed = 0x9e3779b97f4a7c15ull;

void table_seed(uint64_t seed) {
    static bool seeded;
    if (!seeded) hash_seed = seed | 1; /* once: the rows of other engines stand by it */
    seeded = true;
}

static inline uint64_t mix(uint64_t a, uint64_t b) {
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint32_t table_hash(const void *key, size_t size) {
    const uint8_t *bytes = key;
    uint64_t state = hash_seed ^ size;
    while (size >= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        state = mix(state ^ word, 0xa0761d6478bd642full ^ hash_seed);
        bytes += 8;
        size -= 8;
    }
    if (size) {
        uint64_t word = 0;
        memcpy(&word, bytes, size);
        state = mix(state ^ word, 0xe7037ed1a0b428dbull ^ hash_seed);
    }
    state = mix(state, 0x8ebc6af09c88c6e3ull);
    uint32_t hash = (uint32_t)(state >> 32) ^ (uint32_t)state;
    return hash ? hash : 1;
}

void table_init(table_t *table, size_t entry_size, size_t key_size) {
    *table = (table_t){.entry_size = (uint32_t)entry_size, .key_size = (uint32_t)key_size};
}

void table_free(table_t *table) {
    free(table->slots);
    table->slots = NULL;
    table->capacity = table->count = 0;
}

static inline uint8_t *slot_at(const table_t *table, uint32_t index) {
    return table->slots + (size_t)index * table->entry_size;
}

static inline uint32_t hash_of(const uint8_t *slot) {
    uint32_t hash;
    memcpy(&hash, slot, sizeof hash);
    return hash;
}

void *table_find(const table_t *table, const void *key) {
    if (!table->count) return NULL;
    uint32_t hash = table_hash(key, table->key_size);
    uint32_t mask = table->capacity - 1;
    for (uint32_t index = hash & mask;; index = (index + 1) & mask) {
        uint8_t *slot = slot_at(table, index);
        uint32_t there = hash_of(slot);
        if (!there) return NULL;
        if (there == hash && !memcmp(TABLE_KEY(slot), key, table->key_size)) return slot;
    }
}

void table_fetch(const table_t *table, const void *key) {
    if (!table->count) return;
    uint32_t index = table_hash(key, table->key_size) & (table->capacity - 1);
    const uint8_t *slot = slot_at(table, index);
    __builtin_prefetch(slot);
    __builtin_prefetch(slot + table->entry_size - 1);
}

static uint8_t *free_slot(const table_t *table, uint32_t hash) {
    uint32_t mask = table->capacity - 1;
    uint32_t index = hash & mask;
    while (hash_of(slot_at(table, index))) index = (index + 1) & mask;
    return slot_at(table, index);
}

static bool resize(table_t *table, uint32_t capacity) {
    table_t grown = *table;
    grown.capacity = capacity;
    grown.slots = calloc(capacity, table->entry_size);
    if (!grown.slots) return false;
    for (uint32_t index = 0; index < table->capacity; index++) {
        uint8_t *slot = slot_at(table, index);
        uint32_t hash = hash_of(slot);
        if (hash) memcpy(free_slot(&grown, hash), slot, table->entry_size);
    }
    free(table->slots);
    *table = grown;
    return true;
}

void *table_put(table_t *table, const void *key) {
    void *found = table_find(table, key);
    if (found) return found;
    /* At most three quarters full; the smallest tables, an allocation's, start at 4. */
    if ((table->count + 1) * 4 > table->capacity * 3) {
        if (!resize(table, table->capacity ? table->capacity * 2 : 4)) return NULL;
    }
    uint32_t hash = table_hash(key, table->key_size);
    uint8_t *slot = free_slot(table, hash);
    memset(slot, 0, table->entry_size);
    memcpy(slot, &hash, sizeof hash);
    memcpy(TABLE_KEY(slot), key, table->key_size);
    table->count++;
    return slot;
}

bool table_remove(table_t *table, const void *key) {
    uint8_t *slot = table_find(table, key);
    if (!slot) return false;
    uint32_t mask = table->capacity - 1;
    uint32_t hole = (uint32_t)((size_t)(slot - table->slots) / table->entry_size);
    /* Close the gap: move back whatever could stand nearer to its home. */
    for (uint32_t index = (hole + 1) & mask;; index = (index + 1) & mask) {
        uint8_t *candidate = slot_at(table, index);
        uint32_t hash = hash_of(candidate);
        if (!hash) break;
        uint32_t home = hash & mask;
        if (((index - home) & mask) >= ((index - hole) & mask)) {
            memcpy(slot_at(table, hole), candidate, table->entry_size);
            hole = index;
        }
    }
    memset(slot_at(table, hole), 0, table->entry_size);
    table->count--;
    return true;
}

void *table_next(const table_t *table, uint32_t *position) {
    while (*position < table->capacity) {
        uint8_t *slot = slot_at(table, (*position)++);
        if (hash_of(slot)) return slot;
    }
    return NULL;
}
