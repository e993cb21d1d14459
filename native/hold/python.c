/*
 * A copy of a held CPython: a fork that CPython has not made, and an os.environ that was filled
 * at its start.
 *
 * We are called where a blocking system call would return, and in no other place (see hold.c).
 * The interpreter has either let go of its lock there, or holds it in this thread.
 * PyGILState_Ensure() is made for both: code that a blocking call runs may call back into Python.
 * Py_AddPendingCall(), the other way, would act only when the interpreter looks for pending calls,
 * which in `for line in sys.stdin.buffer: print(random.random())` is after the first number.
 */
#include "python.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

typedef struct object object;

static struct {
    int (*is_initialized)(void);
    int (*ensure)(void);
    void (*release)(int);
    void (*after_fork)(void);
    object *(*import)(const char *);
    object *(*get)(object *, const char *);
    int (*set_item)(object *, object *, object *);
    object *(*decode)(const char *, ptrdiff_t);
    void (*forget)(object *);
    void (*clear_error)(void);
} python;

void python_find(void)
{
    struct {
        void *place;
        const char *name;
    } symbols[] = {
        {&python.is_initialized, "Py_IsInitialized"},
        {&python.ensure, "PyGILState_Ensure"},
        {&python.release, "PyGILState_Release"},
        {&python.after_fork, "PyOS_AfterFork_Child"},
        {&python.import, "PyImport_ImportModule"},
        {&python.get, "PyObject_GetAttrString"},
        {&python.set_item, "PyObject_SetItem"},
        {&python.decode, "PyUnicode_DecodeFSDefaultAndSize"},
        {&python.forget, "Py_DecRef"},
        {&python.clear_error, "PyErr_Clear"},
    };

    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(RTLD_DEFAULT, symbols[i].name);

        if (!symbol) {
            python.is_initialized = NULL;
            return;
        }
        memcpy(symbols[i].place, &symbol, sizeof symbol);
    }
}

static void set_variable(object *environ_object, const char *variable)
{
    const char *equals = strchr(variable, '=');
    object *name = python.decode(variable, equals - variable);
    object *value = python.decode(equals + 1, (ptrdiff_t)strlen(equals + 1));

    if (name && value)
        python.set_item(environ_object, name, value);
    python.forget(name); /* Py_DecRef() takes NULL */
    python.forget(value);
}

/* Before there is a client, so that it need not wait for it. */
void python_after_fork(void)
{
    int state;

    if (!python.is_initialized || !python.is_initialized())
        return;
    state = python.ensure();
    /* Locks anew, threads forgotten; then what register_at_fork() has collected, of which one
     * reseeds random. */
    python.after_fork();
    python.release(state);
}

void python_add(char *const variables[])
{
    object *os, *environ_object;
    int state;

    if (!python.is_initialized || !python.is_initialized())
        return;
    state = python.ensure();
    os = python.import("os");
    environ_object = os ? python.get(os, "environ") : NULL;
    for (size_t i = 0; environ_object && variables[i]; i++)
        set_variable(environ_object, variables[i]);
    python.forget(environ_object);
    python.forget(os);
    python.clear_error();
    python.release(state);
}
