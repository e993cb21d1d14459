#include "opening.h"

#include "front/clock.h"

#include <string.h>

enum {
    WAIT_MS = 1000,
    /* What a page holds beside the frames of two records. */
    SURE_SIZE = OPENING_PAGE - 2 * (RECORD_HEAD_SIZE + RECORD_ALIGNMENT),
};

void opening_begin(struct opening *opening, bool is_head_only)
{
    opening->is_head_only = is_head_only;
    opening->is_open = opening->is_over = opening->is_line_begun = false;
    opening->head_begin = REDIRECTION_STATUS_SIZE;
    opening->head_size = opening->log_begin = opening->log_end = 0;
}

/* Where the next of the head goes. */
static size_t head_end(const struct opening *opening)
{
    return opening->head_begin + opening->head_size;
}

static size_t waiting(const struct opening *opening)
{
    return opening->log_end - opening->log_begin;
}

unsigned char *opening_room(struct opening *opening, enum record_type type, size_t *room)
{
    if (type == RECORD_STDOUT) {
        *room = sizeof opening->head - head_end(opening);
        return opening->head + head_end(opening);
    }
    *room = sizeof opening->log - opening->log_end;
    return opening->log + opening->log_end;
}

/* The head is there, and ends here. */
static void complete_head(struct opening *opening, size_t end)
{
    unsigned char *head = opening->head + opening->head_begin;

    opening->is_open = true;
    if (opening->is_head_only)
        opening->head_size = end - opening->head_begin;
    if (!redirection_lacks_status(head, opening->head_size))
        return;
    memcpy(head - REDIRECTION_STATUS_SIZE, REDIRECTION_STATUS, REDIRECTION_STATUS_SIZE);
    opening->head_begin -= REDIRECTION_STATUS_SIZE;
    opening->head_size += REDIRECTION_STATUS_SIZE;
}

/* A head ends with an empty line. */
static void look_for_end(struct opening *opening, size_t from)
{
    for (size_t i = from; i < head_end(opening) && !opening->is_open; i++) {
        if (opening->head[i] == '\r')
            continue;
        if (opening->head[i] == '\n' && !opening->is_line_begun)
            complete_head(opening, i + 1);
        opening->is_line_begun = opening->head[i] != '\n';
    }
    opening->is_open = opening->is_open || head_end(opening) == sizeof opening->head;
}

void opening_take(struct opening *opening, enum record_type type, size_t length, uint64_t now_ms)
{
    if (type == RECORD_STDOUT && opening->is_open && opening->is_head_only)
        return;
    if (type == RECORD_STDOUT) {
        opening->head_size += length;
        look_for_end(opening, head_end(opening) - length);
        return;
    }
    if (!waiting(opening))
        opening->log_due_ms = now_ms + WAIT_MS;
    opening->log_end += length;
}

void opening_end(struct opening *opening)
{
    opening->is_open = true;
}

static bool take_log(struct opening *opening, size_t length, struct opening_piece *piece)
{
    *piece =
        (struct opening_piece){RECORD_STDERR, opening->log + opening->log_begin, length};
    opening->log_begin += length;
    if (!waiting(opening))
        opening->log_begin = opening->log_end = 0;
    return true;
}

static bool take_head(struct opening *opening, struct opening_piece *piece)
{
    *piece = (struct opening_piece){
        RECORD_STDOUT, opening->head + opening->head_begin, opening->head_size};
    opening->head_size = 0;
    return true;
}

bool opening_next(struct opening *opening, uint64_t now_ms, struct opening_piece *piece)
{
    const size_t length = waiting(opening);
    const size_t pages = (RECORD_HEAD_SIZE + length) / OPENING_PAGE;

    if (opening->is_over)
        return false;
    if (opening->is_open) {
        if (length && (!opening->head_size || length + opening->head_size <= SURE_SIZE))
            return take_log(opening, length, piece);
        if (opening->head_size)
            return take_head(opening, piece);
        opening->is_over = true;
        return false;
    }
    if (!length || (length < sizeof opening->log && now_ms < opening->log_due_ms))
        return false;
    /* Whole pages, and then what is less than one. */
    return take_log(opening, pages ? pages * OPENING_PAGE - RECORD_HEAD_SIZE : length, piece);
}

int opening_patience(const struct opening *opening, uint64_t now_ms)
{
    if (opening->is_over || opening->is_open || !waiting(opening))
        return -1;
    return clock_left_ms(opening->log_due_ms, now_ms);
}
