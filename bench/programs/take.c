/* take SECONDS: answer a line after a given time, at next to no cost. */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char line[4096];
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 0;
	struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
	ssize_t length = read(0, line, sizeof line);

	nanosleep(&time, NULL);
	return length < 0 || write(1, line, (size_t)length) != length;
}
