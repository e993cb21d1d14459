/*
 * The board: what every worker says of itself, in memory shared with the master.
 *
 * Owns the layout, which socketd/workers/layout.py has too (a test holds the two against each other), and
 * the order in which its bytes are written. Must not know who reads them, nor what a state is
 * good for.
 *
 * Every byte has one writer at a time: the master claims a slot (FREE to STARTING), the template
 * or the worker moves it on, and the master takes the news off (ACCEPTED to BUSY). The state byte
 * is stored last and with release order, so a reader that sees it sees the record, too.
 */
#ifndef SOCKETD_BOARD_H
#define SOCKETD_BOARD_H

#include "gate.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#define BOARD_MAGIC UINT32_C(0x736B640A)
#define BOARD_ALIGNMENT 64
#define BOARD_PAGE 4096

enum slot_state {
    SLOT_FREE = 0,
    SLOT_STARTING = 1,
    SLOT_IDLE = 2,
    SLOT_ACCEPTED = 3,
    SLOT_BUSY = 4,
    SLOT_STILLBORN = 5,
};

enum step {
    STEP_NONE = 0,
    STEP_FORK = 1,
    STEP_PREPARE = 2,
    STEP_ACCEPT = 3,
    STEP_WIRE = 4,
    STEP_EXEC = 5,
    STEP_PROGRAM = 6, /* it has ended before a connection; the error is its status */
};

/* What a worker has to say of the request that came by its connection. */
enum remark_kind {
    REMARK_NONE = 0,
    REMARK_LEFT_OUT = 1, /* a variable of it, and it was carried out */
    REMARK_REFUSED = 2,
    REMARK_TRACED = 3, /* nothing, but the trace that it belongs to */
};

struct board_header {
    uint32_t magic;
    uint32_t capacity;
    _Atomic uint8_t ring_when_idle;
    uint8_t unused[3];
    _Atomic int32_t accepts_left; /* until the master is rung for at once */
    _Atomic uint32_t watched;     /* slots beyond these are free */
    uint8_t reserved[44];
};

struct board_record {
    pid_t pid;
    uint32_t generation;
    uint64_t accepted_ns; /* while idle: since when it waits with a client for a place, or 0 */
    int32_t error;
    uint8_t step;
    _Atomic uint8_t retire;
    uint8_t remark; /* a remark_kind; what it says stands in board_remark */
    uint8_t is_named; /* others have a name for the connection, which stands there, too */
    struct board_peer client;
    struct board_peer proxy; /* which has told us of the client */
};

/* Texts end with a NUL unless they fill their room. */
struct board_remark {
    uint16_t status; /* of the answer, as in HTTP; 0: the request was carried out */
    uint16_t count;  /* of the variables that it is about */
    char reason[124];
    char name[64]; /* of the first of them */
    char trace[32]; /* that the request belongs to */
    char id[32];    /* what others call the connection, or the request */
};

static_assert(sizeof(struct board_header) == 64, "the header is one cache line");
static_assert(sizeof(struct board_record) == 64, "a record is one cache line");
static_assert(sizeof(struct board_remark) == 256, "a remark is four of them");
static_assert(sizeof(pid_t) == 4, "the kernel writes a pid as four bytes");

/* What the header says may change under us: others write here. So its size and ours are taken once,
 * in board_attach(). */
struct board {
    struct board_header *header;
    uint32_t capacity;
    _Atomic uint8_t *states;
    struct board_record *records;
    struct board_remark *remarks;
    struct gate *gate;
};

static inline size_t board_records_offset(uint32_t capacity)
{
    size_t padding = BOARD_ALIGNMENT - 1;

    return sizeof(struct board_header) + (((size_t)capacity + padding) & ~padding);
}

static inline size_t board_remarks_offset(uint32_t capacity)
{
    return board_records_offset(capacity) + (size_t)capacity * sizeof(struct board_record);
}

static inline size_t board_gate_offset(uint32_t capacity)
{
    size_t end = board_remarks_offset(capacity) + (size_t)capacity * sizeof(struct board_remark);
    size_t padding = BOARD_PAGE - 1;

    return (end + padding) & ~padding;
}

static inline size_t board_size(uint32_t capacity)
{
    return board_gate_offset(capacity) + sizeof(struct gate);
}

/* Take memory of `size` bytes for a board, unless it is none. */
static inline bool board_attach(struct board *board, void *memory, size_t size)
{
    struct board_header *header = memory;
    uint32_t capacity;

    if (size < sizeof *header || header->magic != BOARD_MAGIC)
        return false;
    capacity = *(volatile uint32_t *)&header->capacity;
    /* The first one says that the second one does not overflow. */
    if (capacity > size / sizeof(struct board_record) || board_size(capacity) > size)
        return false;
    board->header = header;
    board->capacity = capacity;
    board->states = (_Atomic uint8_t *)(header + 1);
    board->records =
        (struct board_record *)((unsigned char *)memory + board_records_offset(capacity));
    board->remarks =
        (struct board_remark *)((unsigned char *)memory + board_remarks_offset(capacity));
    board->gate = (struct gate *)((unsigned char *)memory + board_gate_offset(capacity));
    return true;
}

static inline bool board_is_ringing_when_idle(const struct board *board)
{
    return atomic_load(&board->header->ring_when_idle) != 0;
}

/* True if the master is to be told of this accept at once. */
static inline bool board_count_accept(const struct board *board)
{
    return atomic_fetch_sub(&board->header->accepts_left, 1) == 1;
}

static inline bool board_is_asked_to_retire(const struct board *board, uint32_t number)
{
    return atomic_load(&board->records[number].retire) != 0;
}

static inline void board_set_state(const struct board *board, uint32_t number, enum slot_state state)
{
    atomic_store_explicit(&board->states[number], (uint8_t)state, memory_order_release);
}

static inline void board_write_failure(const struct board *board, uint32_t number, enum step step,
                                       int error)
{
    board->records[number].error = error;
    board->records[number].step = (uint8_t)step;
}

static inline void board_write_remark(const struct board *board, uint32_t number,
                                      enum remark_kind kind, const struct board_remark *remark)
{
    struct board_remark *there = &board->remarks[number];

    memcpy(there, remark, offsetof(struct board_remark, id)); /* which may be there */
    board->records[number].remark = (uint8_t)kind;
}

#endif
