/*
 * rt.c: see rt.h
 */
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include "daemon/log.h"
#include "daemon/rt.h"

#define BACKGROUND_NICE 5

static int raise_limit(int which, struct rlimit *l)
{
	if (getrlimit(which, l) < 0)
		return -errno;
	if (l->rlim_cur == l->rlim_max)
		return 0;
	l->rlim_cur = l->rlim_max;
	return setrlimit(which, l) < 0 ? -errno : 0;
}

void rt_raise_files(void)
{
	struct rlimit l;
	int r = raise_limit(RLIMIT_NOFILE, &l);

	if (r < 0)
		log_warning("cannot raise the limit of open files: %s", strerror(-r));
}

int rt_set_priority(int priority)
{
	const struct sched_param param = { .sched_priority = priority };
	int r;

	if (!sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param)) {
		log_info("runs at real-time priority %d", priority);
		return 0;
	}
	r = -errno;
	log_warning("cannot run at real-time priority %d: %s; it takes CAP_SYS_NICE or LimitRTPRIO=%d",
		    priority, strerror(-r), priority);
	return r;
}

void rt_background(pid_t tid)
{
	const struct sched_param none = { 0 };

	(void)sched_setscheduler(tid, SCHED_BATCH, &none);
	(void)setpriority(PRIO_PROCESS, (id_t)tid, BACKGROUND_NICE); /* one thread, on Linux */
}

/*
 * CAP_IPC_LOCK lifts the limit. Trying tells whether we have it; on fault, so no page is touched.
 */
bool rt_may_lock(void)
{
	struct rlimit l;
	bool may;
	size_t size;
	void *p;

	(void)raise_limit(RLIMIT_MEMLOCK, &l);
	if (getrlimit(RLIMIT_MEMLOCK, &l) < 0)
		return false;
	if (l.rlim_cur == RLIM_INFINITY)
		return true;
	size = (size_t)align_up(l.rlim_cur, HW_PAGE_SIZE) + HW_PAGE_SIZE;
	p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return false;
	may = !mlock2(p, size, MLOCK_ONFAULT);
	(void)munmap(p, size);
	return may;
}

/*
 * MCL_FUTURE under a limit would make a later mmap fail, in the middle of work. So it is only asked
 * for when nothing limits us.
 */
int rt_lock_memory(void)
{
	int r = rt_may_lock() ? 0 : -EPERM;

	if (!r && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		r = -errno;
	if (r < 0)
		log_warning("cannot lock the daemon's memory: %s; it takes CAP_IPC_LOCK or "
			    "LimitMEMLOCK=infinity",
			    strerror(-r));
	return r;
}
