/*
 * Fuzzes what becomes of a variable by its name and the operator's list.
 *
 * The input is the list, a NUL, and the name. Both are looked at in memory that is exactly as large
 * as they are.
 */
#include "front/names.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static void check(bool is_so)
{
    if (!is_so)
        abort();
}

/* What holds of any list: it can only take away, but for what it names. */
static void check_list(const char *list, const char *name, size_t length)
{
    enum names_verdict usual = names_judge(NULL, name, length);
    enum names_verdict verdict = names_judge(list, name, length);
    char *alone = strndup(name, length);

    check((usual == NAMES_FORBIDDEN) <= names_is_forbidden(name, length));
    if (verdict == NAMES_TAKEN)
        check(usual == NAMES_TAKEN || strstr(list, alone));
    if (verdict == NAMES_FORBIDDEN)
        check(usual == NAMES_FORBIDDEN);
    /* These alone would be read as what they stand for. */
    if (usual != NAMES_LEFT_OUT && names_is_list(alone) && strcmp(alone, NAMES_STANDARD) != 0 &&
        strcmp(alone, NAMES_USUAL) != 0)
        check(names_judge(alone, name, length) == NAMES_TAKEN);
    free(alone);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    const uint8_t *end = size ? memchr(input, '\0', size) : NULL;
    size_t list_size, length;
    char *list, *name;

    if (!end)
        return 0;
    list_size = (size_t)(end - input) + 1;
    length = size - list_size;
    list = malloc(list_size);
    name = malloc(length + !length);
    check(list && name);
    memcpy(list, input, list_size);
    memcpy(name, end + 1, length);
    if (names_is_plain(name, length)) {
        names_is_standard(name, length);
        if (names_is_list(list))
            check_list(list, name, length);
    }
    free(list);
    free(name);
    return 0;
}
