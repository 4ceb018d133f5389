/*
 * holder.c NAME USED [PAGES PRIORITY]: a client that binds a heap and then does nothing
 *
 * It publishes USED bytes in blocks of its statistics slot, and one waiting thread if it is to ask
 * for PAGES, which it does with a REFILL that may park. It says "bound SESSION RUNS", or what went
 * wrong; then, for a REFILL, "parked" or "granted"; and "granted" when a parked one ends. End of
 * input ends it.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "client/link.h"
#include "proto/codec.h"

static struct link l;
static uint64_t heap;

static _Noreturn void quit(const char *what)
{
	(void)printf("%s\n", what);
	exit(1);
}

static uint32_t call(struct frame *f)
{
	static uint32_t id = 10;

	f->header.id = ++id;
	if (link_call(l.call_fd, f) < 0)
		quit("heapd is gone");
	return f->header.status;
}

static uint32_t bind_heap(const char *name)
{
	struct frame f;
	struct wire_bind *b = frame_init(&f, OP_BIND, 0, 0, sizeof(*b));
	const struct wire_bound *bound = FRAME_BODY(&f, const struct wire_bound);

	name_copy(b->name, name);
	b->access = ACCESS_BEST;
	b->flags = WIRE_BIND_NOWAIT;
	if (call(&f) != STATUS_OK)
		quit(status_text(f.header.status));
	frame_close_fds(&f);
	heap = bound->heap;
	(void)printf("bound %" PRIu64 " %u\n", l.welcome.session, bound->n_runs);
	return bound->slot;
}

static void publish(uint32_t slot, uint64_t used, bool waits, int32_t priority)
{
	struct wire_stats s = {.used = used, .n_waiters = waits};

	s.bucket[4] = (struct wire_bucket){
		.calls = 17, .per_page = 16, .pages = 2, .free = 3, .high_water = 30};
	s.waiter[0] = (struct wire_waiter){
		.size = 8000, .since_ns = waits ? now_ns() : 0, .tid = (uint32_t)getpid(), .priority = priority,
	};
	if (pwrite(l.stats_fd, &s, sizeof(s), (off_t)(slot * sizeof(s))) != sizeof(s))
		quit("cannot publish");
}

static void refill(uint32_t pages, int32_t priority)
{
	struct frame f;
	struct wire_refill *r = frame_init(&f, OP_REFILL, 0, 0, sizeof(*r));

	*r = (struct wire_refill){
		.heap = heap, .since_ns = now_ns(), .size = 8000, .pages = pages, .priority = priority,
		.tid = (uint32_t)getpid(),
	};
	(void)call(&f);
	(void)printf("%s\n", f.header.status == STATUS_PARKED ? "parked"
			     : f.header.status == STATUS_OK   ? "granted"
							      : status_text(f.header.status));
}

static void read_event(void)
{
	struct frame f;

	if (channel_recv(l.event_fd, &f, 0) < 0)
		quit("heapd is gone");
	if (f.header.op == EV_GRANT)
		(void)printf("granted\n");
	if (f.header.op == EV_DELETED)
		(void)printf("deleted\n");
	frame_close_fds(&f);
}

int main(int argc, char **argv)
{
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};
	char problem[256], byte;
	bool waits = argc == 5;
	uint32_t slot;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 3 && !waits)
		return 2;
	if (link_open(&l, problem, sizeof(problem)) < 0)
		quit(problem);
	slot = bind_heap(argv[1]);
	publish(slot, strtoull(argv[2], NULL, 10), waits, waits ? atoi(argv[4]) : 0);
	if (waits)
		refill((uint32_t)atoi(argv[3]), atoi(argv[4]));
	fds[1].fd = l.event_fd;
	while (poll(fds, 2, -1) > 0) {
		if (fds[1].revents)
			read_event();
		if (fds[0].revents && read(STDIN_FILENO, &byte, 1) <= 0)
			break;
	}
	link_close(&l);
	return 0;
}
