/*
 * Names are compared one by one: a request has some thirty, and a table of hashes would cost a copy
 * of a program more page faults than that.
 */
#include "request.h"

#include <stdbool.h>
#include <string.h>

/* What loaders, shells, C libraries and interpreters read from their environment, by exact name. A
 * web server has no reason to send any of them; one that can be made to would let a client run
 * what it likes. PATH is not here: the service always sets it, so it is never the request's. */
static const char *const forbidden_names[] = {
    "BASHOPTS", "BASH_ENV", "CDPATH", "CLASSPATH", "ENV", "GCONV_PATH", "GETCONF_DIR",
    "GLIBC_TUNABLES", "GLOBIGNORE", "HOSTALIASES", "IFS", "JAVA_TOOL_OPTIONS", "LOCALDOMAIN",
    "LOCPATH", "NIS_PATH", "NLSPATH", "NODE_OPTIONS", "NODE_PATH", "OPENSSL_CONF", "PATH",
    "PHPRC", "PHP_INI_SCAN_DIR", "POSIXLY_CORRECT", "PROMPT_COMMAND", "PS4", "RESOLV_HOST_CONF",
    "RES_OPTIONS", "SHELLOPTS", "TMPDIR", "TZDIR", "_JAVA_OPTIONS",
};

static const char *const forbidden_beginnings[] = {
    "BASH_FUNC_", "DYLD_", "LD_", "LUA_", "MALLOC_", "PERL", "PYTHON", "RUBY", "SOCKETD_", "_RLD",
};

static const struct refusal bad_name = {
    "400 Bad Request", "the request has a variable whose name is empty or has odd characters"};
static const struct refusal forbidden = {
    "400 Bad Request", "the request has a variable that loaders, shells or interpreters act on"};
static const struct refusal duplicate = {
    "400 Bad Request", "the request has a variable twice"};
static const struct refusal too_many = {
    "400 Bad Request", "the request has too many variables"};
static const struct refusal too_long = {
    "400 Bad Request", "the variables of the request are too long"};

static bool is_named(const char *entry, const char *name, size_t length)
{
    return strncmp(entry, name, length) == 0 && entry[length] == '=';
}

char **request_entry(struct request *request, const char *name, size_t length)
{
    for (size_t i = 0; i < request->count; i++)
        if (is_named(request->entries[i], name, length))
            return &request->entries[i];
    return NULL;
}

static bool is_plain(const char *name, size_t length)
{
    if (length == 0 || (name[0] >= '0' && name[0] <= '9'))
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = name[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-' || c == '.'))
            return false;
    }
    return true;
}

static bool is_forbidden(const char *entry, size_t length)
{
    for (size_t i = 0; i < sizeof forbidden_names / sizeof *forbidden_names; i++)
        if (strlen(forbidden_names[i]) == length && memcmp(entry, forbidden_names[i], length) == 0)
            return true;
    for (size_t i = 0; i < sizeof forbidden_beginnings / sizeof *forbidden_beginnings; i++)
        if (strncmp(entry, forbidden_beginnings[i], strlen(forbidden_beginnings[i])) == 0)
            return true;
    return false;
}

static const struct refusal *append(struct request *request, char *entry)
{
    if (request->count == REQUEST_ENTRIES)
        return &too_many;
    request->entries[request->count++] = entry;
    request->entries[request->count] = NULL;
    return NULL;
}

const struct refusal *request_begin(struct request *request, char *const service_entries[])
{
    const struct refusal *refused = NULL;

    request->count = 0;
    request->entries[0] = NULL;
    for (size_t i = 0; service_entries[i] && !refused; i++)
        refused = append(request, service_entries[i]);
    request->own_count = request->count;
    return refused;
}

/* Put a value behind that of an entry which is there, as one more of a list. */
static const struct refusal *join(char **present, const char *entry, size_t name_length,
                                  struct request_room *room)
{
    const char *separator = is_named(entry, "HTTP_COOKIE", strlen("HTTP_COOKIE")) ? "; " : ", ";
    const char *value = entry + name_length + 1;
    size_t former = strlen(*present), length = strlen(value);
    char *joined = room->next;

    if (former + 2 + length + 1 > (size_t)(room->end - joined))
        return &too_long;
    memcpy(joined, *present, former);
    memcpy(joined + former, separator, 2);
    memcpy(joined + former + 2, value, length + 1);
    room->next += former + 2 + length + 1;
    *present = joined;
    return NULL;
}

const struct refusal *request_add(struct request *request, char *entry, size_t name_length,
                                  struct request_room *room)
{
    char **present;

    if (!is_plain(entry, name_length))
        return &bad_name;
    present = request_entry(request, entry, name_length);
    if (present && present < request->entries + request->own_count)
        return NULL;
    if (present)
        return strncmp(entry, "HTTP_", 5) == 0 ? join(present, entry, name_length, room)
                                               : &duplicate;
    if (is_named(entry, "HTTP_PROXY", strlen("HTTP_PROXY")))
        return NULL;
    if (is_forbidden(entry, name_length))
        return &forbidden;
    return append(request, entry);
}

const struct refusal *request_put(struct request *request, char *entry, size_t name_length)
{
    char **present = request_entry(request, entry, name_length);

    if (!present)
        return append(request, entry);
    *present = entry;
    return NULL;
}

const struct refusal *request_say_dialect(struct request *request)
{
    static char entry[] = "GATEWAY_INTERFACE=CGI/1.1";

    return request_find(request, "GATEWAY_INTERFACE") ? NULL : append(request, entry);
}

const char *request_find(const struct request *request, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < request->count; i++)
        if (is_named(request->entries[i], name, length))
            return request->entries[i] + length + 1;
    return NULL;
}
