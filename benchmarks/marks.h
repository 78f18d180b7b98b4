/* Marks: the time when an event was sent, as 16 hexadecimal digits and a `^`, which occurs nowhere else. */
#ifndef MARKS_H
#define MARKS_H

#include "clock.h"
#include "histogram.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS 16

/* The last digits before the place where a frame was cut into pieces. */
struct cut { char digits[DIGITS]; size_t size; };

static uint64_t marks;

static void see_mark(const char *digits)
{
    char text[DIGITS + 1];
    memcpy(text, digits, DIGITS);
    text[DIGITS] = '\0';
    measure(now() - strtoll(text, NULL, 16));
    marks++;
}

/* Find the marks in a piece of a frame; *ends* says that it is the last one. */
static void see_marks(struct cut *cut, const char *from, size_t size, bool ends)
{
    const char *at = from, *end = from + size, *found;
    while ((found = memchr(at, '^', (size_t)(end - at)))) {
        size_t before = (size_t)(found - from);
        if (before >= DIGITS) {
            see_mark(found - DIGITS);
        } else if (before + cut->size >= DIGITS) {
            char whole[2 * DIGITS];
            memcpy(whole, cut->digits, cut->size);
            memcpy(whole + cut->size, from, before);
            see_mark(whole + cut->size + before - DIGITS);
        }
        at = found + 1;
    }
    if (ends) {
        cut->size = 0;
    } else if (size >= DIGITS) {
        memcpy(cut->digits, end - DIGITS, cut->size = DIGITS);
    } else {
        size_t old = cut->size + size > DIGITS ? DIGITS - size : cut->size;
        memmove(cut->digits, cut->digits + cut->size - old, old);
        memcpy(cut->digits + old, from, size);
        cut->size = old + size;
    }
}

#endif
