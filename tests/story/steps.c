/*
 * steps.c: rt_heap calls as steps
 *
 * The run_* functions run in the actor; what follows them runs in the test.
 */
#include "tests/story/steps.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <heapclient/heapclient.h>

/* ---- in the actor ---- */

/* A name is passed as it is, but "" after a \1 stands for NULL, which a test may mean as well. */
#define NULL_NAME "\1"

static const char *name_of(const struct step *s)
{
	return strcmp(s->text, NULL_NAME) == 0 ? NULL : s->text;
}

static int run_create(struct step *s)
{
	return rt_heap_create(&self.heap[s->heap], name_of(s), s->size, s->mode);
}

static int run_bind(struct step *s)
{
	return rt_heap_bind(&self.heap[s->heap], name_of(s));
}

static int run_bind_timed(struct step *s)
{
	return rt_heap_bind_timed(&self.heap[s->heap], name_of(s), s->timeout);
}

static int run_delete(struct step *s)
{
	return rt_heap_delete(&self.heap[s->heap]);
}

static int run_unbind(struct step *s)
{
	return rt_heap_unbind(&self.heap[s->heap]);
}

static uint8_t pattern(int slot, size_t i)
{
	return (uint8_t)((unsigned)slot * 31u + i * 7u + 1u);
}

/* The block is on success somewhere and filled, on failure NULL; anything else is -EPROTO. */
static int taken(struct step *s, int r, void *block)
{
	if ((r == 0) != (block != NULL))
		return -EPROTO;
	self.block[s->slot] = block;
	for (size_t i = 0; block && i < s->size; i++)
		((uint8_t *)block)[i] = pattern(s->slot, i);
	return r;
}

static int run_alloc(struct step *s)
{
	void *block = &self;
	int r = rt_heap_alloc(&self.heap[s->heap], s->size, s->timeout, &block);

	return taken(s, r, block);
}

static int run_alloc_until(struct step *s)
{
	struct timespec at = { (time_t)(s->n / NSEC_PER_SEC), (long)(s->n % NSEC_PER_SEC) };
	void *block = &self;
	int r = rt_heap_alloc_until(&self.heap[s->heap], s->size, &at, &block);

	return taken(s, r, block);
}

static int run_free(struct step *s)
{
	return rt_heap_free(&self.heap[s->heap], self.block[s->slot]);
}

static int run_inquire(struct step *s)
{
	return rt_heap_inquire(&self.heap[s->heap], &s->info);
}

static int run_offset(struct step *s)
{
	size_t offset = 0;
	int r = rt_heap_offset(&self.heap[s->heap], self.block[s->slot], &offset);

	s->value = offset;
	return r;
}

static int run_pointer(struct step *s)
{
	void *block = &self;
	int r = rt_heap_pointer(&self.heap[s->heap], s->size, &block);

	if ((r == 0) != (block != NULL))
		return -EPROTO;
	self.block[s->slot] = block;
	return r;
}

static int run_check(struct step *s)
{
	const uint8_t *block = self.block[s->slot];

	for (size_t i = 0; i < s->size; i++)
		if (block[i] != pattern((int)s->n, i))
			return -EIO;
	return 0;
}

static int run_address(struct step *s)
{
	s->value = (uint64_t)(uintptr_t)self.block[s->slot];
	return 0;
}

static int run_shift(struct step *s)
{
	self.block[s->slot] =
		s->n == UINT64_MAX ? NULL : (char *)self.block[s->n] + (long)s->timeout;
	return 0;
}

static int run_put_text(struct step *s)
{
	(void)strcpy((char *)self.block[s->slot] + s->size, s->text);
	return 0;
}

static int run_get_text(struct step *s)
{
	(void)snprintf(s->text, sizeof(s->text), "%s", (const char *)self.block[s->slot] + s->size);
	return 0;
}

static int run_problem(struct step *s)
{
	(void)snprintf(s->text, sizeof(s->text), "%s", heapclient_problem());
	return 0;
}

static int run_take_all(struct step *s)
{
	struct step one = *s;
	int n = 0;

	one.timeout = TM_NONBLOCK;
	for (s->value = 0; n < (int)s->n; n++, one.slot++) {
		int r = run_alloc(&one);

		if (r) {
			s->value = (uint64_t)-r;
			break;
		}
	}
	return n;
}

static int run_free_range(struct step *s)
{
	for (int i = s->slot; i < s->slot + (int)s->n; i++) {
		int r = rt_heap_free(&self.heap[s->heap], self.block[i]);

		if (r)
			return r;
	}
	return 0;
}

static int run_priority(struct step *s)
{
	struct sched_param p = { .sched_priority = s->mode };

	return -pthread_setschedparam(pthread_self(), s->mode ? SCHED_FIFO : SCHED_OTHER, &p);
}

/*
 * A thread sanitizer would hold the handler back until the thread calls something that it
 * intercepts, which a thread that waits in a bare futex call does not: so the handler is set behind
 * its back, and is none of its business.
 */
#if STORY_TSAN
extern int __sigaction(int signo, const struct sigaction *new, struct sigaction *old);
#define set_handler __sigaction
#else
#define set_handler sigaction
#endif

__attribute__((__no_sanitize__("thread"))) static void count_signal(int signo)
{
	(void)signo;
	atomic_fetch_add(&board->count[BOARD_SIGNALS], 1);
}

static int run_catch(struct step *s)
{
	struct sigaction sa = { .sa_handler = count_signal, .sa_flags = s->mode ? SA_RESTART : 0 };

	return set_handler(SIGUSR1, &sa, NULL) < 0 ? -errno : 0;
}

/* ---- in the test ---- */

static struct step named(struct step s, const char *name)
{
	const char *text = name ? name : NULL_NAME;

	assert_true(strlen(text) < sizeof(s.text));
	(void)strcpy(s.text, text);
	return s;
}

struct step step_create(int heap, const char *name, size_t size, int mode)
{
	return named((struct step){ .run = run_create, .heap = heap, .size = size, .mode = mode },
		     name);
}

struct step step_bind(int heap, const char *name)
{
	return named((struct step){ .run = run_bind, .heap = heap }, name);
}

struct step step_bind_timed(int heap, const char *name, RTIME timeout)
{
	return named((struct step){ .run = run_bind_timed, .heap = heap, .timeout = timeout },
		     name);
}

struct step step_alloc(int heap, int slot, size_t size, RTIME timeout)
{
	return (struct step){
		.run = run_alloc, .heap = heap, .slot = slot, .size = size, .timeout = timeout
	};
}

struct step step_free(int heap, int slot)
{
	return (struct step){ .run = run_free, .heap = heap, .slot = slot };
}

struct step step_alloc_until(int heap, int slot, size_t size, uint64_t abs_ns)
{
	return (struct step){
		.run = run_alloc_until, .heap = heap, .slot = slot, .size = size, .n = abs_ns
	};
}

static int result_of(struct lane *l, struct step s)
{
	return lane_run(l, s).result;
}

int do_create(struct lane *l, int heap, const char *name, size_t size, int mode)
{
	return result_of(l, step_create(heap, name, size, mode));
}

int do_bind(struct lane *l, int heap, const char *name)
{
	return result_of(l, step_bind(heap, name));
}

int do_bind_timed(struct lane *l, int heap, const char *name, RTIME timeout)
{
	return result_of(l, step_bind_timed(heap, name, timeout));
}

int do_delete(struct lane *l, int heap)
{
	return result_of(l, (struct step){ .run = run_delete, .heap = heap });
}

int do_unbind(struct lane *l, int heap)
{
	return result_of(l, (struct step){ .run = run_unbind, .heap = heap });
}

int do_alloc(struct lane *l, int heap, int slot, size_t size, RTIME timeout)
{
	return result_of(l, step_alloc(heap, slot, size, timeout));
}

int do_alloc_until(struct lane *l, int heap, int slot, size_t size, uint64_t abs_ns)
{
	return result_of(l, step_alloc_until(heap, slot, size, abs_ns));
}

int do_free(struct lane *l, int heap, int slot)
{
	return result_of(l, (struct step){ .run = run_free, .heap = heap, .slot = slot });
}

int do_inquire(struct lane *l, int heap, RT_HEAP_INFO *info)
{
	struct step s = lane_run(l, (struct step){ .run = run_inquire, .heap = heap });

	*info = s.info;
	return s.result;
}

int do_offset(struct lane *l, int heap, int slot, size_t *offset)
{
	struct step s = lane_run(l, (struct step){ .run = run_offset, .heap = heap, .slot = slot });

	*offset = s.value;
	return s.result;
}

int do_pointer(struct lane *l, int heap, int slot, size_t offset)
{
	return result_of(
		l, (struct step){ .run = run_pointer, .heap = heap, .slot = slot, .size = offset });
}

int check_block(struct lane *l, int slot, int by, size_t size)
{
	return result_of(
		l,
		(struct step){ .run = run_check, .slot = slot, .n = (uint64_t)by, .size = size });
}

uint64_t block_address(struct lane *l, int slot)
{
	return lane_run(l, (struct step){ .run = run_address, .slot = slot }).value;
}

int forget_block(struct lane *l, int slot)
{
	return result_of(l, (struct step){ .run = run_shift, .slot = slot, .n = UINT64_MAX });
}

int shift_block(struct lane *l, int slot, int from, long by)
{
	return result_of(l, (struct step){ .run = run_shift,
					   .slot = slot,
					   .n = (uint64_t)from,
					   .timeout = (RTIME)by });
}

int put_text(struct lane *l, int slot, size_t at, const char *text)
{
	return result_of(
		l, named((struct step){ .run = run_put_text, .slot = slot, .size = at }, text));
}

struct step get_text(struct lane *l, int slot, size_t at)
{
	return lane_run(l, (struct step){ .run = run_get_text, .slot = slot, .size = at });
}

struct step last_problem(struct lane *l)
{
	return lane_run(l, (struct step){ .run = run_problem });
}

struct step take_all(struct lane *l, int heap, int first, size_t size, int n)
{
	return lane_run(l, (struct step){ .run = run_take_all,
					  .heap = heap,
					  .slot = first,
					  .size = size,
					  .n = (uint64_t)n });
}

int free_range(struct lane *l, int heap, int first, int n)
{
	return result_of(
		l, (struct step){
			   .run = run_free_range, .heap = heap, .slot = first, .n = (uint64_t)n });
}

int set_priority(struct lane *l, int priority)
{
	return result_of(l, (struct step){ .run = run_priority, .mode = priority });
}

int catch_signal(struct lane *l, bool restart)
{
	return result_of(l, (struct step){ .run = run_catch, .mode = restart });
}

void until_inquired(struct lane *l, int heap, int n_waiters)
{
	RT_HEAP_INFO info;

	for (;;) {
		EXPECT(0, do_inquire(l, heap, &info));
		if (info.nwaiters == n_waiters)
			return;
		story_pause("the number of waiters", __FILE__, __LINE__);
	}
}
