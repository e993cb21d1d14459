/*
 * The tables are made so that there is nothing to decide here: ranges that do not overlap, in order, so
 * one search for the last that begins at an address or before it.
 *
 * Programs of the service's user may write to this memory. So every number is read once and checked
 * against the half's size before it is used, and texts are copied.
 */
#include "admission.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_UNREAD = 64 * 1024 };

/* Where everything is in a half, with sizes that have been checked. */
struct view {
    const struct gate_ipv4 *ipv4;
    const struct gate_ipv6 *ipv6;
    const struct gate_id *uids;
    const struct gate_id *gids;
    const char *texts;
    struct gate_table table;
};

static bool find_parts(struct view *view, const uint8_t *half, size_t room)
{
    size_t at = sizeof view->table;

    if (room < at)
        return false;
    memcpy(&view->table, half, sizeof view->table);
    if (view->table.texts_size % sizeof(uint32_t))
        return false;
    view->texts = (const char *)half + at;
    at += view->table.texts_size;
    view->ipv4 = (const void *)(half + at);
    at += (size_t)view->table.ipv4_count * sizeof *view->ipv4;
    view->ipv6 = (const void *)(half + at);
    at += (size_t)view->table.ipv6_count * sizeof *view->ipv6;
    view->uids = (const void *)(half + at);
    at += (size_t)view->table.uid_count * sizeof *view->uids;
    view->gids = (const void *)(half + at);
    at += (size_t)view->table.gid_count * sizeof *view->gids;
    return at <= room && view->table.refusal_size <= view->table.texts_size &&
           view->table.refusal_size <= ADMISSION_REFUSAL_SIZE;
}

static uint32_t find_ipv4(const struct view *view, const unsigned char *bytes)
{
    const uint32_t address = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
                             (uint32_t)bytes[2] << 8 | bytes[3];
    size_t low = 0, high = view->table.ipv4_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (view->ipv4[middle].first <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? view->ipv4[low - 1].verdict : 0;
}

static uint32_t find_ipv6(const struct view *view, const unsigned char *bytes)
{
    size_t low = 0, high = view->table.ipv6_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(view->ipv6[middle].first, bytes, sizeof view->ipv6->first) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? view->ipv6[low - 1].verdict : 0;
}

static bool find_id(const struct gate_id *ids, size_t count, uint32_t id, uint32_t *verdict)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint32_t found = ids[middle].id;

        if (found == id) {
            *verdict = ids[middle].verdict;
            return true;
        }
        if (found < id)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* A client of whom nothing is known matches no rule that names one: it is as good as an address that
 * is in no list, which stands at the very beginning of its range. */
static uint32_t find_verdict(const struct view *view, const struct peer *client)
{
    uint32_t verdict = view->table.unix_verdict;

    switch (client->address.family) {
    case AF_INET:
        return find_ipv4(view, client->address.bytes);
    case AF_INET6:
        return find_ipv6(view, client->address.bytes);
    case AF_UNIX:
        if (!find_id(view->uids, view->table.uid_count, client->credentials.uid, &verdict))
            find_id(view->gids, view->table.gid_count, client->credentials.gid, &verdict);
        return verdict;
    default:
        return 0;
    }
}

/* False if the variables are not such as the master writes. */
static bool take_variables(struct admission *admission, const struct view *view, uint32_t offset)
{
    const size_t size = view->table.texts_size;
    size_t used = 0;

    admission->count = 0;
    for (size_t at = offset; at < size; at++) {
        if (admission->count == ADMISSION_VARIABLES || used == sizeof admission->texts)
            return view->texts[at] == '\0';
        if (view->texts[at] == '\0')
            return true;
        admission->variables[admission->count++] = admission->texts + used;
        do {
            if (used == sizeof admission->texts - 1)
                return false;
            admission->texts[used] = view->texts[at];
        } while (admission->texts[used++] != '\0' && ++at < size);
        admission->texts[used - 1] = '\0';
    }
    return false;
}

static bool is_proxy(const struct view *view, const uint8_t *half, const struct peer *who)
{
    const uint32_t offset = view->table.proxies;
    struct view proxies;

    return offset % sizeof(uint32_t) == 0 && offset <= GATE_HALF_SIZE &&
           find_parts(&proxies, half + offset, GATE_HALF_SIZE - offset) &&
           find_verdict(&proxies, who) != 0;
}

/* Only what says how much there is: most clients touch none of the texts. */
static void clear(struct admission *admission)
{
    admission->is_granted = false;
    admission->reason = GATE_DENIED;
    admission->header_limit_ms = 0;
    admission->count = admission->refusal_size = 0;
}

static void read_half(struct admission *admission, const uint8_t *half, const struct peer *client,
                      bool is_met)
{
    struct view view;
    uint32_t verdict;

    clear(admission);
    if (!find_parts(&view, half, GATE_HALF_SIZE))
        return;
    /* Whatever becomes of a client: it may be one too many, and a proxy may not say for whom it comes. */
    admission->refusal_size = view.table.refusal_size;
    memcpy(admission->refusal, view.texts, admission->refusal_size);
    if (is_met && view.table.proxies) {
        admission->is_granted = is_proxy(&view, half, client);
        admission->reason = GATE_NO_PROXY;
        admission->header_limit_ms = view.table.header_limit_ms;
        return;
    }
    verdict = find_verdict(&view, client);
    if (verdict != 0)
        admission->is_granted = take_variables(admission, &view, verdict - 1);
}

static void look(struct admission *admission, const struct gate *gate, const struct peer *client,
                 bool is_met)
{
    uint32_t in_force = atomic_load(&gate->in_force);

    for (int i = 0; i < GATE_TRIES; i++) {
        uint32_t now;

        if (in_force == 0) {
            clear(admission);
            admission->is_granted = true;
            return;
        }
        read_half(admission, gate->halves[in_force & 1], client, is_met);
        atomic_thread_fence(memory_order_acquire);
        now = atomic_load(&gate->in_force);
        if (now == in_force)
            return;
        in_force = now;
    }
    /* Nobody who means well changes it as fast as that. */
    clear(admission);
}

void admission_meet(struct admission *admission, const struct gate *gate, const struct peer *who)
{
    look(admission, gate, who, true);
}

void admission_decide(struct admission *admission, const struct gate *gate,
                      const struct peer *client)
{
    look(admission, gate, client, false);
}

void admission_refuse(struct admission *admission, enum gate_reason reason)
{
    admission->is_granted = false;
    admission->reason = reason;
}

void admission_write_peer(struct board_peer *written, const struct peer *peer)
{
    written->family = peer->address.family;
    written->port = peer->address.port;
    if (peer->address.family == AF_UNIX) {
        written->credentials.pid = peer->credentials.pid;
        written->credentials.uid = peer->credentials.uid;
        written->credentials.gid = peer->credentials.gid;
    } else {
        memcpy(written->address, peer->address.bytes, sizeof written->address);
    }
}

static void write_down(struct gate *gate, const struct doorbell *doorbell,
                       const struct peer *client, const struct peer *proxy,
                       enum gate_reason reason)
{
    struct gate_refusal *refusal;

    atomic_fetch_add(&gate->by_reason[reason], 1);
    refusal = &gate->ring[atomic_fetch_add(&gate->refusals, 1) % GATE_RING];
    admission_write_peer(&refusal->client, client);
    admission_write_peer(&refusal->proxy, proxy);
    refusal->reason = (uint8_t)reason;
    if (atomic_exchange(&gate->is_told, 1) == 0)
        doorbell_ring(doorbell);
}

void admission_send_away(const struct admission *admission, struct gate *gate,
                         const struct doorbell *doorbell, const struct peer *client,
                         const struct peer *proxy, int connection)
{
    char unread[4096];
    size_t taken = 0;
    ssize_t got;

    if (admission->refusal_size) {
        /* A socket that is closed with something unread is reset, and the text may be lost with it. */
        while (taken < MOST_UNREAD &&
               (got = recv(connection, unread, sizeof unread, MSG_DONTWAIT)) > 0)
            taken += (size_t)got;
        (void)!send(connection, admission->refusal, admission->refusal_size,
                    MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    close(connection);
    write_down(gate, doorbell, client, proxy, admission->reason);
}
