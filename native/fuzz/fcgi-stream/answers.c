#include "answers.h"

#include "input.h"
#include "rule.h"

#include <string.h>

enum {
    HEAD_SIZE = 8,
    ALIGNMENT = 8,
    IDS = 65536,
    MOST_EXPECTED = 64,
    END_REQUEST = 3,
    STDOUT = 6,
    STDERR = 7,
    VALUES_RESULT = 10,
    UNKNOWN_TYPE = 11,
    COMPLETE = 0,
    CANNOT_MULTIPLEX = 1,
    UNKNOWN_ROLE = 3,
    SHORT_CONTENT = 64,
};

/* The streams of the request that speaks. */
struct speaker {
    unsigned id; /* 0: none does */
    bool has_stdout_ended;
    bool has_stderr_ended;
    struct stream answer;
    struct stream complaint;
    char beginning[SHORT_CONTENT]; /* of the answer */
};

static struct {
    bool has_complaints;
    unsigned begun[IDS]; /* less those that have ended */
    unsigned outstanding;
    unsigned questions;
    unsigned ids[MOST_EXPECTED * 4]; /* whose counts are not zero, perhaps */
    size_t ids_count;
    struct outcome expected[MOST_EXPECTED];
    size_t expected_first;
    size_t expected_count;
    struct speaker speaker;
    unsigned char head[HEAD_SIZE];
    size_t head_size;
    size_t content_left;
    size_t padding_left;
    unsigned char content[SHORT_CONTENT];
    size_t content_size;
} all;

void answers_begin(bool has_complaints)
{
    if (all.ids_count == sizeof all.ids / sizeof *all.ids)
        memset(all.begun, 0, sizeof all.begun);
    for (size_t i = 0; i < all.ids_count; i++)
        all.begun[all.ids[i]] = 0;
    all.ids_count = all.outstanding = all.questions = 0;
    all.expected_first = all.expected_count = 0;
    all.head_size = all.content_left = all.padding_left = all.content_size = 0;
    memset(&all.speaker, 0, sizeof all.speaker);
    all.has_complaints = has_complaints;
}

void answers_note_begin(unsigned request_id)
{
    if (all.ids_count < sizeof all.ids / sizeof *all.ids)
        all.ids[all.ids_count++] = request_id;
    all.begun[request_id]++;
    all.outstanding++;
}

void answers_note_question(void)
{
    all.questions++;
}

void answers_expect(struct outcome outcome)
{
    if (all.expected_count < MOST_EXPECTED)
        all.expected[all.expected_count++] = outcome;
}

void answers_expect_nothing(void)
{
    all.expected_first = all.expected_count = MOST_EXPECTED;
}

unsigned answers_outstanding(void)
{
    return all.outstanding;
}

static unsigned record_type(void)
{
    return all.head[1];
}

static unsigned record_id(void)
{
    return (unsigned)all.head[2] << 8 | all.head[3];
}

static size_t record_length(void)
{
    return (size_t)all.head[4] << 8 | all.head[5];
}

static void begin_record(void)
{
    size_t length = record_length();
    unsigned id = record_id();

    check_that(all.head[0] == 1 && all.head[7] == 0, "every record is of version 1");
    check_that((length + all.head[6]) % ALIGNMENT == 0 && all.head[6] < ALIGNMENT,
               "every record is padded to eight bytes, and no further");
    all.content_left = length;
    all.padding_left = all.head[6];
    all.content_size = 0;
    switch (record_type()) {
    case VALUES_RESULT:
    case UNKNOWN_TYPE:
        check_that(id == 0 && all.questions > 0, "only what was asked is answered");
        all.questions--;
        return;
    case STDOUT:
    case STDERR:
        check_that(all.begun[id] > 0, "only requests that have begun are answered");
        check_that(all.speaker.id == 0 || all.speaker.id == id, "one request speaks at a time");
        check_that(record_type() == STDOUT ? !all.speaker.has_stdout_ended
                                           : !all.speaker.has_stderr_ended,
                   "nothing follows the end of a stream");
        check_that(record_type() == STDOUT || length == 0 || all.has_complaints,
                   "complaints come where they are wanted");
        all.speaker.id = id;
        return;
    case END_REQUEST:
        check_that(length == 8, "the end of a request has eight bytes");
        check_that(all.begun[id] > 0, "each request ends once");
        return;
    default:
        check_that(false, "only types of answers are answered");
    }
}

static void take_content(const unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < length && all.content_size < SHORT_CONTENT; i++)
        all.content[all.content_size++] = bytes[i];
    if (record_type() == STDOUT) {
        for (size_t i = 0; i < length && all.speaker.answer.length + i < SHORT_CONTENT - 1; i++)
            all.speaker.beginning[all.speaker.answer.length + i] = (char)bytes[i];
        stream_add(&all.speaker.answer, bytes, length);
    } else if (record_type() == STDERR) {
        stream_add(&all.speaker.complaint, bytes, length);
    }
}

static bool are_equal(struct stream one, struct stream other)
{
    return one.length == other.length && one.hash == other.hash;
}

static void compare(unsigned status)
{
    const struct speaker *speaker = &all.speaker;
    struct outcome expected;

    if (all.expected_first == all.expected_count)
        return;
    expected = all.expected[all.expected_first++];
    if (expected.is_refused) {
        check_that(strncmp(speaker->beginning, "Status: 404 ", 12) == 0, "what is not there is 404");
        return;
    }
    check_that(status == expected.status, "the status is the program's");
    if (expected.answer.length)
        check_that(are_equal(speaker->answer, expected.answer), "the answer is the program's");
    else
        check_that(strncmp(speaker->beginning, "Status: 502 ", 12) == 0, "no answer is 502");
    if (!all.has_complaints)
        return;
    if (expected.has_report)
        check_that(speaker->complaint.length > expected.complaint.length, "the end is reported");
    else
        check_that(are_equal(speaker->complaint, expected.complaint), "complaints are all there");
}

static void end_request(void)
{
    const unsigned char *content = all.content;
    unsigned id = record_id(), protocol_status = content[4];
    unsigned status = (unsigned)content[0] << 24 | (unsigned)content[1] << 16 |
                      (unsigned)content[2] << 8 | content[3];

    check_that(content[5] == 0 && content[6] == 0 && content[7] == 0, "what is reserved is zero");
    if (protocol_status == COMPLETE && all.speaker.id == id) {
        check_that(all.speaker.has_stdout_ended && all.speaker.has_stderr_ended,
                   "both streams end before their request");
        compare(status);
        memset(&all.speaker, 0, sizeof all.speaker);
    } else {
        check_that(all.speaker.id != id && status == 0, "what was not carried out has no streams");
        check_that(protocol_status == COMPLETE || protocol_status == CANNOT_MULTIPLEX ||
                       protocol_status == UNKNOWN_ROLE,
                   "the protocol has no other status");
    }
    all.begun[id]--;
    all.outstanding--;
}

static void end_record(void)
{
    if (record_type() == END_REQUEST)
        end_request();
    else if (record_type() == STDOUT && record_length() == 0)
        all.speaker.has_stdout_ended = true;
    else if (record_type() == STDERR && record_length() == 0)
        all.speaker.has_stderr_ended = true;
}

static size_t smaller(size_t one, size_t other)
{
    return one < other ? one : other;
}

void answers_take(const unsigned char *bytes, size_t length)
{
    while (length > 0) {
        size_t step;

        if (all.content_left) {
            step = smaller(all.content_left, length);
            take_content(bytes, step);
            all.content_left -= step;
        } else if (all.padding_left) {
            step = smaller(all.padding_left, length);
            all.padding_left -= step;
        } else {
            step = smaller(HEAD_SIZE - all.head_size, length);
            memcpy(all.head + all.head_size, bytes, step);
            all.head_size += step;
            if (all.head_size == HEAD_SIZE)
                begin_record();
        }
        bytes += step;
        length -= step;
        if (all.head_size == HEAD_SIZE && !all.content_left && !all.padding_left) {
            end_record();
            all.head_size = 0;
        }
    }
}

void answers_end(bool is_broken)
{
    check_that(is_broken || all.head_size == 0, "every record is whole");
}
