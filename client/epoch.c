/*
 * epoch.c: see epoch.h
 */
#include "client/epoch.h"

#include <sys/mman.h>

static _Atomic uint64_t none;
_Atomic uint64_t *epoch_word_ = &none;

/* Not wiped: a child goes on counting where its parent was. */
static uint64_t last;

int epoch_init(void)
{
	void *page = mmap(NULL, HW_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return -ENOMEM;
	if (madvise(page, HW_PAGE_SIZE, MADV_WIPEONFORK) < 0) {
		/* Linux before 4.14: pthread_atfork alone has to do */
	}
	epoch_word_ = page;
	return 0;
}

void epoch_begin(void)
{
	atomic_store_explicit(epoch_word_, ++last, memory_order_release);
}
