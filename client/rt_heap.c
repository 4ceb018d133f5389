/*
 * rt_heap.c: the interface of rt_heap.h over heap.h
 *
 * Thin: arguments, descriptors, addresses to offsets, statuses to errnos. Here are the interface's own rules (sizes on
 * segments, timeouts, NULL on failure); memory, waiting and the daemon are below.
 */
#include "heapclient/rt_heap.h"

#include "client/cancel.h"
#include "client/creation.h"
#include "client/heap_fast.h"
#include "client/process.h"
#include "client/registry.h"
#include "client/point.h"
#include "proto/codec.h"

#define EXPORT __attribute__((visibility("default")))
#define noinline __attribute__((noinline))

/*
 * Where the same instructions lie decides up to a third of their time. These two are below 256 bytes, and lie alike whatever is before
 * them.
 */
#define HOT __attribute__((__aligned__(256)))

/* A parameter that only the long way needs is out of the short one's registers. */
#if defined(__x86_64__) && defined(__SSE2__)
#define KEEP_ASIDE(x) __asm__("" : "+x"(x))
#else
#define KEEP_ASIDE(x) ((void)0)
#endif

_Static_assert(H_PRIO == WIRE_MODE_PRIO && H_DMA == WIRE_MODE_DMA && H_MAPPABLE == WIRE_MODE_MAPPABLE &&
	       H_SINGLE == WIRE_MODE_SINGLE && H_NONCACHED == WIRE_MODE_NONCACHED, "modes travel as they are");
_Static_assert(sizeof(((RT_HEAP_INFO *)0)->name) == WIRE_NAME_SIZE, "names fit");

/* How often a bind without a daemon looks for one, and a bind beside another bind of the same name looks again. */
#define LOOK_AGAIN_NS (50 * NSEC_PER_MSEC)
#define BESIDE_NS NSEC_PER_MSEC

static uint64_t deadline_of(RTIME timeout)
{
	uint64_t now;

	if (timeout == TM_INFINITE)
		return FOREVER;
	if (timeout == TM_NONBLOCK)
		return HEAP_NOWAIT;
	now = now_ns();
	return timeout < FOREVER - 1 - now ? now + timeout : FOREVER - 1;
}

static uint64_t deadline_at(const struct timespec *abs)
{
	uint64_t deadline;

	if (abs->tv_sec < 0)
		return HEAP_NOWAIT;
	if ((uint64_t)abs->tv_sec >= FOREVER / NSEC_PER_SEC)
		return FOREVER - 1;
	deadline = (uint64_t)abs->tv_sec * NSEC_PER_SEC + (uint64_t)abs->tv_nsec;
	return deadline <= now_ns() ? HEAP_NOWAIT : deadline;
}

/* ---- create and bind ---- */

/* STATUS_OK came for a BIND or CREATE: a heap and its first descriptor. The frame's fds are closed here. */
static int attach(struct session *s, struct frame *f, RT_HEAP *d)
{
	struct heap *h;
	int r = heap_attach(&h, s, f);

	frame_close_fds(f);
	if (r < 0)
		return r;
	heap_table_lock();
	r = registry_add(h, d);
	if (r == 0)
		heap_list(h);
	heap_table_unlock();
	if (r == 0)
		heap_catch_up(h);
	else
		heap_detach(h);
	return r;
}

static int create(RT_HEAP *d, const char *name, size_t size, int mode)
{
	_cleanup_(session_unrefp) struct session *s = NULL;
	struct pending p;
	struct wire_create *body = frame_init(&p.frame, OP_CREATE, 0, 0, sizeof(*body));
	uint64_t id;
	int r;

	name_copy(body->name, name);
	body->size = size;
	body->mode = (uint32_t)mode;
	body->kind = mode & H_SINGLE ? KIND_SEGMENT : KIND_HEAP;
	body->perm = WIRE_PERM_DEFAULT;
	body->gid = WIRE_GID_DEFAULT;
	r = session_get(&s);
	if (r < 0)
		return r;
	r = creation_ask(s, &p);
	if (r < 0)
		return r;
	id = FRAME_BODY(&p.frame, struct wire_bound)->heap;
	views_expect();
	r = attach(s, &p.frame, d);
	if (r < 0)
		creation_undo(s, id);
	return r;
}

EXPORT int rt_heap_create(RT_HEAP *heap, const char *name, size_t heapsize, int mode)
{
	_no_cancel_ int cancel = cancel_disable();
	bool named = name && *name;
	int r;

	if (!heap || heapsize == 0 || ((unsigned)mode & ~WIRE_MODE_ALL) || ((mode & H_SHARED) == H_SHARED && !named) ||
	    (mode & H_SHARED) == H_MAPPABLE)
		return -EINVAL;
	r = named ? status_errno((uint32_t)name_check(name)) : 0;
	if (r == 0)
		r = process_enter();
	return r < 0 ? r : create(heap, named ? name : "", heapsize, mode);
}

/* One more descriptor of a heap that this process is bound to, by its name or by session and id. 0, -ENOENT, -ENOMEM. */
static int join_name(const char *name, RT_HEAP *d)
{
	struct heap *h;
	int r;

	heap_table_lock();
	h = heap_find_name(name);
	r = h ? registry_add(h, d) : -ENOENT;
	heap_table_unlock();
	return r;
}

static int join_id(const struct session *s, uint64_t id, RT_HEAP *d)
{
	struct heap *h;
	int r;

	heap_table_lock();
	h = heap_find(s, id);
	r = h ? registry_add(h, d) : -ENOENT;
	heap_table_unlock();
	return r;
}

/* -ETIMEDOUT, or what the caller asked for when it did not want to wait at all. */
static int too_late(uint64_t deadline)
{
	return deadline == HEAP_NOWAIT ? -EWOULDBLOCK : -ETIMEDOUT;
}

/* Sleeps a little before another attempt: on a futex nobody wakes, since a plain sleep ends after any handler, SA_RESTART
 * or not. 0; -EINTR; too_late(). */
static int pause_until(uint64_t deadline, uint64_t pause_ns)
{
	_Atomic uint32_t nobody = 0;
	uint64_t now = now_ns();
	int r;

	if (now >= deadline)
		return too_late(deadline);
	r = futex_wait(&nobody, 0, min_u64(deadline, now + pause_ns));
	return r == -ETIMEDOUT ? 0 : r;
}

/* An answer of an attempt to bind: another thread is about to attach the same heap, try again. */
#define BIND_BESIDE 1

/* One attempt over one session. 0; BIND_BESIDE; -ECONNREFUSED: the session went down; another errno: the end. */
static int bind_over(struct session *s, const char *name, uint64_t deadline, RT_HEAP *d)
{
	struct pending p;
	struct wire_bind *body = frame_init(&p.frame, OP_BIND, 0, 0, sizeof(*body));
	int r, given_up = 0;

	name_copy(body->name, name);
	body->access = ACCESS_BEST;
	body->flags = deadline == HEAP_NOWAIT ? WIRE_BIND_NOWAIT : 0;
	body->priority = thread_priority();
	p.impatient = deadline != HEAP_NOWAIT; /* who can wait looks again and again, until its own time is over */
	r = session_start(s, &p);
	if (r == STATUS_PARKED) {
		POINT(BIND_PARKED);
		/* one that must not wait for the heap is parked only when its end is about to come */
		r = session_await(s, &p, deadline == HEAP_NOWAIT ? FOREVER : deadline, true);
		if (r == -ETIMEDOUT || r == -EINTR) {
			given_up = r;
			POINT(BIND_WOKEN);
			r = session_cancel(s, &p);
			if (r == -ECANCELED)
				return given_up;
		}
	}
	if (r == -EMFILE) { /* the memory's fd found no room here: the daemon must not count us as bound */
		creation_unbind(s, FRAME_BODY(&p.frame, struct wire_bound)->heap);
		return -EMFILE;
	}
	if (r < 0)
		return r;
	switch (p.frame.header.status) {
	case STATUS_OK:
		return attach(s, &p.frame, d); /* also when it came at the last moment */
	case STATUS_BOUND:
		r = join_id(s, FRAME_BODY(&p.frame, struct wire_bound)->heap, d);
		return r == -ENOENT ? BIND_BESIDE : r;
	case STATUS_MISSING:
		return -EWOULDBLOCK;
	default:
		return status_errno(p.frame.header.status);
	}
}

static int bind_once(const char *name, uint64_t deadline, RT_HEAP *d)
{
	_cleanup_(session_unrefp) struct session *s = NULL;
	int r;

	r = join_name(name, d);
	if (r != -ENOENT)
		return r;
	r = session_get(&s);
	return r < 0 ? r : bind_over(s, name, deadline, d);
}

static int bind_until(RT_HEAP *heap, const char *name, uint64_t deadline)
{
	_no_cancel_ int cancel = cancel_disable();
	int r;

	if (!heap || !name)
		return -EINVAL;
	r = status_errno((uint32_t)name_check(name));
	if (r == 0)
		r = process_enter();
	if (r < 0)
		return r;
	views_expect();
	for (;;) { /* until the daemon says something final, or the caller's time is over */
		r = bind_once(name, deadline, heap);
		if (r == -ECONNREFUSED && deadline != HEAP_NOWAIT)
			r = pause_until(deadline, LOOK_AGAIN_NS);
		else if (r == BIND_BESIDE)
			r = pause_until(deadline == HEAP_NOWAIT ? FOREVER : deadline, BESIDE_NS);
		else
			return r;
		if (r < 0)
			return r;
	}
}

EXPORT int rt_heap_bind(RT_HEAP *heap, const char *name)
{
	return bind_until(heap, name, FOREVER);
}

EXPORT int rt_heap_bind_timed(RT_HEAP *heap, const char *name, RTIME timeout)
{
	return bind_until(heap, name, deadline_of(timeout));
}

EXPORT int rt_heap_unbind(RT_HEAP *heap)
{
	_no_cancel_ int cancel = cancel_disable();
	struct heap *last = NULL;
	int r;

	r = registry_check(heap);
	if (r == 0)
		r = registry_remove(heap, &last);
	if (last)
		heap_detach(last);
	return r < 0 ? r : 0;
}

/* ---- blocks ---- */

/* The lock is held, and given. */
static int alloc_unlock(struct heap *h, size_t size, const struct timespec *abs, RTIME timeout, uint64_t *offset)
{
	uint64_t deadline;
	int r;

	if (unlikely(heap_is_segment(h))) {
		r = heap_state(h);
		if (r == 0 && size != 0 && size != h->size)
			r = -EINVAL;
		*offset = 0;
		lock_give(&h->lock);
		return r;
	}
	r = unlikely(size == 0) ? -EINVAL : unlikely(!h->writable) ? -EACCES : heap_alloc_try(h, size, offset);
	if (likely(r <= 0)) {
		lock_give(&h->lock);
		return r;
	}
	if (!abs)
		return heap_alloc_slow_unlock(h, size, deadline_of(timeout), offset);
	deadline = deadline_at(abs);
	r = heap_alloc_slow_unlock(h, size, deadline, offset);
	return r == -EWOULDBLOCK ? -ETIMEDOUT : r;
}

static int alloc(RT_HEAP *heap, size_t size, const struct timespec *abs, RTIME timeout, void **blockp)
{
	struct heap *h;
	uint64_t offset;
	uint8_t *base;
	int r;

	if (unlikely(!blockp))
		return -EINVAL;
	*blockp = NULL;
	r = registry_lock(heap, &h);
	if (unlikely(r < 0))
		return r;
	base = h->hand.arrays.base;
	r = alloc_unlock(h, size, abs, timeout, &offset);
	if (likely(r == 0))
		*blockp = base + offset;
	return r;
}

/* The long way, in functions of their own: the short one needs no register saved. */
static noinline int alloc_long(RT_HEAP *heap, size_t size, RTIME timeout, void **blockp)
{
	return alloc(heap, size, NULL, timeout, blockp);
}

static noinline int alloc_held(RT_HEAP *heap, size_t size, RTIME timeout, void **blockp)
{
	struct heap *h = views_owner(heap->view_);
	uint64_t offset = rseq_offset((uintptr_t)*blockp);
	uint8_t *base;

	/* what is no descriptor was interrupted at its first instruction, and what it holds looks like the marks' address */
	if (!h || !(views_word(heap) & VIEWS_WORD))
		return alloc(heap, size, NULL, timeout, blockp);
	base = __atomic_load_n(&h->hand.arrays.base, __ATOMIC_RELAXED); /* the heap's, if it still is that heap */
	if (!heap_keep(h, heap->turn_, size, offset))
		return alloc(heap, size, NULL, timeout, blockp);
	*blockp = base + offset;
	return 0;
}

EXPORT HOT int rt_heap_alloc(RT_HEAP *heap, size_t size, RTIME timeout, void **blockp)
{
	enum rseq_result done;

	if (unlikely(!blockp))
		return -EINVAL;
	KEEP_ASIDE(timeout);
	done = heap_fast_alloc(heap, size, blockp);
	if (likely(done == RSEQ_DONE))
		return 0;
	return done == RSEQ_HELD ? alloc_held(heap, size, timeout, blockp) : alloc_long(heap, size, timeout, blockp);
}

EXPORT int rt_heap_alloc_until(RT_HEAP *heap, size_t size, const struct timespec *abs_monotonic, void **blockp)
{
	if (abs_monotonic && (abs_monotonic->tv_nsec < 0 || abs_monotonic->tv_nsec >= (long)NSEC_PER_SEC)) {
		if (blockp)
			*blockp = NULL;
		return -EINVAL;
	}
	return alloc(heap, size, abs_monotonic, TM_INFINITE, blockp);
}

static noinline int free_held(const RT_HEAP *heap, const void *block)
{
	struct heap *h = views_owner(heap->view_);
	const uint8_t *base = __atomic_load_n(&h->hand.arrays.base, __ATOMIC_RELAXED); /* as in alloc_held */

	heap_put(h, heap->turn_, (uint64_t)((const uint8_t *)block - base));
	return 0;
}

static noinline int free_long(RT_HEAP *heap, void *block, bool full)
{
	uint64_t offset;
	struct heap *h;
	int r = registry_lock(heap, &h);

	if (unlikely(r < 0))
		return r;
	offset = (uint64_t)((uintptr_t)block - (uintptr_t)h->hand.arrays.base); /* an address below the base is far above its end */
	if (likely(!heap_is_segment(h) && h->writable && offset < h->usable))
		return heap_free_unlock(h, offset, full);
	r = heap_state(h);
	if (r == 0 && !heap_is_segment(h)) {
		r = h->writable ? -EINVAL : -EACCES;
		h->stats->bad_frees += h->writable;
	}
	lock_give(&h->lock);
	return r;
}

EXPORT HOT int rt_heap_free(RT_HEAP *heap, void *block)
{
	enum rseq_result freed = heap_fast_free(heap, block);

	if (likely(freed == RSEQ_DONE))
		return 0;
	return freed == RSEQ_HELD ? free_held(heap, block) : free_long(heap, block, freed == RSEQ_FULL);
}

/* ---- addresses ---- */

/* What a live heap's mapping is, without its lock: a table read. Pinned, for the control slot goes with the heap. */
static int where(const RT_HEAP *heap, uint8_t **base, uint64_t *usable)
{
	struct descriptor *e;
	struct heap *h;
	int r = registry_peek(heap, &e);

	if (r < 0)
		return r;
	h = heap_pin(atomic_load_explicit(&e->heap, memory_order_relaxed));
	if (atomic_load(&e->serial) == heap->serial_) {
		*base = h->hand.arrays.base;
		*usable = h->usable;
		r = heap_state(h);
	} else {
		r = -EINVAL; /* unbound meanwhile: it may be another heap */
	}
	heap_unpin(h);
	return r;
}

EXPORT int rt_heap_offset(RT_HEAP *heap, const void *block, size_t *offset)
{
	uint64_t usable, at;
	uint8_t *base;
	int r;

	if (!offset)
		return -EINVAL;
	r = where(heap, &base, &usable);
	if (r < 0)
		return r;
	at = (uint64_t)((uintptr_t)block - (uintptr_t)base);
	if (at >= usable)
		return -EINVAL;
	*offset = at;
	return 0;
}

EXPORT int rt_heap_pointer(RT_HEAP *heap, size_t offset, void **blockp)
{
	uint64_t usable;
	uint8_t *base;
	int r;

	if (!blockp)
		return -EINVAL;
	*blockp = NULL;
	r = where(heap, &base, &usable);
	if (r < 0)
		return r;
	if (offset >= usable)
		return -EINVAL;
	*blockp = base + offset;
	return 0;
}

/* ---- the heap as a whole ---- */

/* The descriptor's heap, pinned; heap_unpin it. */
static int registry_pin(const RT_HEAP *d, struct heap **out)
{
	int r = registry_lock(d, out);

	if (r < 0)
		return r;
	heap_pin(*out);
	lock_give(&(*out)->lock);
	return 0;
}

EXPORT int rt_heap_delete(RT_HEAP *heap)
{
	_no_cancel_ int cancel = cancel_disable();
	struct heap *h;
	int r = registry_pin(heap, &h);

	if (r < 0)
		return r;
	r = heap_delete(h);
	heap_unpin(h);
	return r;
}

EXPORT int rt_heap_inquire(RT_HEAP *heap, RT_HEAP_INFO *info)
{
	_no_cancel_ int cancel = cancel_disable();
	struct wire_info wire;
	struct heap *h;
	int r;

	if (!info)
		return -EINVAL;
	r = registry_pin(heap, &h);
	if (r < 0)
		return r;
	r = heap_inquire(h, &wire);
	if (r == 0) {
		*info = (RT_HEAP_INFO){
			.nwaiters = (int)wire.n_waiters,
			.mode = (int)wire.mode,
			.heapsize = wire.size,
			.usablemem = wire.usable,
			.usedmem = wire.used,
		};
		memcpy(info->name, h->name, sizeof(info->name));
	}
	heap_unpin(h);
	return r;
}
