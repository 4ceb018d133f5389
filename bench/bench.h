/*
 * bench.h: what every measurement of heap-bench shares
 *
 * A measurement compares ours with a bare peer in one process: the two take turns in rounds, each
 * round gives one figure each, and the table shows both medians and the median of the ratios pair
 * by pair, so that a machine whose speed drifts does not decide. What allocators cost beside each
 * other is not here, but in plan.h.
 *
 * Nothing here judges; tests look whether it runs and what it prints, never at a speed.
 */
#ifndef HEAPD_BENCH_BENCH_H
#define HEAPD_BENCH_BENCH_H

#include "common/base.h"

#define ROUNDS_MAX 9

extern int rounds; /* 1 to ROUNDS_MAX */

struct figure {
	double ours[ROUNDS_MAX];
	double peer[ROUNDS_MAX];
	int n;
};

/* One row: both medians and the ratio. peer NULL: ours alone. */
void report(const char *what, const char *unit, const struct figure *f, const char *peer);
void report_value(const char *what, const char *unit, double value);

double median(double *v, int n);                        /* sorts v */
uint64_t percentile(uint64_t *v, size_t n, double p);   /* sorts v */

void pin(pid_t pid, int cpu);       /* 0: the calling thread */
bool fifo(int priority);            /* the calling thread; false: not permitted */
void must(int r, const char *what); /* exits when r < 0 */
pid_t daemon_pid(int call_fd);      /* heapd, from the socket's credentials */

struct link;
void ping(int call_fd, uint32_t id); /* one smallest request */

/* The measurements; each prints its rows. argv: what followed its name. */
void bench_multiheap(int argc, char **argv);
void bench_kmalloc(int argc, char **argv);
void bench_create(int argc, char **argv);
void bench_loop(int argc, char **argv);
void bench_roundtrip(int argc, char **argv);
void bench_bind(int argc, char **argv);
void bench_handoff(int argc, char **argv);
void bench_scale(int argc, char **argv);
void bench_commit(int argc, char **argv);
void bench_hostile(int argc, char **argv);

#endif
