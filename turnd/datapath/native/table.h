/* One open-addressing hash table for every row of the engine.
 *
 * An entry is a caller's struct that begins with a `uint32_t hash` (0 means empty) and
 * continues with the key; the value follows. Keys are compared as bytes, so a key
 * must have no padding that is not zero. Hashes are seeded per process: whoever picks the
 * addresses can't pick the collisions.
 */
#ifndef TURND_TABLE_H
#define TURND_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t *slots;
    uint32_t capacity; /* a power of two, or 0 before the first insertion */
    uint32_t count;
    uint32_t entry_size;
    uint32_t key_size;
} table_t;

#define TABLE_KEY(entry) ((uint8_t *)(entry) + sizeof(uint32_t))

void table_seed(uint64_t seed);
void table_init(table_t *table, size_t entry_size, size_t key_size);
void table_free(table_t *table);

/* The entry of that key, or NULL. */
void *table_find(const table_t *table, const void *key);

/* Have the entry of that key brought into the cache, if it is there. */
void table_fetch(const table_t *table, const void *key);

/* The entry of that key, made (value zeroed) if it is not there; NULL without memory. */
void *table_put(table_t *table, const void *key);

/* Drop the entry of that key; false if there is none. Moves other entries. */
bool table_remove(table_t *table, const void *key);

/* Walk all entries: start with *position = 0; NULL at the end. */
void *table_next(const table_t *table, uint32_t *position);

/* A seeded hash that is never 0. */
uint32_t table_hash(const void *key, size_t size);

#endif
