/* What clients send and expect, read from a file: one line of hexadecimal digits each. */
#ifndef SCRIPT_H
#define SCRIPT_H

#include <stdio.h>
#include <stdlib.h>

#define MOST_LINES 65537

struct bytes { char *at; size_t size; };

static struct bytes script[MOST_LINES];
static int lines;

static _Noreturn void fail(const char *why)
{
    printf("{\"error\": \"%s\"}\n", why);
    exit(1);
}

static void read_script(const char *path)
{
    FILE *file = fopen(path, "r");
    static char *line;
    static size_t room;
    ssize_t got;
    if (!file)
        fail("there is no such script");
    for (int each = 0; each < lines; each++)
        free(script[each].at);
    for (lines = 0; (got = getline(&line, &room, file)) > 0 && lines < MOST_LINES; lines++) {
        struct bytes *bytes = &script[lines];
        bytes->size = (size_t)(got - 1) / 2;
        bytes->at = malloc(bytes->size + 1);
        for (size_t each = 0; each < bytes->size; each++)
            sscanf(line + 2 * each, "%2hhx", (unsigned char *)bytes->at + each);
    }
    fclose(file);
}

#endif
