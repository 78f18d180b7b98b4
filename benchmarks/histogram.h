/* A histogram of microseconds. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>
#include <string.h>

#define BUCKETS 10000000 /* of 1 us; the last one holds all that took longer */

static uint32_t histogram[BUCKETS];
static uint64_t measured;
static int64_t longest;

static inline void measure(int64_t nanoseconds)
{
    int64_t bucket = nanoseconds / 1000;
    histogram[bucket < 0 ? 0 : bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    if (nanoseconds > longest)
        longest = nanoseconds;
    measured++;
}

/* Microseconds that *share* of all took at most. */
static inline int64_t percentile(double share)
{
    uint64_t so_far = 0;
    for (int64_t bucket = 0; bucket < BUCKETS; bucket++)
        if ((so_far += histogram[bucket]) >= share * measured)
            return bucket;
    return BUCKETS;
}

static inline void forget(void)
{
    memset(histogram, 0, sizeof histogram);
    measured = longest = 0;
}

#endif
