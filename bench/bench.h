/*
 * bench.h: what every measurement shares
 *
 * A measurement compares ours with a peer in one run: the two take turns in rounds, each round gives one figure each, and
 * the table shows both medians and the median of the ratios pair by pair, so that a machine whose speed drifts
 * does not decide. Nothing here judges, and no test runs it.
 */
#ifndef HEAPD_BENCH_BENCH_H
#define HEAPD_BENCH_BENCH_H

#include "common/base.h"

#define ROUNDS 9

struct figure {
	double ours[ROUNDS];
	double peer[ROUNDS];
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
void bench_pair(int argc, char **argv);
void bench_multiheap(int argc, char **argv);
void bench_kmalloc(int argc, char **argv);
void bench_partition(int argc, char **argv);
void bench_loop(int argc, char **argv);
void bench_roundtrip(int argc, char **argv);
void bench_bind(int argc, char **argv);
void bench_handoff(int argc, char **argv);
void bench_scale(int argc, char **argv);
void bench_commit(int argc, char **argv);
void bench_hostile(int argc, char **argv);

#endif
