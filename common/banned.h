/* Functions that make overflows or hidden state easy. Included by the compiler's command line in every file. */
#ifndef GARRISON_BANNED_H
#define GARRISON_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Macros where clang checks them for overflows. */
#undef sprintf
#undef vsprintf

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok localtime gmtime ctime asctime rand srand
#pragma GCC poison atoi atol atoll atof

#endif
