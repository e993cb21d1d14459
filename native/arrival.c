#include "arrival.h"

#include "admission.h"
#include "direct.h"
#include "proxy_intake.h"
#include "sources.h"

#include <sys/socket.h>
#include <time.h>

/* What most workers never touch; the texts are the program's until it runs. */
static struct admission admission;
static struct proxy_header header;
static struct proxy_intake intake;

static void write_peers(const struct place *place, const struct peer *client,
                        const struct peer *proxy)
{
    struct board_record *record = &place->board->records[place->number];

    admission_write_peer(&record->client, client);
    admission_write_peer(&record->proxy, proxy);
}

static void write_down(const struct place *place, const struct peer *client,
                       const struct peer *proxy)
{
    struct board_record *record = &place->board->records[place->number];
    const struct timespec now = direct_now();

    record->accepted_ns = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
    write_peers(place, client, proxy);
    board_set_state(place->board, place->number, SLOT_ACCEPTED);
}

/* Who was silent stands on the board already, as somebody of whom nothing is known. */
static void write_client(const struct place *place, const struct arrival *arrival)
{
    if (arrival->is_silent)
        write_peers(place, &arrival->client, &arrival->proxy);
    else
        write_down(place, &arrival->client, &arrival->proxy);
}

static struct gate_limit source_limit(const struct board *board)
{
    return gate_limit_of(atomic_load(&board->gate->source_limit));
}

bool arrival_needs_listener(const struct board *board)
{
    return source_limit(board).most != 0;
}

/* Write a client down, unless its source has too many connections. */
static bool take_place(const struct place *place, const struct arrival *arrival)
{
    const struct gate_limit limit = source_limit(place->board);

    if (limit.most == 0) {
        write_client(place, arrival);
        return true;
    }
    if (!sources_lock(place->lock_fd)) {
        admission_refuse(&admission, GATE_UNCOUNTED);
        return false;
    }
    if (sources_have_room(place->board, limit, &arrival->client))
        write_client(place, arrival);
    else
        admission_refuse(&admission, GATE_CROWDED);
    sources_unlock(place->lock_fd);
    return admission.is_granted;
}

bool arrival_is_welcome(const struct gate *gate, const struct peer *client)
{
    if (atomic_load(&gate->in_force) == 0)
        return true;
    admission_decide(&admission, gate, client);
    return admission.is_granted;
}

/* Decide, as far as a header can say for whom a proxy comes. False if there is none. */
static bool hear_proxy(struct arrival *arrival, const struct place *place,
                       enum proxy_verdict heard)
{
    if (heard != PROXY_WHOLE) {
        admission_refuse(&admission, heard == PROXY_MORE ? GATE_LATE_HEADER : GATE_NO_HEADER);
        return false;
    }
    arrival->is_described = true;
    if (header.has_ends) {
        arrival->proxy = arrival->client;
        arrival->client = (struct peer){.address = header.source};
    }
    admission_decide(&admission, place->board->gate, &arrival->client);
    return admission.is_granted && take_place(place, arrival);
}

bool arrival_let_in(struct arrival *arrival, const struct place *place, int connection)
{
    const struct gate *gate = place->board->gate;
    enum proxy_verdict heard;

    arrival->connection = connection;
    arrival->proxy = (struct peer){.address.family = AF_UNSPEC};
    arrival->is_silent = arrival->is_described = arrival->is_judged = false;
    /* The usual case touches no page of the admission. */
    if (atomic_load(&gate->in_force) == 0) {
        write_down(place, &arrival->client, &arrival->proxy);
        return true;
    }
    arrival->is_judged = true;
    admission_meet(&admission, gate, &arrival->client);
    if (!admission.is_granted || !admission.header_limit_ms)
        return admission.is_granted && take_place(place, arrival);
    intake.count = 0;
    heard = proxy_take(&intake, &header, connection);
    if (heard != PROXY_MORE)
        return hear_proxy(arrival, place, heard);
    arrival->is_silent = true;
    write_down(place, &arrival->proxy, &arrival->client);
    return true;
}

void arrival_hear(struct arrival *arrival)
{
    arrival->heard = proxy_take_within(&intake, &header, arrival->connection,
                                       admission.header_limit_ms);
}

bool arrival_settle(struct arrival *arrival, const struct place *place)
{
    return hear_proxy(arrival, place, arrival->heard);
}

void arrival_send_away(const struct arrival *arrival, const struct board *board,
                       const struct doorbell *doorbell)
{
    admission_send_away(&admission, board->gate, doorbell, &arrival->client, &arrival->proxy,
                        arrival->connection);
}

void arrival_describe(const struct arrival *arrival, struct environment *environment)
{
    const struct address *client = &arrival->client.address, *proxy = &arrival->proxy.address;
    struct sockaddr_storage name = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof name;
    struct address local;

    getsockname(arrival->connection, (struct sockaddr *)&name, &size);
    address_read(&local, &name, size);
    if (proxy->family != AF_UNSPEC)
        local = header.destination;
    if (client->family == AF_UNIX)
        environment_add_unix(environment, &local, client, &arrival->client.credentials);
    else if (client->family == AF_INET || client->family == AF_INET6)
        environment_add_tcp(environment, &local, client);
    if (proxy->family == AF_INET || proxy->family == AF_INET6)
        environment_add_proxy(environment, proxy);
    for (size_t i = 0; arrival->is_described && i < PROXY_VARIABLES; i++)
        if (*header.variables[i])
            environment_add_text(environment, header.variables[i]);
    for (size_t i = 0; arrival->is_judged && i < admission.count; i++)
        environment_add_text(environment, admission.variables[i]);
}
