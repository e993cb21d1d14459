/*
 * How often a source may come, and all together: buckets that fill with time.
 *
 * Owns the arithmetic and the table of buckets, as socketd/admission/rate.py and
 * socketd/workers/rates.py do (a test holds them against each other). Must not know what a source is,
 * what becomes of a client, nor any clock.
 *
 * A bucket is one number: when it will be full. A turn taken makes that later by one interval. Who finds
 * a bucket empty may take a turn that is still to come, and wait for it: so those who wait have one
 * turn each, in the order in which they came.
 *
 * The table does not grow. A source can have its bucket in few places of it; if others have them all,
 * the fullest of those is forgotten, which is the one that has the least to forget.
 */
#ifndef SOCKETD_RATES_H
#define SOCKETD_RATES_H

#include "gate.h"

#include <stdbool.h>

/* Return a number for some bytes that nobody can choose who does not know the key: SipHash-2-4. */
uint64_t rates_hash(const uint64_t key[2], const void *bytes, size_t size);

/* Return the bucket of a source, an empty place if it has none. */
struct gate_bucket *rates_find(struct gate_bucket *buckets, uint64_t source);

/* Take a turn at a time. False if its wait would be longer than `longest_ns`; then none is taken. */
bool rates_take(uint64_t *full_at_ns, const struct gate_rate *rate, uint64_t now_ns,
                uint64_t longest_ns, uint64_t *wait_ns);

#endif
