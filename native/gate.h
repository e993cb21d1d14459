/*
 * The gate: who may come in, in memory that the master and all workers of a listener share. It stands
 * on the board, behind the remarks.
 *
 * Owns the layout, which socketd/workers/gate.py has too (a test holds the two against each other). Must
 * not know what a verdict is made from, nor what becomes of a client.
 *
 * The master writes a table into the half that is not in force, then `in_force`, whose lowest bit is the
 * half. Before it writes into a half, that is not in force any more: who finds another number in
 * `in_force` than before may have read a mixture, and reads again.
 */
#ifndef SOCKETD_GATE_H
#define SOCKETD_GATE_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { GATE_RING = 32, GATE_REASONS = 16, GATE_WAYS = 8, GATE_BUCKETS = 65536, GATE_SENSED = 4096 };
/* Looks at what the master may be writing, before whatever stands there is an answer. */
enum { GATE_TRIES = 64 };
#define GATE_HALF_SIZE ((size_t)4 << 20)

/* Why a client was sent away. */
enum gate_reason {
    GATE_DENIED = 0,      /* by a rule, or for want of one */
    GATE_CROWDED = 1,     /* its source has as many connections as it may have */
    GATE_UNCOUNTED = 2,   /* how many its source has could not be found out */
    GATE_NO_PROXY = 3,    /* only proxies may connect, and it is none of them */
    GATE_NO_HEADER = 4,   /* a proxy that has not sent what says whose connection it is */
    GATE_LATE_HEADER = 5, /* ... in time */
    GATE_HASTY = 6,       /* its source comes more often than it may */
    GATE_OVER_RATE = 7,   /* all together come more often than they may */
    GATE_FULL = 8,        /* as many connections are served as may be */
    GATE_SENSED_BEFORE = 9, /* it has connected where nobody has any business */
};

/* One end of a connection; the family is AF_UNSPEC where there is no peer, or an unknown one. */
struct board_peer {
    uint16_t family;
    uint16_t port;
    union {
        uint8_t address[16];
        struct {
            int32_t pid;
            uint32_t uid;
            uint32_t gid;
        } credentials; /* of a UNIX socket */
    };
};

/* For the log, which prints the last of them. */
struct gate_refusal {
    struct board_peer client;
    struct board_peer proxy;
    uint8_t reason;
    uint8_t reserved[23];
};

/* What stands in a half; behind it, in this order, are the texts and the entries: so the page that a
 * worker begins with has all that most clients need but their own entry. With `proxies` another
 * such table begins there, a multiple of four, that says of who has connected whether it is a proxy
 * which says for whom. */
struct gate_table {
    uint32_t ipv4_count;
    uint32_t ipv6_count;
    uint32_t uid_count;
    uint32_t gid_count;
    uint32_t unix_verdict; /* for whom neither user nor group is named */
    uint32_t texts_size; /* a multiple of four */
    uint32_t refusal_size; /* of the text for who is sent away, which comes first of all texts */
    uint32_t proxies;         /* 0: there are none, and who has connected is the client */
    uint32_t header_limit_ms; /* for what a proxy has to say */
    uint32_t reserved;
};

/*
 * A verdict is 0 for who is to be sent away. Else it is 1 and the offset, among the texts, of the
 * variables that the program is to get: each ends with a NUL, the last one with another.
 *
 * A range begins at its address and ends where the next one begins; the first begins at zero.
 */
struct gate_ipv4 {
    uint32_t first; /* in the machine's order */
    uint32_t verdict;
};

struct gate_ipv6 {
    uint8_t first[16];
    uint32_t verdict;
};

struct gate_id {
    uint32_t id;
    uint32_t verdict;
};

/* How often somebody may come: a bucket fills with a turn each `interval_ns`, and is full when it has
 * been left alone for `full_ns`. Without an interval there is no limit. */
struct gate_rate {
    uint64_t interval_ns;
    uint64_t full_ns;
};

/* How many connections there may be, and how often clients may come. */
struct gate_limits {
    uint64_t sources;      /* see gate_limit_of() */
    struct gate_rate rate; /* of all together */
    struct gate_rate source_rate;
    uint64_t longest_wait_ns; /* for the turn of who comes too often; 0: it is sent away */
    uint64_t most;            /* connections at once; 0: who is one too many waits in the queue */
    uint64_t queue_ns;        /* for so long somebody may have waited there, who is one too many */
};

enum { GATE_LIMITS = sizeof(struct gate_limits) / sizeof(uint64_t) };

/* What a source has left, as the monotonic time at which its bucket will be full. Who writes holds the
 * lock of sources. One that is full is as good as none, so memory of zeros is empty. */
struct gate_bucket {
    uint64_t source; /* a number that is made of it with the key */
    uint64_t full_at_ns;
};

/* A source that is kept out until a monotonic time. Only the master writes here: first that it is nobody
 * any more, then who, then until when. */
struct gate_sensed {
    _Atomic uint64_t source; /* as in a bucket */
    _Atomic uint64_t until_ns;
};

struct gate {
    _Atomic uint32_t in_force; /* 0: no table, everybody may come in */
    _Atomic uint32_t is_told;  /* the master has been rung, and has not looked yet */
    _Atomic uint32_t refusals; /* how many there have been, which says where the next one goes */
    _Atomic uint32_t limits_in_force; /* its last bit says which of them are */
    _Atomic uint64_t by_reason[GATE_REASONS];
    uint64_t hash_key[2];             /* which no client knows */
    _Atomic uint64_t sensed_until_ns; /* somebody is kept out for that; in the past: nobody is */
    uint8_t more[88];
    struct gate_refusal ring[GATE_RING];
    _Atomic uint64_t limits[2][GATE_LIMITS];
    uint8_t rest[4096 - 256 - GATE_RING * sizeof(struct gate_refusal) - 128];
    uint8_t halves[2][GATE_HALF_SIZE];
    struct gate_bucket all; /* its source is nobody's */
    uint8_t to_a_line[48];
    struct gate_bucket buckets[GATE_BUCKETS];
    struct gate_sensed sensed[GATE_SENSED];
};

/* The limits in force at one moment. The master writes where nobody looks, then which ones hold: a number
 * that is another one behind a look means that it may have seen a mixture. */
static inline struct gate_limits gate_read_limits(const struct gate *gate)
{
    union {
        uint64_t numbers[GATE_LIMITS];
        struct gate_limits limits;
    } copy;

    for (int tries = 0; tries < GATE_TRIES; tries++) {
        const uint32_t number = atomic_load(&gate->limits_in_force);

        for (size_t i = 0; i < GATE_LIMITS; i++)
            copy.numbers[i] = atomic_load_explicit(&gate->limits[number & 1][i], memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load(&gate->limits_in_force) == number)
            break;
    }
    return copy.limits;
}

/* What `sources` says. */
struct gate_limit {
    uint32_t most; /* connections of a source at once; 0: any number */
    uint8_t ipv4_bits; /* so many bits at the beginning of an address are its source */
    uint8_t ipv6_bits;
};

static inline struct gate_limit gate_limit_of(uint64_t number)
{
    return (struct gate_limit){(uint32_t)number, (uint8_t)(number >> 32), (uint8_t)(number >> 40)};
}

static_assert(sizeof(struct board_peer) == 20, "a peer has no gaps");
static_assert(sizeof(struct gate_refusal) == 64, "a refusal is one cache line");
static_assert(sizeof(struct gate_bucket) == 16 && sizeof(struct gate_sensed) == 16,
              "neither has gaps");
static_assert(sizeof(struct gate_limits) == 64 && offsetof(struct gate, limits) % 64 == 0,
              "limits are one cache line");
static_assert(sizeof(struct gate_table) == 40, "the entries begin here");
static_assert(sizeof(struct gate_ipv4) == 8 && sizeof(struct gate_ipv6) == 20 &&
                  sizeof(struct gate_id) == 8,
              "entries have no gaps");
static_assert(offsetof(struct gate, ring) == 256 && offsetof(struct gate, halves) == 4096,
              "tables begin at a page");

#endif
