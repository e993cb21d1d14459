/*
 * Fuzzes the beginning of an answer: two streams in any pieces, at any moments.
 *
 * The first byte says whether only the head is wanted; the rest is steps. Rules: what goes out of each
 * stream is what came in, in order, but for the status that a redirection lacks and the body that
 * nobody wants; nothing is sent of a head before it is whole, or cannot become so; there is room as
 * long as something may come; and in the end nothing is left.
 */
#include "fastcgi/opening.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { MOST = 1 << 16 };

struct sides {
    size_t come;
    size_t sent;
    unsigned char came[MOST];
    unsigned char went[MOST];
};

static struct sides sides[2];

static void check(bool is_so)
{
    if (!is_so)
        abort();
}

static void send_all(struct opening *opening, uint64_t now_ms)
{
    struct opening_piece piece;

    while (opening_next(opening, now_ms, &piece)) {
        struct sides *side = &sides[piece.type == RECORD_STDERR];

        check(piece.length > 0 && side->sent + piece.length <= MOST);
        memcpy(side->went + side->sent, piece.bytes, piece.length);
        side->sent += piece.length;
    }
}

static void check_streams(bool is_head_only)
{
    const size_t added = sides[0].sent >= REDIRECTION_STATUS_SIZE &&
                                 memcmp(sides[0].went, REDIRECTION_STATUS, REDIRECTION_STATUS_SIZE) == 0 &&
                                 (sides[0].come < REDIRECTION_STATUS_SIZE ||
                                  memcmp(sides[0].came, REDIRECTION_STATUS, REDIRECTION_STATUS_SIZE) != 0)
                             ? REDIRECTION_STATUS_SIZE
                             : 0;

    check(sides[1].sent == sides[1].come && memcmp(sides[1].went, sides[1].came, sides[1].sent) == 0);
    check(is_head_only ? sides[0].sent - added <= sides[0].come : sides[0].sent - added == sides[0].come);
    check(memcmp(sides[0].went + added, sides[0].came, sides[0].sent - added) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct opening opening;
    const uint8_t *end = input + size;
    uint64_t now_ms = 1000;
    bool is_head_only;

    if (size < 1)
        return 0;
    is_head_only = *input++ & 1;
    opening_begin(&opening, is_head_only);
    sides[0].come = sides[0].sent = sides[1].come = sides[1].sent = 0;
    while (end - input > 1 && !opening.is_over) {
        const unsigned kind = input[0] & 3;
        const enum record_type type = kind == 1 ? RECORD_STDERR : RECORD_STDOUT;
        struct sides *side = &sides[type == RECORD_STDERR];
        size_t length = input[0] >> 2, room;
        unsigned char *place;

        if (kind == 3) {
            now_ms += length * 50;
            input++;
        } else {
            const size_t times = kind == 2 ? 64 : 1; /* a large piece, of the same bytes over and over */

            input++;
            place = opening_room(&opening, type, &room);
            check(room > 0);
            length = length < (size_t)(end - input) ? length : (size_t)(end - input);
            for (size_t i = 0; i < times && length && room >= length && side->come + length <= MOST / 2; i++) {
                memcpy(place, input, length);
                memcpy(side->came + side->come, input, length);
                side->come += length;
                opening_take(&opening, type, length, now_ms);
                send_all(&opening, now_ms);
                if (opening.is_over)
                    break;
                place = opening_room(&opening, type, &room);
                check(room > 0);
            }
            input += length;
        }
        send_all(&opening, now_ms);
        check(opening_patience(&opening, now_ms) != 0);
        check(opening.is_open || sides[0].sent == 0);
    }
    opening_end(&opening);
    send_all(&opening, now_ms);
    check(opening.is_over && opening_patience(&opening, now_ms) == -1);
    check_streams(is_head_only);
    return 0;
}
