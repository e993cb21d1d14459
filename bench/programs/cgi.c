/* The smallest CGI program that says something of its request. */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	const char *query = getenv("QUERY_STRING");

	printf("Content-Type: text/plain\r\n\r\n%s\n", query ? query : "");
	return 0;
}
