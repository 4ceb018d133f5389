/*
 * test_ledger.c: the ledger is valid, and says before or after, behind each of its stores
 *
 * ledger_store32 and its kin are replaced: after every store the whole file is audited, as it would
 * be by a daemon that starts in that moment, and compared with a model. The changes themselves are
 * those that a heap makes: runs given and taken in any order, bindings coming and going.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <sys/mman.h>

#include "daemon/ledger.h"
#include "daemon/ledger_store.h"
#include "proto/status.h"

#define PAGES 40u
#define HOLDERS 3u

void __real_ledger_store32(_Atomic uint32_t *at, uint32_t value);
void __real_ledger_store64(_Atomic uint64_t *at, uint64_t value);
void __real_ledger_write(void *at, const void *from, size_t n);
void __wrap_ledger_store32(_Atomic uint32_t *at, uint32_t value);
void __wrap_ledger_store64(_Atomic uint64_t *at, uint64_t value);
void __wrap_ledger_write(void *at, const void *from, size_t n);

static void (*after)(void); /* each store; NULL: nothing */
static unsigned n_stores;

static void stored(void)
{
	n_stores++;
	if (after)
		after();
}

void __wrap_ledger_store32(_Atomic uint32_t *at, uint32_t value)
{
	__real_ledger_store32(at, value);
	stored();
}

void __wrap_ledger_store64(_Atomic uint64_t *at, uint64_t value)
{
	__real_ledger_store64(at, value);
	stored();
}

/* Byte by byte: a crash may come between any two. */
void __wrap_ledger_write(void *at, const void *from, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		__real_ledger_write((char *)at + i, (const char *)from + i, 1);
		if (i % 16 == 7)
			stored();
	}
}

/* ---- a heap with some bindings ---- */

static struct ledger *ledger;
static uint32_t heap, unit, binding[HOLDERS];
static uint32_t owner[PAGES]; /* the model: 0 free, else holder + 1 */
static uint32_t before[PAGES]; /* the same, as the change that is under way found it */

static void audit(void)
{
	const char *why = "";

	if (ledger_check(ledger->header, ledger->bytes, &why) < 0)
		fail_msg("behind store %u: %s", n_stores, why);
}

static uint32_t holder_in_file(uint32_t page)
{
	const _Atomic uint32_t *words = ledger_words(ledger, unit);
	uint32_t word;

	while (!(word = atomic_load(&words[page])))
		page--;
	for (uint32_t i = 0; i < HOLDERS; i++)
		if (word == ledger_owner(binding[i]))
			return i + 1;
	assert_int_equal(LEDGER_FREE, word);
	return 0;
}

static void before_or_after(void)
{
	bool is_before = true, is_after = true;

	audit();
	for (uint32_t page = 0; page < PAGES; page++) {
		uint32_t holder = holder_in_file(page);

		is_before = is_before && holder == before[page];
		is_after = is_after && holder == owner[page];
	}
	assert_true(is_before || is_after);
}

static void open_ledger(void)
{
	struct ledger_heap h = {.id = 5,
				.size = PAGES * HW_PAGE_SIZE,
				.kind = KIND_HEAP,
				.n_pages = PAGES,
				.name = "pool"};
	struct ledger_session s = {.pid = 77, .id = 9, .label = "test"};

	after = NULL;
	n_stores = 0;
	memset(owner, 0, sizeof(owner));
	assert_int_equal(0, ledger_new(&ledger));
	after = audit;
	ledger_set_last(ledger, 5, 9);
	assert_int_equal(0, ledger_take_session(ledger, &heap));
	ledger_put_session(ledger, heap, &s);
	assert_int_equal(0, ledger_take_heap(ledger, &heap));
	assert_int_equal(0, ledger_take_window(ledger, PAGES, &unit));
	assert_int_equal(0, ledger_back_units(ledger, unit, ledger_units(PAGES)));
	ledger_words_init(ledger, unit);
	h.unit = unit;
	ledger_put_heap(ledger, heap, &h, LEDGER_CREATING);
	ledger_set_state(ledger, heap, LEDGER_LIVE);
	for (uint32_t i = 0; i < HOLDERS; i++) {
		struct ledger_binding b = {.access = ACCESS_WRITE, .slot = i, .heap = 5, .session = 9};

		assert_int_equal(0, ledger_take_binding(ledger, &binding[i]));
		ledger_put_binding(ledger, binding[i], &b);
	}
}

static uint32_t code(uint32_t holder)
{
	return holder ? ledger_owner(binding[holder - 1]) : LEDGER_FREE;
}

static void move(uint32_t first, uint32_t n, uint32_t to)
{
	uint32_t from = owner[first], stores = n_stores;

	memcpy(before, owner, sizeof(before));
	for (uint32_t i = 0; i < n; i++)
		owner[first + i] = to;
	ledger_assign(ledger_words(ledger, unit), first, n, code(from), code(to),
		      first ? code(owner[first - 1]) : 0,
		      first + n < PAGES ? code(owner[first + n]) : 0);
	assert_true(n_stores - stores <= 3);
	before_or_after();
	memcpy(before, owner, sizeof(before));
	before_or_after(); /* it is after, by now */
}

static void pages_change_hands(void **state)
{
	uint32_t seed = 1;

	(void)state;
	open_ledger();
	memcpy(before, owner, sizeof(before));
	after = before_or_after;
	for (int round = 0; round < 3000; round++) {
		uint32_t first, n = 1, most, to;

		seed = seed * 1664525u + 1013904223u;
		first = (seed >> 8) % PAGES;
		while (first + n < PAGES && owner[first + n] == owner[first])
			n++;
		most = n;
		n = 1 + (seed >> 20) % most;
		to = owner[first] ? 0 : 1 + (seed >> 16) % HOLDERS;
		move(first, n, to);
	}
	after = NULL;
	ledger_free(ledger);
}

/* The map is as short as it can be, whatever happened: nothing grows with history. */
static void the_map_stays_short(void **state)
{
	const _Atomic uint32_t *words;
	uint32_t n = 0;

	(void)state;
	open_ledger();
	after = NULL;
	for (uint32_t i = 0; i < PAGES; i += 2)
		move(i, 1, 1);
	for (uint32_t i = 1; i < PAGES; i += 2)
		move(i, 1, 1);
	for (uint32_t i = PAGES; i > 0; i--)
		move(i - 1, 1, 0);
	words = ledger_words(ledger, unit);
	for (uint32_t i = 0; i < PAGES; i++)
		n += atomic_load(&words[i]) != 0;
	assert_int_equal(1, n);
	ledger_free(ledger);
}

/* Another daemon reads what this one wrote, and knows which numbers are free. */
static void read_again(void **state)
{
	const char *why = "";
	struct ledger *l;
	uint32_t i;
	int fd;

	(void)state;
	open_ledger();
	move(3, 5, 2);
	ledger_drop_binding(ledger, binding[2]);
	fd = dup(ledger->fd);
	assert_int_equal(0, ledger_open_take(&l, fd, &why));
	assert_string_equal("pool", ledger_heap(l, heap)->name);
	assert_int_equal(LEDGER_LIVE, atomic_load(&ledger_heap(l, heap)->state));
	assert_int_equal(5, atomic_load(&l->header->last_heap));
	assert_int_equal(9, atomic_load(&l->header->last_session));
	assert_int_equal(0, ledger_take_binding(l, &i));
	assert_int_equal(binding[2], i);
	assert_int_equal(0, ledger_take_heap(l, &i));
	assert_int_not_equal(heap, i);
	assert_int_equal(0, ledger_take_window(l, 1, &i));
	assert_int_not_equal(unit, i);
	ledger_free(l);
	after = NULL;
	ledger_free(ledger);
}

static void rights_change_at_once(void **state)
{
	const struct ledger_rights rights = {.perm = 0660, .uid = 1000, .gid = 100};
	const struct ledger_heap *h;

	(void)state;
	open_ledger();
	h = ledger_heap(ledger, heap);
	ledger_set_rights(ledger, heap, &rights);
	assert_int_equal(1, atomic_load(&h->rights_in));
	assert_int_equal(1000, h->rights[1].uid);
	assert_int_equal(0, h->rights[0].uid);
	ledger_set_rights(ledger, heap, &rights);
	assert_int_equal(0, atomic_load(&h->rights_in));
	after = NULL;
	ledger_free(ledger);
}

static void tables_fill_up(void **state)
{
	uint32_t i, n = 0, last = 0;

	(void)state;
	open_ledger();
	after = NULL;
	while (ledger_take_session(ledger, &i) == 0) {
		last = i;
		n++;
	}
	assert_int_equal(LEDGER_SESSIONS - 1, n); /* one was taken */
	assert_int_equal(STATUS_QUOTA, ledger_take_session(ledger, &i));
	ledger_give_session(ledger, last);
	assert_int_equal(0, ledger_take_session(ledger, &i));
	assert_int_equal(last, i);
	assert_int_equal(STATUS_QUOTA,
			 ledger_take_window(ledger, LEDGER_UNITS * (uint32_t)LEDGER_UNIT_PAGES, &i));
	ledger_free(ledger);
}

/* ---- damage ---- */

/* Every byte that means something, wrong in some way: found, or harmless; never a crash. */
static void damaged(void **state)
{
	struct ledger_heap *h;
	const char *why = NULL;
	uint64_t size;

	(void)state;
	open_ledger();
	after = NULL;
	h = ledger_heap(ledger, heap);
	size = ledger->bytes;
#define BAD(lvalue, value) \
	do { \
		__typeof__(lvalue) *at_ = &(lvalue), old_ = *at_; \
		*at_ = (value); \
		why = NULL; \
		assert_int_equal(-EUCLEAN, ledger_check(ledger->header, size, &why)); \
		assert_non_null(why); \
		*at_ = old_; \
		assert_int_equal(0, ledger_check(ledger->header, size, &why)); \
	} while (0)
	BAD(ledger->header->magic, 0);
	BAD(ledger->header->version, LEDGER_VERSION + 1);
	BAD(ledger->header->n_heaps, UINT32_MAX);
	BAD(ledger->header->n_sessions, 0);
	BAD(ledger->header->n_bindings, UINT32_MAX);
	BAD(ledger->header->n_units, UINT32_MAX);
	BAD(ledger->header->heap_size, 8);
	BAD(ledger->header->session_size, 0);
	BAD(ledger->header->binding_size, 33);
	BAD(ledger->header->heaps_at, 0);
	BAD(ledger->header->sessions_at, UINT64_MAX);
	BAD(ledger->header->bindings_at, 8);
	BAD(ledger->header->units_at, ledger->bytes + HW_PAGE_SIZE);
	BAD(ledger->header->last_heap, 4);
	BAD(ledger->header->last_session, 8);
	BAD(ledger->header->backed[1], UINT32_MAX);
	BAD(h->state, LEDGER_STATES);
	BAD(h->id, 0);
	BAD(h->size, 0);
	BAD(h->size, PAGES * HW_PAGE_SIZE + 1);
	BAD(h->n_pages, 0);
	BAD(h->n_pages, UINT32_MAX);
	BAD(h->kind, KIND_LAST);
	BAD(h->mode, UINT32_MAX);
	BAD(h->backing, BACKING_LAST);
	BAD(h->rights_in, 2);
	BAD(h->unit, LEDGER_UNITS);
	BAD(ledger_binding(ledger, binding[0])->heap, 6);
	BAD(ledger_binding(ledger, binding[0])->slot, WIRE_SLOTS);
	BAD(ledger_binding(ledger, binding[0])->access, 0);
	BAD(*ledger_words(ledger, unit), 0);
	BAD(*ledger_words(ledger, unit), UINT32_MAX);
	memset(h->name, 'x', sizeof(h->name));
	assert_int_equal(-EUCLEAN, ledger_check(ledger->header, size, &why));
	assert_int_equal(-EUCLEAN, ledger_check(ledger->header, 100, &why));
	ledger_free(ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_change_hands), cmocka_unit_test(the_map_stays_short),
		cmocka_unit_test(read_again),         cmocka_unit_test(rights_change_at_once),
		cmocka_unit_test(tables_fill_up),     cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
