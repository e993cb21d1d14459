/*
 * Fuzzes the check of a plan: whatever the bytes are, they are refused, or all that they lead to can
 * be used.
 *
 * The input is looked at in memory that is exactly as large as it is.
 */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static volatile uint64_t sum; /* what is added up has to be read */

static void check(bool is_so)
{
    if (!is_so)
        abort();
}

static void use_text(const struct plan *plan, struct plan_span span)
{
    const char *text = plan_text(plan, span);

    check(!text || strlen(text) + 1 == span.count);
}

static void use(const struct plan *plan)
{
    struct rlimit value;

    check(*plan_text(plan, plan->path) == '/');
    use_text(plan, plan->path);
    use_text(plan, plan->directory);
    use_text(plan, plan->root);
    use_text(plan, plan->scripts);
    use_text(plan, plan->indexes);
    use_text(plan, plan->request_variables);
    check(plan->arguments.count > 0);
    for (size_t i = 0; i < plan->arguments.count; i++)
        sum += strlen(plan_argument(plan, i));
    for (size_t i = 0; i < plan->groups.count; i++)
        sum += plan_groups(plan)[i] != UINT32_MAX;
    for (size_t i = 0; i < plan->limits.count; i++)
        sum += plan_limits(plan)[i].resource + plan_limit_value(&plan_limits(plan)[i]).rlim_max;
    sum += plan_cpu_limit(plan, &value);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    void *memory = malloc(size + !size);
    const char *wrong;

    check(memory != NULL);
    if (size)
        memcpy(memory, input, size);
    wrong = plan_check(memory, size);
    if (wrong)
        check(*wrong != '\0');
    else
        use(memory);
    free(memory);
    return 0;
}
