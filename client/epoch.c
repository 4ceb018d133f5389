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
	void *page;

	if (epoch_word_ != &none)
		return 0;
	page = mmap(NULL, HW_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return -ENOMEM;
	/* Linux before 4.14 does not know it (EINVAL): pthread_atfork alone has to do */
	if (madvise(page, HW_PAGE_SIZE, MADV_WIPEONFORK) < 0 && errno != EINVAL) {
		(void)munmap(page, HW_PAGE_SIZE);
		return -ENOMEM;
	}
	epoch_word_ = page;
	return 0;
}

void epoch_begin(void)
{
	atomic_store_explicit(epoch_word_, ++last, memory_order_release);
}
