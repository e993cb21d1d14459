#include "pairs.h"

enum {
    LONG_LENGTH = 0x80, /* in the first byte: the length has four bytes, else it has one */
    LONG_SIZE = 4,
};

static size_t length_size(unsigned char first)
{
    return first & LONG_LENGTH ? LONG_SIZE : 1;
}

static size_t read_length(const unsigned char *bytes)
{
    if (!(bytes[0] & LONG_LENGTH))
        return bytes[0];
    return (size_t)(bytes[0] & ~LONG_LENGTH) << 24 | (size_t)bytes[1] << 16 |
           (size_t)bytes[2] << 8 | bytes[3];
}

static bool has_lengths(const struct pairs_decoder *decoder)
{
    size_t name_size;

    if (decoder->lengths_size == 0)
        return false;
    name_size = length_size(decoder->lengths[0]);
    return decoder->lengths_size > name_size &&
           decoder->lengths_size == name_size + length_size(decoder->lengths[name_size]);
}

static void take_piece(struct bytes *bytes, size_t *left, struct bytes *piece)
{
    size_t length = (size_t)(bytes->end - bytes->next);

    if (length > *left)
        length = *left;
    piece->next = bytes->next;
    bytes->next += length;
    piece->end = bytes->next;
    *left -= length;
}

enum pairs_event pairs_next(struct pairs_decoder *decoder, struct bytes *bytes,
                            struct bytes *piece)
{
    switch (decoder->place) {
    case PAIRS_IN_LENGTHS:
        while (!has_lengths(decoder)) {
            if (bytes->next == bytes->end)
                return PAIRS_WANT_BYTES;
            decoder->lengths[decoder->lengths_size++] = *bytes->next++;
        }
        decoder->name_left = read_length(decoder->lengths);
        decoder->value_left = read_length(decoder->lengths + length_size(decoder->lengths[0]));
        decoder->place = PAIRS_IN_NAME;
        return PAIRS_BEGUN;
    case PAIRS_IN_NAME:
        if (decoder->name_left) {
            if (bytes->next == bytes->end)
                return PAIRS_WANT_BYTES;
            take_piece(bytes, &decoder->name_left, piece);
            return PAIRS_NAME;
        }
        decoder->place = PAIRS_IN_VALUE;
        /* fallthrough */
    case PAIRS_IN_VALUE:
        if (decoder->value_left) {
            if (bytes->next == bytes->end)
                return PAIRS_WANT_BYTES;
            take_piece(bytes, &decoder->value_left, piece);
            return PAIRS_VALUE;
        }
        decoder->lengths_size = 0;
        decoder->place = PAIRS_IN_LENGTHS;
    }
    return PAIRS_ENDED;
}

bool pairs_are_whole(const struct pairs_decoder *decoder)
{
    return decoder->place == PAIRS_IN_LENGTHS && decoder->lengths_size == 0;
}
