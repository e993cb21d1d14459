/*
 * Programs of the service's user may write to this memory. Whatever stands there is an answer: numbers
 * have bounds, and a bucket that could not have come to be by turns is taken for an empty one.
 */
#include "rates.h"

#include <string.h>

/* Sums of a few of these do not overflow. It is 36 years. */
#define MOST_NS (UINT64_C(1) << 60)

static uint64_t rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static void stir(uint64_t v[4], int rounds)
{
    for (int i = 0; i < rounds; i++) {
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
    }
}

static uint64_t read_word(const uint8_t *bytes, size_t count)
{
    uint64_t word = 0;

    for (size_t i = 0; i < count; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

static void absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    stir(v, 2);
    v[0] ^= word;
}

uint64_t rates_hash(const uint64_t key[2], const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    const size_t rest = size % 8;
    uint64_t v[4] = {
        key[0] ^ UINT64_C(0x736f6d6570736575),
        key[1] ^ UINT64_C(0x646f72616e646f6d),
        key[0] ^ UINT64_C(0x6c7967656e657261),
        key[1] ^ UINT64_C(0x7465646279746573),
    };

    for (size_t i = 0; i + 8 <= size; i += 8)
        absorb(v, read_word(at + i, 8));
    absorb(v, (uint64_t)size << 56 | read_word(at + size - rest, rest));
    v[2] ^= 0xff;
    stir(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct gate_bucket *rates_find(struct gate_bucket *buckets, uint64_t source)
{
    struct gate_bucket *ways = buckets + source % (GATE_BUCKETS / GATE_WAYS) * GATE_WAYS;
    struct gate_bucket *fullest = ways;

    for (size_t i = 0; i < GATE_WAYS; i++) {
        if (ways[i].source == source)
            return &ways[i];
        if (ways[i].full_at_ns < fullest->full_at_ns)
            fullest = &ways[i];
    }
    *fullest = (struct gate_bucket){.source = source};
    return fullest;
}

static uint64_t bounded(uint64_t value)
{
    return value < MOST_NS ? value : MOST_NS;
}

bool rates_take(uint64_t *full_at_ns, const struct gate_rate *rate, uint64_t now_ns,
                uint64_t longest_ns, uint64_t *wait_ns)
{
    const uint64_t interval = bounded(rate->interval_ns);
    const uint64_t full = bounded(rate->full_ns);
    const uint64_t longest = bounded(longest_ns);
    const uint64_t now = bounded(now_ns);
    uint64_t left = *full_at_ns > now ? *full_at_ns - now : 0;

    if (left > full + longest)
        left = full + longest;
    *full_at_ns = now + left;
    *wait_ns = left + interval > full ? left + interval - full : 0;
    if (*wait_ns > longest)
        return false;
    *full_at_ns += interval;
    return true;
}
