/*
 * it_pt.h: pt calls as steps of actors, and partitions as the daemon sees them
 *
 * As steps.h for heaps. Results: what the call gave, or a negative errno. Slots hold blocks. Each step
 * also sees to it that errno was left alone where pt.h says so: if not, -EPROTO.
 */
#ifndef HEAPD_TESTS_STORY_IT_PT_H
#define HEAPD_TESTS_STORY_IT_PT_H

#include <heapclient/pt.h>
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define GOT 1     /* do_get: a block is in the slot */
#define EMPTY 0   /* do_get: NULL, errno as it was */
#define UNTOUCHED 4242

/* ---- in the actor ---- */

static inline int run_pt_create(struct step *s)
{
	int r;

	errno = UNTOUCHED;
	r = pt_create(s->size, (int)(int64_t)s->n);
	return r >= 0 ? r : r == -1 ? -errno : -EPROTO;
}

static inline int run_pt_destroy(struct step *s)
{
	int r = pt_destroy(s->heap);

	return r == 0 ? 0 : r == -1 ? -errno : -EPROTO;
}

static inline int run_pt_get(struct step *s)
{
	errno = UNTOUCHED;
	self.block[s->slot] = pt_getblock(s->heap);
	if (self.block[s->slot])
		return errno == UNTOUCHED ? GOT : -EPROTO;
	return errno == UNTOUCHED ? EMPTY : -errno;
}

static inline int run_pt_free(struct step *s)
{
	errno = UNTOUCHED;
	if (s->mode)
		pt_retblock(s->heap, self.block[s->slot]);
	else
		pt_freeblock(s->heap, self.block[s->slot]);
	return errno == UNTOUCHED ? 0 : -EPROTO;
}

/* Takes all there are into the slots from s->slot on; the result is how many. */
static inline int run_pt_take_all(struct step *s)
{
	int n = 0;

	for (void *p; (p = pt_getblock(s->heap)); n++) {
		if (s->slot + n == ACTOR_BLOCKS)
			return -E2BIG;
		self.block[s->slot + n] = p;
	}
	return n;
}

static inline int run_pt_free_range(struct step *s)
{
	for (uint64_t i = 0; i < s->n; i++)
		pt_freeblock(s->heap, self.block[(uint64_t)s->slot + i]);
	return 0;
}

/*
 * The blocks in so many slots: aligned to .mode, each all its own for .size bytes (it is filled, and looked at
 * when all are filled), no two the same.
 */
static inline int run_pt_look(struct step *s)
{
	for (uint64_t i = 0; i < s->n; i++) {
		if (!self.block[i] || (uintptr_t)self.block[i] % (unsigned int)s->mode)
			return -EFAULT;
		memset(self.block[i], (int)(i % 251 + 1), s->size);
	}
	for (uint64_t i = 0; i < s->n; i++)
		for (size_t b = 0; b < s->size; b++)
			if (((uint8_t *)self.block[i])[b] != i % 251 + 1)
				return -EIO;
	return 0;
}

static inline int run_pt_zeros(struct step *s)
{
	for (uint64_t i = 0; i < s->n; i++)
		for (size_t b = 0; b < s->size; b++)
			if (((uint8_t *)self.block[i])[b])
				return -EIO;
	return 0;
}

/* ---- in the test ---- */

static inline int do_pt(struct lane *l, struct step s)
{
	return lane_run(l, s).result;
}

static inline int do_pt_create(struct lane *l, size_t size, int n)
{
	return do_pt(l, (struct step){ .run = run_pt_create, .size = size, .n = (uint64_t)(int64_t)n });
}

static inline int do_pt_destroy(struct lane *l, int ptno)
{
	return do_pt(l, (struct step){ .run = run_pt_destroy, .heap = ptno });
}

static inline int do_get(struct lane *l, int ptno, int slot)
{
	return do_pt(l, (struct step){ .run = run_pt_get, .heap = ptno, .slot = slot });
}

static inline int do_put(struct lane *l, int ptno, int slot)
{
	return do_pt(l, (struct step){ .run = run_pt_free, .heap = ptno, .slot = slot });
}

static inline int do_ret(struct lane *l, int ptno, int slot)
{
	return do_pt(l, (struct step){ .run = run_pt_free, .heap = ptno, .slot = slot, .mode = 1 });
}

static inline int do_take_all(struct lane *l, int ptno, int first)
{
	return do_pt(l, (struct step){ .run = run_pt_take_all, .heap = ptno, .slot = first });
}

static inline int do_free_range(struct lane *l, int ptno, int first, int n)
{
	return do_pt(l, (struct step){ .run = run_pt_free_range, .heap = ptno, .slot = first, .n = (uint64_t)n });
}

/* The partition as the daemon shows it: what LIST and DETAIL say. False: there is none of that number. */
struct seen {
	struct wire_entry entry;
	struct wire_detail detail;
};

static inline bool see_partition(uint32_t ptno, struct seen *seen)
{
	struct raw r = RAW_NULL;
	struct frame f;
	bool found = false;
	uint64_t cursor = 0;

	raw_open(&r);
	do {
		struct wire_target *list = frame_init(&f, OP_LIST, 0, 0, sizeof(*list));
		struct frame page;

		list->cursor = cursor;
		assert_int_equal(STATUS_OK, raw_call(&r, &f));
		page = f;
		cursor = FRAME_BODY(&page, struct wire_list)->cursor;
		for (uint32_t i = 0; i < FRAME_BODY(&page, struct wire_list)->n && !found; i++) {
			const struct wire_entry *e = &FRAME_BODY(&page, struct wire_list)->entry[i];
			struct wire_target *detail;

			if (e->kind != KIND_PARTITION)
				continue;
			detail = frame_init(&f, OP_DETAIL, 0, 0, sizeof(*detail));
			detail->heap = e->heap;
			assert_int_equal(STATUS_OK, raw_call(&r, &f));
			if (FRAME_BODY(&f, struct wire_detail)->partition.ptno != ptno)
				continue;
			found = true;
			*seen = (struct seen){ .entry = *e, .detail = *FRAME_BODY(&f, struct wire_detail) };
		}
	} while (cursor && !found);
	raw_close(&r);
	return found;
}

/* Blocks of it that are out, bad frees: as the daemon shows them now. */
static inline void expect_seen(int ptno, uint32_t n_used, uint32_t bad_frees)
{
	struct seen s;

	assert_true(see_partition((uint32_t)ptno, &s));
	assert_int_equal(n_used, s.detail.n_used);
	assert_int_equal(n_used * s.detail.partition.stride, s.entry.used);
	assert_int_equal(bad_frees, s.entry.bad_frees);
}

#endif
