/*
 * Most programs begin with setlocale(LC_ALL, ""), and libc then opens, maps and checks a dozen files:
 * for cat that is a third of all that a copy does. libc keeps what it has read, by the name of each
 * locale. So an object of that locale, which nobody uses, is all it takes: the program is still in
 * the locale "C" when its main() begins, and what it then chooses is there. A program that chooses
 * another one, or has changed its environment before, gets what it asks for.
 *
 * The files stay mapped, as after setlocale(), so the master hears when one of them is replaced.
 */
#include "locales.h"

#include "bind.h"

#include <errno.h>
#include <locale.h>
#include <stddef.h>

void locales_read(void)
{
    const int saved = errno;

    if (bind_is_called("setlocale"))
        newlocale(LC_ALL_MASK, "", NULL); /* never freed: libc would forget the files */
    errno = saved;
}
