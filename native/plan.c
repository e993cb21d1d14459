/*
 * Every span is inside the plan, aligned for what it leads to, and every text ends where its span
 * says: after the check a plan can be used as it is.
 *
 * Nothing here allocates, so it may run in a signal handler of a program that is being held.
 */
#include "plan.h"

#include "front/favourites.h"
#include "front/names.h"
#include "front/request.h"
#include "front/rule.h"

#include <fcntl.h>
#include <stdalign.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_UMASK = 0777, LEAST_NICE = -20, MOST_NICE = 20, MOST_STDERR_MODE = 2 };

static bool is_inside(const struct plan *plan, struct plan_span span, size_t size, size_t alignment)
{
    return span.offset % alignment == 0 && span.offset <= plan->size &&
           span.count <= (plan->size - span.offset) / size;
}

static bool is_text(const struct plan *plan, struct plan_span span)
{
    return span.count > 0 && is_inside(plan, span, 1, 1) &&
           memchr((const char *)plan + span.offset, '\0', span.count) ==
               (const char *)plan + span.offset + span.count - 1;
}

static bool is_text_or_none(const struct plan *plan, struct plan_span span)
{
    return span.count == 0 || is_text(plan, span);
}

static bool is_absolute(const struct plan *plan, struct plan_span span)
{
    return is_text(plan, span) && *plan_text(plan, span) == '/';
}

static bool are_arguments(const struct plan *plan)
{
    const struct plan_span span = plan->arguments;
    const struct plan_span *texts = (const void *)((const char *)plan + span.offset);

    if (span.count == 0 || !is_inside(plan, span, sizeof *texts, alignof(struct plan_span)))
        return false;
    for (size_t i = 0; i < span.count; i++)
        if (!is_text(plan, texts[i]))
            return false;
    return true;
}

/* All ones is no id: it means "leave as it is" to the system calls. */
static bool are_ids(const struct plan *plan)
{
    if (!is_inside(plan, plan->groups, sizeof(uint32_t), alignof(uint32_t)))
        return false;
    for (size_t i = 0; i < plan->groups.count; i++)
        if (plan_groups(plan)[i] == UINT32_MAX)
            return false;
    return plan->uid != UINT32_MAX && plan->gid != UINT32_MAX;
}

static bool are_limits(const struct plan *plan)
{
    if (!is_inside(plan, plan->limits, sizeof(struct plan_limit), alignof(struct plan_limit)))
        return false;
    for (size_t i = 0; i < plan->limits.count; i++)
        if (plan_limits(plan)[i].resource >= RLIM_NLIMITS)
            return false;
    return true;
}

static bool are_favourites(const struct plan *plan)
{
    if (plan->is_favourite > 1 || (plan->is_favourite && plan->level != LEVEL_LOAD))
        return false;
    if (!plan->token.count)
        return !plan->is_favourite;
    return (plan->root.count || plan->scripts.count) && is_text(plan, plan->token) &&
           plan->token.count == FAVOURITES_TOKEN_SIZE &&
           strspn(plan_text(plan, plan->token), "0123456789abcdef") == FAVOURITES_TOKEN_SIZE - 1;
}

static bool is_front(const struct plan *plan)
{
    const char *variables, *scripts, *indexes;

    if (plan->client_gone > CLIENT_GONE_FINISH || !are_favourites(plan))
        return false;
    if (!is_text_or_none(plan, plan->root) || !is_text_or_none(plan, plan->scripts) ||
        !is_text_or_none(plan, plan->indexes) || !is_text_or_none(plan, plan->request_variables))
        return false;
    scripts = plan_text(plan, plan->scripts);
    indexes = plan_text(plan, plan->indexes);
    if ((scripts && (plan->root.count || !rule_is_list_of_paths(scripts))) ||
        (indexes && !rule_is_list_of_names(indexes)))
        return false;
    variables = plan_text(plan, plan->request_variables);
    if (variables && !names_is_list(variables))
        return false;
    if (plan->request_stderr > MOST_STDERR_MODE || plan->answer_limit_ms < 0 ||
        (plan->protocol == PROTOCOL_NONE && (plan->answer_limit_ms || plan->body_limit)))
        return false;
    if (plan->protocol > PROTOCOL_FASTCGI || plan->request_limit_ms < 0 || plan->kill_ms < 0 ||
        (plan->protocol == PROTOCOL_FASTCGI) != (plan->keep_limit_ms > 0) || plan->keep_limit_ms < 0)
        return false;
    if (plan->protocol == PROTOCOL_NONE)
        return plan->head_limit_ms == 0 && plan->head_limit == 0 && !plan->root.count && !scripts && !indexes && !variables;
    return plan->head_limit_ms > 0 && plan->head_limit >= REQUEST_HEAD_LEAST &&
           plan->head_limit <= REQUEST_HEAD_MOST;
}

const char *plan_check(const void *memory, size_t size)
{
    const struct plan *plan = memory;

    if (size < sizeof plan->magic + sizeof plan->version || plan->magic != PLAN_MAGIC)
        return "the plan is none";
    if (plan->version != PLAN_VERSION)
        return "the plan is of another version";
    if (size < sizeof *plan || plan->size != size)
        return "the plan has another size than it says";
    if (plan->master <= 0)
        return "the plan names no master";
    if (plan->level > LEVEL_RELAY)
        return "the plan names no level";
    if (plan->stderr_target > STDERR_NULL)
        return "the plan names no standard error";
    if (plan->present & ~(uint32_t)PLAN_HAS_ALL)
        return "the plan has what is not known";
    if (plan->umask > MOST_UMASK)
        return "the umask of the plan is none";
    if (plan->nice < LEAST_NICE || plan->nice > MOST_NICE)
        return "the niceness of the plan is none";
    if (plan->linger_ms < 0)
        return "the linger time in the plan is negative";
    if (!is_absolute(plan, plan->path))
        return "the path of the plan is not absolute";
    if (!is_text_or_none(plan, plan->directory))
        return "the directory of the plan is none";
    if (plan->chroot.count && !is_absolute(plan, plan->chroot))
        return "the root directory of the plan is none";
    if (!is_front(plan))
        return "the front of the plan is none";
    if (!are_arguments(plan))
        return "the arguments of the plan are none";
    if (!are_ids(plan))
        return "the users or groups of the plan are none";
    if (!are_limits(plan))
        return "the limits of the plan are none";
    return NULL;
}

/* A file that can still be written to or cut short is not one of the master's. */
static bool is_sealed(int fd)
{
    const int needed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    const int seals = fcntl(fd, F_GET_SEALS);

    return seals >= 0 && (seals & needed) == needed;
}

const struct plan *plan_read(int fd, const char **wrong)
{
    struct stat file;
    size_t size;
    void *memory;

    *wrong = "the plan is no sealed file";
    if (fstat(fd, &file) < 0 || !is_sealed(fd))
        return NULL;
    size = (size_t)file.st_size;
    *wrong = "the plan cannot be read";
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (pread(fd, memory, size, 0) == (ssize_t)size && mprotect(memory, size, PROT_READ) == 0 &&
        (*wrong = plan_check(memory, size)) == NULL)
        return memory;
    munmap(memory, size);
    return NULL;
}

void plan_forget(const struct plan *plan)
{
    munmap((void *)plan, plan->size);
}

bool plan_cpu_limit(const struct plan *plan, struct rlimit *value)
{
    for (size_t i = 0; i < plan->limits.count; i++)
        if (plan_limits(plan)[i].resource == RLIMIT_CPU) {
            *value = plan_limit_value(&plan_limits(plan)[i]);
            return true;
        }
    return false;
}
