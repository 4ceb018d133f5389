/*
 * dying.c: what makes heapd-points of heapd; see dying.h
 */
#include "tests/story/dying.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "daemon/log.h"
#include "daemon/world.h"

static struct dying *dying;

__attribute__((__constructor__)) static void map_file(void)
{
	const char *path = getenv("HEAPD_POINTS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p;

	if (fd < 0)
		return;
	p = mmap(NULL, sizeof(*dying), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		dying = p;
	close_fd(&fd);
}

void point_reached(enum point p)
{
	if (dying && atomic_load(&dying->point) == (int)p && atomic_fetch_sub(&dying->more, 1) == 0)
		(void)raise(SIGKILL);
}

static int check_kept(const struct world *w, const char **why)
{
	const struct keep *k = w->heaps.keep;
	const struct heap *h;
	int r = k ? ledger_check(k->ledger->header, k->ledger->bytes, why) : 0;

	TAILQ_FOREACH(h, &w->heaps.all, link) {
		if (!r && keep_check(k, h) < 0) {
			*why = "the ledger says otherwise than a heap's extents";
			r = -EUCLEAN;
		}
	}
	return r;
}

void point_audit(const struct world *w)
{
	const char *why = "";
	int r = world_check(w, &why);

	if (!r)
		r = check_kept(w, &why);
	if (dying)
		atomic_fetch_add(&dying->audits, 1);
	if (!r || r == -ENOMEM)
		return;
	log_error("the audit fails: %s", why);
	abort();
}
