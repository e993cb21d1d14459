/*
 * Fuzzes the buckets: whatever stands in their memory, and whoever comes when.
 *
 * The input is limits and then visits. Each takes a turn of a source after a while, or writes something
 * into that source's place before, as a program of the service's user might. Nobody is found outside the
 * table; a turn is not further away than it may be, and turns of a source are in order, as long as its
 * bucket is not forgotten or written over.
 */
#include "rates.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { SOURCES = 16, VISIT_BYTES = 10 };
#define LATEST (UINT64_C(1) << 60)

static struct gate gate;
static struct gate_limits limits;

struct known {
    const struct gate_bucket *bucket;
    uint64_t full_at_ns;
    uint64_t turn_ns;
};

static void check(bool is_so)
{
    if (!is_so)
        abort();
}

static uint64_t word(const uint8_t *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof value);
    return value;
}

/* So that the small numbers of an input are times that matter, and the large ones are there, too. */
static uint64_t time_of(const uint8_t *bytes)
{
    return word(bytes) >> (bytes[0] % 64);
}

static void visit(struct known *known, uint64_t source, uint64_t now, const uint8_t *written)
{
    struct gate_bucket *bucket = rates_find(gate.buckets, source * (GATE_BUCKETS / GATE_WAYS));
    const uint64_t longest = limits.longest_wait_ns;
    uint64_t wait;

    check(bucket >= gate.buckets && bucket < gate.buckets + GATE_WAYS);
    if (bucket->full_at_ns != known->full_at_ns)
        known->turn_ns = 0; /* it was forgotten meanwhile */
    if (written) {
        bucket->full_at_ns = word(written);
        known->turn_ns = 0;
    }
    if (rates_take(&bucket->full_at_ns, &limits.source_rate, now, longest, &wait)) {
        check(wait <= longest && now + wait >= known->turn_ns);
        known->turn_ns = now + wait;
    }
    check(bucket->full_at_ns >= now && bucket->full_at_ns <= now + 3 * LATEST);
    known->full_at_ns = bucket->full_at_ns;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    const uint8_t *end = input + size, *at = input + 24;
    struct known known[SOURCES] = {0};
    uint64_t now = 0;

    if (size < 24)
        return 0;
    memset(gate.buckets, 0, GATE_WAYS * sizeof *gate.buckets);
    limits.source_rate.interval_ns = time_of(input);
    limits.source_rate.full_ns = time_of(input + 8);
    limits.longest_wait_ns = time_of(input + 16);
    check(rates_hash(gate.hash_key, input, size) == rates_hash(gate.hash_key, input, size));
    for (; end - at >= VISIT_BYTES; at += VISIT_BYTES) {
        const uint64_t source = 1 + at[0] % SOURCES;

        now += time_of(at + 2) / 64;
        if (now > LATEST)
            break;
        visit(&known[source - 1], source, now, at[1] % 8 ? NULL : at + 2);
    }
    return 0;
}
