/*
 * libc makes its secrets of them before any code of ours runs. A program that asks for them later, by
 * getauxval(AT_RANDOM), is to get its own in each copy, as if it had just been executed.
 */
#include "seed.h"

#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SEED_SIZE = 16 };

void seed_renew(void)
{
    unsigned char *place = (unsigned char *)getauxval(AT_RANDOM);

    if (place)
        syscall(SYS_getrandom, place, SEED_SIZE, GRND_NONBLOCK);
}
