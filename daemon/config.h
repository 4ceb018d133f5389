/*
 * config.h: heapd.conf, read by inih
 *
 * A config is a plain value with a default for everything. A bad file changes nothing: config_load
 * fills a fresh value or fails, having logged "FILE:LINE: what is wrong" for every bad line. The
 * keys are named as the fields below, but for what the comments say; heapd.conf(5) explains them.
 */
#ifndef HEAPD_DAEMON_CONFIG_H
#define HEAPD_DAEMON_CONFIG_H

#include <sys/queue.h>
#include <sys/types.h>
#include "common/base.h"
#include "proto/wire.h"

struct limits { /* for each user (uid); a value inside the accounts that obey it */
	uint64_t sessions;
	uint64_t heaps;
	uint64_t bytes;  /* in arenas this user created */
	uint64_t parked; /* binds and refills waiting at the daemon */
};

/*
 * [heap "GLOB"] or [heap GLOB]: first match by fnmatch gives a new heap these when its creator did
 * not say
 */
struct heap_rule {
	STAILQ_ENTRY(heap_rule) link;
	char *glob;
	bool has_mode, has_group; /* neither is a rule too: it shields names from later rules */
	mode_t mode;
	gid_t group;
};

/* What memory is made of. */
struct backing {
	uint32_t kind;      /* enum wire_backing */
	bool fallback;      /* of BACKING_HUGE: else ordinary pages; default yes */
	uint64_t huge_page; /* the same: bytes, a power of two; 0 (default): the system's */
	char *path;         /* of BACKING_DEVICE, absolute; its owner's who has the value */
};

/*
 * [region "NAME"]: memory for the multi-heap of any process that may attach it; in the file's order
 */
struct region {
	STAILQ_ENTRY(region) link;
	char name[WIRE_NAME_SIZE];
	uint64_t size;          /* bytes, > 0 */
	uint32_t attribute;     /* WIRE_CACHEABLE (default), WIRE_NON_CACHEABLE */
	struct backing backing; /* "backing = memory" (default), huge, or a path */
	bool has_group;         /* root and members of it may; default: who may create heaps */
	gid_t group;
	bool told;              /* the log has it that there were no huge pages */
};

struct config {
	/* [daemon] */
	int priority;         /* SCHED_FIFO priority; 0: none */
	bool lock_memory;     /* mlockall of the daemon itself */
	bool lock_arenas;     /* arenas locked into RAM; default yes */
	bool transparent_huge_pages; /* of arenas, where the kernel gives them who ask; default yes */
	bool io_uring;        /* default yes: use it if the kernel lets us */
	uint64_t recall_ns;   /* "recall": how long TM_NONBLOCK waits for a stopped process; default 5 ms */
	mode_t socket_mode;   /* of a socket we create; default 0666 */
	/* [heaps] */
	mode_t default_mode;  /* "mode": default 0600 */
	uint64_t max_size;    /* bytes of one heap; a multiple of HW_PAGE_SIZE */
	bool create_all;      /* "create = all" (default) or a group: who may create: everyone … */
	gid_t create_group;   /* … or root and members of this group */
	char *dma;            /* device that backs H_DMA, absolute; NULL (default): none */
	char *noncached;      /* the same for H_NONCACHED */
	STAILQ_HEAD(, heap_rule) rules;
	STAILQ_HEAD(, region) regions;
	size_t n_regions;
	/* [limits] and [limits "USER"] */
	struct limits limits; /* for users without a section of their own */
	struct user_limits *user_limits;
	size_t n_user_limits;
};

struct user_limits {
	uid_t uid;
	struct limits limits; /* what the section did not set is as in [limits] */
};

void config_init(struct config *c);   /* defaults */
void config_deinit(struct config *c); /* safe twice; leaves it as after config_init */

/* Moves a config's value: *to is initialised by it, *from is as after config_init. */
void config_move(struct config *to, struct config *from);

/*
 * *c: as after config_init; on failure still so. path NULL: the default file if it exists, else
 * defaults. 0; -EINVAL (bad lines; logged); -errno (not readable; logged). Reads the file and asks
 * NSS for users and groups, so it may block: at start and at SIGHUP, never for a client.
 */
int config_load(struct config *c, const char *path);

/* The region of that name; it belongs to c. NULL: none. Walks the regions. */
struct region *config_region(const struct config *c, const char *name);

/* The limits that hold for a user; they belong to c. Root has none (all UINT64_MAX). */
const struct limits *config_limits(const struct config *c, uid_t uid);

#endif
