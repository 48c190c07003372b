/* Looking ahead: where there are thousands of allocations, hardly one's rows are in the cache.
 *
 * A packet needs four or five of them, one after the other. Those of a whole batch are asked
 * for at once, so that memory is waited for once and not for each packet. Nothing here changes
 * what happens to a packet.
 */
#include "engine.h"

#define CACHE_LINE 64
#define FEW_ALLOCATIONS 256 /* so many are in the cache anyway */
#define FEW_PACKETS 4

static inline void fetch(const void *start, size_t size) {
    const uint8_t *bytes = start;
    for (size_t offset = 0; offset < size; offset += CACHE_LINE)
        __builtin_prefetch(bytes + offset);
}

/* The first rows of a table: of most allocations' tables, all there are. */
static inline void fetch_start(const table_t *table) {
    if (table->slots) fetch(table->slots, 2 * CACHE_LINE);
}

static bool worth_it(const shard_t *shard, int packets) {
    return packets >= FEW_PACKETS && shard->clients.count >= FEW_ALLOCATIONS;
}

void ahead_clients(const shard_t *shard, const five_tuple_t *from, int count) {
    if (!worth_it(shard, count)) return;
    const allocation_t *allocations[BATCH];
    for (int i = 0; i < count; i++) table_fetch(&shard->clients, &from[i]);
    for (int i = 0; i < count; i++) {
        const client_row_t *row = table_find(&shard->clients, &from[i]);
        allocations[i] = row ? row->allocation : NULL;
        if (allocations[i]) fetch(allocations[i], sizeof *allocations[i]);
    }
    for (int i = 0; i < count; i++) {
        if (!allocations[i]) continue;
        fetch_start(&allocations[i]->channels);
        fetch_start(&allocations[i]->permissions);
        for (int family = 0; family < FAMILIES; family++)
            if (allocations[i]->relays[family])
                fetch(&allocations[i]->relays[family]->queue, CACHE_LINE);
    }
}

void ahead_relays(const shard_t *shard, relay_t *const *relays, int count) {
    if (!worth_it(shard, count)) return;
    for (int i = 0; i < count; i++) fetch(relays[i], sizeof *relays[i]);
    for (int i = 0; i < count; i++)
        if (relays[i]->allocation) fetch(relays[i]->allocation, sizeof *relays[i]->allocation);
    for (int i = 0; i < count; i++) {
        const allocation_t *allocation = relays[i]->allocation;
        if (!allocation) continue;
        fetch_start(&allocation->permissions);
        fetch_start(&allocation->bound_peers);
        fetch_start(&allocation->channels);
    }
}
