#include "sensed.h"

#include "direct.h"
#include "rates.h"
#include "sources.h"

#include <sys/socket.h>

/* The same for all services, whatever a source is for their limits. */
static const struct gate_limit one_host = {.ipv4_bits = 32, .ipv6_bits = 64};

bool sensed_is_anybody(const struct gate *gate)
{
    const uint64_t until_ns = atomic_load(&gate->sensed_until_ns);

    /* The usual case asks for no time. */
    return until_ns != 0 && direct_now_ns() < until_ns;
}

bool sensed_is(const struct gate *gate, const struct peer *client)
{
    const uint64_t now = direct_now_ns();
    const struct gate_sensed *places;
    uint8_t name[SOURCES_NAME];
    uint64_t source;

    if (client->address.family != AF_INET && client->address.family != AF_INET6)
        return false;
    sources_name(name, one_host, client);
    source = rates_hash(gate->hash_key, name, sizeof name);
    places = gate->sensed + source % (GATE_SENSED / GATE_WAYS) * GATE_WAYS;
    for (size_t i = 0; i < GATE_WAYS; i++)
        if (atomic_load(&places[i].source) == source && now < atomic_load(&places[i].until_ns))
            return true;
    return false;
}
