/*
 * scgi2cgi: runs a CGI program for the SCGI request that comes on standard input.
 *
 *     scgi2cgi [OPTION...] PROGRAM [ARGUMENT]...
 *     scgi2cgi [OPTION...] --root FOLDER
 *     scgi2cgi [OPTION...] --scripts PATHS
 *
 * It becomes the program, or its parent where the request has a body that has to be carried. What was
 * inherited ends here, environment and working directory alike.
 */
#include "exits.h"
#include "front/bytes.h"
#include "front/executable.h"
#include "front/front.h"
#include "front/keeper.h"
#include "front/names.h"
#include "front/own.h"
#include "front/seconds.h"
#include "front/syslog.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { USUAL_HEAD_SECONDS = 30, KILL_SECONDS = 5 };

static const char usage[] =
    "usage: scgi2cgi [OPTION...] PROGRAM [ARGUMENT]...\n"
    "       scgi2cgi [OPTION...] --root FOLDER\n"
    "       scgi2cgi [OPTION...] --scripts PATH[,PATH]...\n"
    "options: --head-timeout SECONDS, --env NAME[=VALUE], --env-prefix TEXT,\n"
    "         --request-variables LIST, --index NAME[,NAME]..., --head-limit BYTES,\n"
    "         --body-limit BYTES, --answer-timeout SECONDS, --client-gone end|finish\n"
    "Run a CGI program for the SCGI request on standard input; see scgi2cgi(1).\n";

struct call {
    struct front front;
    enum carry_watch watch;
    struct own variables;
    struct executable program;
    char path[PATH_MAX];
    char folder[PATH_MAX];
};

static const struct refusal broken = {
    "500 Internal Server Error", "the program could not be run"};

static _Noreturn void reject(const char *reason)
{
    fprintf(stderr, "scgi2cgi: %s\n%s", reason, usage);
    exit(EXIT_WRONG_CALL);
}

static _Noreturn void reject_option(const char *option, const char *reason)
{
    fprintf(stderr, "scgi2cgi: %s: %s\n%s", option, reason, usage);
    exit(EXIT_WRONG_CALL);
}

static void take_head_timeout(struct call *call, const char *value)
{
    if (!seconds_parse(value, &call->front.head_limit_ms))
        reject("--head-timeout: not a number of seconds up to 86400");
}

static void take_answer_timeout(struct call *call, const char *value)
{
    if (!seconds_parse(value, &call->front.answer_limit_ms))
        reject("--answer-timeout: not a number of seconds up to 86400");
}

static void take_body_limit(struct call *call, const char *value)
{
    if (!bytes_parse(value, &call->front.body_limit))
        reject("--body-limit: not a number of bytes");
}

static void take_head_limit(struct call *call, const char *value)
{
    if (!request_parse_head_limit(value, &call->front.head_limit))
        reject("--head-limit: not a number of bytes from 1024 to 65535");
}

static void take_names(struct call *call, const char *value)
{
    if (!names_is_list(value))
        reject("--request-variables: not a list of names");
    call->front.allowed_names = value;
}

static void take_client_gone(struct call *call, const char *value)
{
    call->watch = strcmp(value, "finish") == 0 ? CARRY_TO_FINISH : CARRY_TO_END;
    if (call->watch == CARRY_TO_END && strcmp(value, "end") != 0)
        reject("--client-gone: not one of end, finish");
}

static void accept_or_reject(const char *complaint)
{
    if (complaint)
        reject(complaint);
}

static void parse(struct call *call, char **words)
{
    struct rule *rule = &call->front.rule;
    const char *complaint;

    if (*words && (strcmp(*words, "--help") == 0 || strcmp(*words, "-h") == 0)) {
        fputs(usage, stdout);
        exit(0);
    }
    for (; *words && strncmp(*words, "--", 2) == 0; words += 2) {
        if (strcmp(*words, "--") == 0) {
            words++;
            break;
        }
        if (!words[1])
            reject_option(words[0], "no such option, or its value is missing");
        if (rule_take_option(rule, words[0], words[1], &complaint))
            accept_or_reject(complaint);
        else if (strcmp(*words, "--body-limit") == 0)
            take_body_limit(call, words[1]);
        else if (strcmp(*words, "--head-limit") == 0)
            take_head_limit(call, words[1]);
        else if (strcmp(*words, "--head-timeout") == 0)
            take_head_timeout(call, words[1]);
        else if (strcmp(*words, "--answer-timeout") == 0)
            take_answer_timeout(call, words[1]);
        else if (strcmp(*words, "--client-gone") == 0)
            take_client_gone(call, words[1]);
        else if (strcmp(*words, "--env") == 0)
            accept_or_reject(own_add(&call->variables, words[1]));
        else if (strcmp(*words, "--env-prefix") == 0)
            accept_or_reject(own_add_prefixed(&call->variables, words[1]));
        else if (strcmp(*words, "--request-variables") == 0)
            take_names(call, words[1]);
        else
            reject_option(words[0], "no such option");
    }
    if ((*words != NULL) + (rule->root != NULL) + (rule->scripts != NULL) != 1)
        reject("give either a program, --root or --scripts");
    if (rule->indexes && !rule_is_there(rule))
        reject("--index needs --root or --scripts");
    if (!*words)
        return;
    if (!executable_find(*words, call->path, call->folder))
        reject("the path of the program is too long");
    /* The word before is ours, too. */
    call->program = (struct executable){call->path, call->folder, *words, words - 1};
}

static bool is_connection(int fd)
{
    struct stat connection, file;

    return fstat(STDIN_FILENO, &connection) == 0 && fstat(fd, &file) == 0 &&
           connection.st_dev == file.st_dev && connection.st_ino == file.st_ino;
}

static void print_note(const void *nothing, const struct note *note)
{
    char line[NOTE_LINE_SIZE];

    (void)nothing;
    if (note_write(note, line))
        fprintf(stderr, "scgi2cgi: %s\n", line);
}

/* What the connection is called we have been told, if it has a name. */
static void settle_name(const void *nothing, const char *given, char text[FRONT_NAME_SIZE])
{
    const char *known = given ? given : getenv("UNIQUE_ID");

    (void)nothing;
    snprintf(text, FRONT_NAME_SIZE, "%s", known ? known : "");
}

/* What a CGI program complains of is for the operator. Where standard error is the connection it
 * would stand in the midst of the answer. */
static void move_stderr(const struct front *front)
{
    int fd = syslog_open();

    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
        front_refuse(front, STDOUT_FILENO, &broken);
}

static _Noreturn void run(const struct front *front, const struct executable *program,
                          char **environment)
{
    executable_run(program, environment);
    fprintf(stderr, "scgi2cgi: cannot run '%s': %s\n", program->path, strerror(errno));
    front_refuse(front, STDOUT_FILENO, front_why_not_run(errno));
}

/* The log may be told something as long as this takes, and no longer: somebody may wait for its end. */
static void wait_for_answer(struct keeper *keeper, const struct front *front)
{
    const struct refusal *refused = keeper_wait_for_answer(keeper, front->answer_limit_ms);

    if (refused)
        front_tell(front, refused);
}

/* Stay behind the program, in a group that is ours or its own: others must not be ended with it. */
static void leave_keeper(const struct front *front, const struct carriage *carriage,
                         const struct carry_ends *ends)
{
    static struct keeper keeper;
    const bool is_leader = getpgrp() == getpid();
    sigset_t before;

    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, NULL, &before);
    keeper = (struct keeper){.carriage = *carriage, .kill_ms = KILL_SECONDS * 1000};
    keeper.carriage.farewell = farewell_answered;
    keeper.program = keeper_divide();
    if (keeper.program > 0) {
        if (!is_leader)
            setpgid(keeper.program, keeper.program);
        keeper.group = is_leader ? getpid() : keeper.program;
        carry_lift(&keeper.carriage);
        close(ends->input);
        close(ends->output);
        close(STDIN_FILENO);
        close(STDOUT_FILENO);
        if (front->answer_limit_ms)
            wait_for_answer(&keeper, front);
        close(STDERR_FILENO);
        keeper_stay(&keeper);
    }
    if (!is_leader)
        setpgid(0, 0);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void put(const struct front *front, int fd, int place)
{
    if (fd != place && dup2(fd, place) < 0)
        front_refuse(front, STDOUT_FILENO, &broken);
}

/* Give the program what it has in place of the connection. */
static void divide(const struct call *call, uint64_t body_length)
{
    struct carriage carriage;
    struct carry_ends ends;

    if (!carry_begin(&carriage, STDIN_FILENO, STDOUT_FILENO, body_length,
                     call->watch == CARRY_TO_FINISH || call->front.answer_limit_ms, &ends))
        front_refuse(&call->front, STDOUT_FILENO, &broken);
    carriage.watch = call->watch;
    if (carriage.is_carried)
        leave_keeper(&call->front, &carriage, &ends);
    put(&call->front, ends.input, STDIN_FILENO);
    put(&call->front, ends.output, STDOUT_FILENO);
}

int main(int count, char **words)
{
    static struct call call = {
        .watch = CARRY_TO_END,
        .front = {.head_limit_ms = USUAL_HEAD_SECONDS * 1000,
                  .head_limit = REQUEST_HEAD_MOST,
                  .note = print_note,
                  .settle_name = settle_name}};
    char *chosen_words[3] = {NULL};
    struct executable chosen;
    struct front_request request;

    parse(&call, words + (count > 0));
    accept_or_reject(own_complete(&call.variables));
    if (!front_prepare(call.variables.entries))
        reject("--env: too many variables");
    if (is_connection(STDERR_FILENO))
        move_stderr(&call.front);
    request = front_take(&call.front, STDIN_FILENO, STDOUT_FILENO);
    divide(&call, request.body_length);
    chosen = (struct executable){request.path, request.folder, request.path, chosen_words};
    run(&call.front, request.path ? &chosen : &call.program, request.entries);
}
