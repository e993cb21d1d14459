/*
 * One lock from the first look until the client stands on the board: so nobody counts a source while
 * another client of it is let in, and each turn is taken once.
 *
 * A decision follows from the limits of one moment, which are read once for it: else a reload could send
 * somebody away whom neither the former limits nor the new ones do.
 */
#include "place.h"

#include "admission.h"
#include "direct.h"
#include "rates.h"
#include "sources.h"

static bool is_limited(const struct gate_rate *rate)
{
    return rate->interval_ns != 0;
}

static bool is_anything_limited(const struct gate_limits *limits)
{
    return gate_limit_of(limits->sources).most != 0 || is_limited(&limits->rate) ||
           is_limited(&limits->source_rate) || limits->most != 0;
}

bool place_is_limited(const struct board *board)
{
    const struct gate_limits limits = gate_read_limits(board->gate);

    return is_anything_limited(&limits);
}

void place_write(const struct place *place, const struct turn *turn, const struct peer *client,
                 const struct peer *proxy)
{
    struct board_record *record = &place->board->records[place->number];

    if (!turn->is_announced)
        record->accepted_ns = direct_now_ns();
    admission_write_peer(&record->client, client);
    admission_write_peer(&record->proxy, proxy);
    if (!turn->is_announced)
        board_set_state(place->board, place->number, SLOT_ACCEPTED);
}

static struct gate_bucket *bucket_of(struct gate *gate, struct gate_limit limit,
                                     const struct peer *client)
{
    uint8_t name[SOURCES_NAME];

    sources_name(name, limit, client);
    return rates_find(gate->buckets, rates_hash(gate->hash_key, name, sizeof name));
}

/* Take a turn of the source, then one of all together; none of the source if there is none of the other.
 * Who waits for the former takes the latter behind that: else it would keep it from others. */
static bool take_turns(struct gate *gate, const struct gate_limits *limits, struct turn *turn,
                       const struct peer *client)
{
    const uint64_t now = direct_now_ns(), longest = limits->longest_wait_ns;
    struct gate_bucket *bucket = NULL;
    uint64_t full_at_ns = 0;

    turn->wait_ns = 0;
    turn->is_half = false;
    if (!turn->is_counted && is_limited(&limits->source_rate)) {
        bucket = bucket_of(gate, gate_limit_of(limits->sources), client);
        full_at_ns = bucket->full_at_ns;
        if (!rates_take(&full_at_ns, &limits->source_rate, now, longest, &turn->wait_ns)) {
            bucket->full_at_ns = full_at_ns;
            turn->reason = GATE_HASTY;
            return false;
        }
    }
    if (is_limited(&limits->rate)) {
        if (turn->wait_ns)
            turn->is_half = true;
        else if (!rates_take(&gate->all.full_at_ns, &limits->rate, now, longest, &turn->wait_ns)) {
            turn->reason = GATE_OVER_RATE;
            return false;
        }
    }
    if (bucket)
        bucket->full_at_ns = full_at_ns;
    return true;
}

/* Whoever comes later leaves the next place to it. */
static void join_queue(const struct place *place, struct turn *turn)
{
    struct board_record *record = &place->board->records[place->number];

    if (turn->queued_ns || turn->queue_ns == 0)
        return;
    turn->queued_ns = record->accepted_ns = direct_now_ns();
}

void place_leave_queue(const struct place *place, struct turn *turn)
{
    if (turn->queued_ns && !turn->is_announced)
        place->board->records[place->number].accepted_ns = 0;
    turn->queued_ns = 0;
}

/* Who is announced has its place among all by now. */
static bool has_room_among_all(const struct place *place, const struct gate_limits *limits,
                               struct turn *turn)
{
    const uint64_t before_ns = turn->queued_ns ? turn->queued_ns : UINT64_MAX;

    if (turn->is_announced || limits->most == 0 ||
        !sources_are_full(place->board, limits->most, before_ns))
        return true;
    turn->queue_ns = limits->queue_ns;
    join_queue(place, turn);
    turn->reason = GATE_FULL;
    return false;
}

static bool has_room(const struct place *place, const struct gate_limits *limits, struct turn *turn,
                     const struct peer *client)
{
    const struct gate_limit limit = gate_limit_of(limits->sources);

    if (turn->is_counted || limit.most == 0 ||
        sources_have_room(place->board, limit, client))
        return has_room_among_all(place, limits, turn);
    turn->reason = GATE_CROWDED;
    return false;
}

static bool lock(const struct place *place, struct turn *turn)
{
    if (sources_lock(place->lock_fd))
        return true;
    turn->reason = GATE_UNCOUNTED;
    return false;
}

bool place_take(const struct place *place, struct turn *turn, const struct peer *client,
                const struct peer *proxy)
{
    const struct gate_limits limits = gate_read_limits(place->board->gate);
    bool is_taken;

    if (place->lock_fd < 0 || !is_anything_limited(&limits)) {
        turn->wait_ns = 0;
        place_write(place, turn, client, proxy);
        turn->is_announced = true;
        return true;
    }
    if (!lock(place, turn))
        return false;
    is_taken = has_room(place, &limits, turn, client) &&
               take_turns(place->board->gate, &limits, turn, client);
    if (is_taken)
        place_write(place, turn, client, proxy);
    sources_unlock(place->lock_fd);
    turn->is_counted = is_taken;
    turn->is_announced |= is_taken;
    return is_taken;
}

bool place_announce(const struct place *place, struct turn *turn, const struct peer *proxy)
{
    const struct peer nobody = {.address.family = AF_UNSPEC};
    const struct gate_limits limits = gate_read_limits(place->board->gate);
    const bool is_limited = limits.most != 0;

    if (is_limited && !lock(place, turn))
        return false;
    if (has_room_among_all(place, &limits, turn)) {
        place_write(place, turn, &nobody, proxy);
        turn->is_announced = true;
    }
    if (is_limited)
        sources_unlock(place->lock_fd);
    return turn->is_announced;
}
