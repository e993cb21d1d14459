/*
 * What is seen stands where what is received and decoded stands, since nothing else does at that moment:
 * a worker whose memory is copied has these places where no child finds them.
 */
#include "foresight.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

enum { FORESEEN_SIZE = 16 * 1024, ROLE_RESPONDER = 1 };
static_assert((int)FORESEEN_SIZE <= (int)CONNECTION_INPUT_SIZE, "it has room there");

/* Returns whether a record is of the request that is being looked at, and what comes next of it. */
static bool is_next(const struct record *record, uint16_t request_id)
{
    if (record->request_id == 0)
        return false;
    if (!request_id)
        return record->type == RECORD_BEGIN_REQUEST && record->length == CONVERSATION_BEGIN_SIZE;
    return record->type == RECORD_PARAMS && record->request_id == request_id;
}

/* Returns whether it is all there, and asks for an answer. */
static bool is_beginning(const unsigned char *content, size_t length)
{
    return length == CONVERSATION_BEGIN_SIZE &&
           ((unsigned)content[0] << 8 | content[1]) == ROLE_RESPONDER;
}

/* Decode the head of a request. Returns whether all of it is there, and right. */
static bool decode(struct conversation *conversation, struct bytes bytes)
{
    const struct service *service = conversation->service;
    struct record_decoder decoder = {0};
    struct record record = {0};
    uint16_t request_id = 0;
    size_t length;

    for (;;) {
        switch (record_next(&decoder, &bytes, &record)) {
        case RECORD_WANTS_BYTES:
        case RECORD_BROKEN:
            return false;
        case RECORD_BEGUN:
            if (!is_next(&record, request_id))
                return false;
            break;
        case RECORD_CONTENT:
            length = record_content(&decoder, &bytes);
            if (record.type == RECORD_PARAMS)
                params_feed(&conversation->params,
                            (struct bytes){bytes.next, bytes.next + length});
            else if (!is_beginning(bytes.next, length))
                return false;
            record_take(&decoder, &bytes, length);
            break;
        case RECORD_ENDED:
            if (record.type == RECORD_PARAMS && record.length == 0)
                return !params_end(&conversation->params);
            if (record.type == RECORD_BEGIN_REQUEST)
                params_begin(&conversation->params, service->variables, service->allowed_names,
                             service->head_limit);
            request_id = record.request_id;
        }
    }
}

/* Tell whether the way to the program need not be looked for: it can lead nowhere else. */
static bool is_for_us(const struct service *service, const struct request *request)
{
    const char *path = service->own_path ? request_find(request, "SCRIPT_FILENAME") : NULL;

    return path && strcmp(path, service->own_path) == 0;
}

bool foresight_hand_on(struct conversation *conversation, int connection)
{
    const struct service *service = conversation->service;
    unsigned char *seen = conversation->connection.input;
    ssize_t size;

    if (!service->favourites.token)
        return false;
    size = recv(connection, seen, FORESEEN_SIZE, MSG_PEEK | MSG_DONTWAIT);
    return size > 0 && decode(conversation, (struct bytes){seen, seen + size}) &&
           !is_for_us(service, &conversation->params.request) &&
           !choice_make(service->rule, &conversation->params.request, &conversation->choice) &&
           !(service->own_path && strcmp(service->own_path, conversation->choice.path) == 0) &&
           favourites_hand_on(&service->favourites, conversation->choice.path, connection);
}
