#include "arrival.h"

#include "admission.h"
#include "direct.h"
#include "identity.h"
#include "proxy_intake.h"
#include "sensed.h"

#include <string.h>
#include <sys/socket.h>

/* What most workers never touch; the texts are the program's until it runs. */
static struct admission admission;
static struct proxy_header header;
static struct proxy_intake intake;

bool arrival_is_to_wait(const struct arrival *arrival)
{
    return arrival->is_silent || arrival->turn.wait_ns != 0;
}

bool arrival_needs_listener(const struct arrival *arrival, const struct board *board)
{
    return arrival->turn.is_half || (arrival->is_silent && place_is_limited(board));
}

static bool take_place(struct arrival *arrival, const struct place *place)
{
    if (place_take(place, &arrival->turn, &arrival->client, &arrival->proxy))
        return true;
    admission_refuse(&admission, arrival->turn.reason);
    return false;
}

static bool announce(struct arrival *arrival, const struct place *place)
{
    if (place_announce(place, &arrival->turn, &arrival->client))
        return true;
    admission_refuse(&admission, arrival->turn.reason);
    return false;
}

/* Keep out who was sensed, whatever the rules say. */
static bool is_granted(const struct gate *gate, const struct peer *client)
{
    if (admission.is_granted && sensed_is_anybody(gate) && sensed_is(gate, client))
        admission_refuse(&admission, GATE_SENSED_BEFORE);
    return admission.is_granted;
}

/* The usual case touches no page of the admission. */
static bool is_open(const struct gate *gate)
{
    return atomic_load(&gate->in_force) == 0 && !sensed_is_anybody(gate);
}

bool arrival_is_welcome(const struct gate *gate, const struct peer *client)
{
    if (is_open(gate))
        return true;
    admission_decide(&admission, gate, client);
    return is_granted(gate, client);
}

/* The header's name for the connection, NULL if it has none. */
static const char *given_name(const struct arrival *arrival)
{
    const char *variable = header.variables[PROXY_UNIQUE_ID];

    return arrival->is_described && *variable ? strchr(variable, '=') + 1 : NULL;
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
    if (given_name(arrival))
        identity_note(place->board, place->number, given_name(arrival));
    admission_decide(&admission, place->board->gate, &arrival->client);
    return is_granted(place->board->gate, &arrival->client) && take_place(arrival, place);
}

bool arrival_let_in(struct arrival *arrival, const struct place *place, int connection)
{
    const struct gate *gate = place->board->gate;
    enum proxy_verdict heard;

    arrival->connection = connection;
    arrival->proxy = (struct peer){.address.family = AF_UNSPEC};
    arrival->turn = (struct turn){.reason = GATE_DENIED};
    arrival->queue_begin_ns = 0;
    arrival->is_silent = arrival->is_described = arrival->is_judged = false;
    if (is_open(gate)) {
        place_write(place, &arrival->turn, &arrival->client, &arrival->proxy);
        return true;
    }
    arrival->is_judged = true;
    identity_forget(place->board, place->number);
    admission_meet(&admission, gate, &arrival->client);
    if (!admission.is_granted || !admission.header_limit_ms)
        return is_granted(gate, &arrival->client) && take_place(arrival, place);
    intake.count = 0;
    heard = proxy_take(&intake, &header, connection);
    if (heard != PROXY_MORE)
        return hear_proxy(arrival, place, heard);
    arrival->is_silent = true;
    return announce(arrival, place);
}

/* Others may write how long somebody may wait. */
static uint64_t sum(uint64_t one, uint64_t other)
{
    return one > UINT64_MAX - other ? UINT64_MAX : one + other;
}

bool arrival_may_queue(struct arrival *arrival, const struct board *board,
                       struct queue_watch *watch)
{
    if (arrival->turn.reason != GATE_FULL)
        return false;
    if (arrival->queue_begin_ns == 0)
        arrival->queue_begin_ns = queue_begin(arrival->connection);
    arrival->queue_end_ns = sum(arrival->queue_begin_ns, arrival->turn.queue_ns);
    return queue_watch(watch, board, arrival->queue_end_ns);
}

bool arrival_ask_again(struct arrival *arrival, const struct place *place)
{
    arrival->turn.reason = GATE_DENIED;
    return arrival->is_silent ? announce(arrival, place) : take_place(arrival, place);
}

void arrival_wait(struct arrival *arrival)
{
    if (arrival->is_silent)
        arrival->heard = proxy_take_within(&intake, &header, arrival->connection,
                                           admission.header_limit_ms);
    else
        direct_sleep(arrival->turn.wait_ns);
}

bool arrival_settle(struct arrival *arrival, const struct place *place)
{
    if (arrival->is_silent) {
        arrival->is_silent = false;
        return hear_proxy(arrival, place, arrival->heard);
    }
    if (arrival->turn.is_half)
        return take_place(arrival, place);
    arrival->turn.wait_ns = 0;
    return true;
}

void arrival_send_away(const struct arrival *arrival, const struct board *board,
                       const struct doorbell *doorbell)
{
    admission_send_away(&admission, board->gate, doorbell, &arrival->client, &arrival->proxy,
                        arrival->connection);
}

void arrival_describe(const struct arrival *arrival, const struct place *place,
                      struct environment *environment)
{
    const struct address *client = &arrival->client.address, *proxy = &arrival->proxy.address;
    struct sockaddr_storage name = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof name;
    struct address local;
    char identity[IDENTITY_SIZE];

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
    if (!given_name(arrival)) {
        identity_read(place->board, place->number, identity);
        environment_add_identity(environment, identity);
    }
    for (size_t i = 0; arrival->is_described && i < PROXY_VARIABLES; i++)
        if (*header.variables[i])
            environment_add_text(environment, header.variables[i]);
    for (size_t i = 0; arrival->is_judged && i < admission.count; i++)
        environment_add_text(environment, admission.variables[i]);
}
