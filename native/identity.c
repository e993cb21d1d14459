/*
 * Nothing is made for it that is not there: who does not ask pays nothing.
 */
#include "identity.h"

#include "worker.h"

#include <string.h>

static_assert(sizeof(((struct board_remark *)0)->id) == IDENTITY_SIZE - 1, "without the NUL");

static char *write_number(char *out, uint64_t number, int digits)
{
    while (digits--)
        *out++ = "0123456789abcdef"[number >> 4 * digits & 15];
    return out;
}

void identity_note(const struct board *board, uint32_t number, const char *text)
{
    struct board_remark *remark = &board->remarks[number];
    const size_t length = strlen(text);

    memset(remark->id, 0, sizeof remark->id);
    memcpy(remark->id, text, length < sizeof remark->id ? length : sizeof remark->id);
    board->records[number].is_named = 1;
}

void identity_forget(const struct board *board, uint32_t number)
{
    board->records[number].is_named = 0;
}

void identity_read(const struct board *board, uint32_t number, char text[IDENTITY_SIZE])
{
    const struct board_record *record = &board->records[number];

    if (record->is_named) {
        memcpy(text, board->remarks[number].id, IDENTITY_SIZE - 1);
        text[IDENTITY_SIZE - 1] = '\0';
        return;
    }
    *write_number(write_number(text, record->accepted_ns, 16), (uint32_t)record->pid, 8) = '\0';
}

void identity_settle(const void *worker, const char *given, char text[IDENTITY_SIZE])
{
    const struct worker *whose = worker;

    if (given && *given)
        identity_note(&whose->board, whose->number, given);
    identity_read(&whose->board, whose->number, text);
}
