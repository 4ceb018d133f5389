/*
 * wire.h: the protocol's facts
 *
 * Two SOCK_SEQPACKET sockets for each session. On the *call socket* (the one a client connects) a
 * request gets exactly one reply, in order. The *event socket* is one end of a socketpair that
 * comes with the HELLO reply: the daemon sends events on it, the client sends RETURN on it. A
 * request that cannot be answered at once is answered STATUS_PARKED and ends with one event that
 * carries its id; CANCEL on the call socket tells for sure whether that event will come.
 *
 * One frame is a header and a body of fixed layout, native byte order (both ends are one machine),
 * every field naturally aligned, padding explicit and zero. Two bodies end in an array whose
 * length a field tells. docs/protocol.md says what each message means; codec.h checks them.
 * Also here: the layouts of the two memory pages that daemon and client share for each binding.
 * Only facts: no functions but inline arithmetic.
 */
#ifndef HEAPD_PROTO_WIRE_H
#define HEAPD_PROTO_WIRE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION 1u
#define WIRE_FRAME_MAX 4096u
#define WIRE_FDS_MAX 3u
#define WIRE_NAME_MAX 63u /* bytes, without the final 0 */
#define WIRE_NAME_SIZE 64u
#define WIRE_LABEL_SIZE 32u

/* Feature bits of HELLO: each side says what it knows; both use the intersection. */
#define WIRE_FEATURE_BASE 0x1u
#define WIRE_FEATURE_KEPT 0x2u /* the session outlives the daemon: it may be resumed at the next one */

#define WIRE_REPLY 0x8000u /* or'ed to a request's op in its reply */
#define WIRE_EVENT 0x4000u

enum wire_op {
	/* call socket, client to daemon; the reply's op is the same | WIRE_REPLY */
	OP_HELLO = 1,
	OP_PING,
	OP_CREATE,
	OP_BIND,
	OP_UNBIND,
	OP_DELETE,
	OP_REFILL,
	OP_FREE,
	OP_CANCEL,
	OP_INQUIRE,
	OP_CHMOD,
	OP_LIST,
	OP_INSPECT,
	OP_BINDINGS,
	OP_WAITERS,
	OP_MAP,
	OP_STAT,
	OP_REGIONS,
	OP_DETAIL,
	OP_RESUME,
	OP_CALL_COUNT,

	/* event socket, client to daemon, no reply */
	OP_RETURN = 0x100,

	/* event socket, daemon to client */
	EV_BOUND = WIRE_EVENT | 1, /* ends CREATE and a parked BIND */
	EV_GRANT,                  /* ends a parked REFILL; id 0: pages ahead of need */
	EV_RECALL,                 /* give free pages back, answer with RETURN */
	EV_DELETED,                /* the heap was deleted */
	EV_FREE,                   /* another process freed a block of yours */
	EV_LAST
};

struct wire_header {
	uint32_t length; /* bytes of the body */
	uint16_t op;
	uint16_t n_fds;  /* fds that come with this frame */
	uint32_t id;     /* chosen by the client, not 0; events about no request: 0 */
	uint32_t status; /* enum status; requests: 0 */
};
_Static_assert(sizeof(struct wire_header) == 16, "wire layout");

#define WIRE_BODY_MAX (WIRE_FRAME_MAX - sizeof(struct wire_header))

/* A run of hardware pages of one heap. */
struct wire_run {
	uint32_t first;
	uint32_t n; /* > 0 */
};
_Static_assert(sizeof(struct wire_run) == 8, "wire layout");

/* ---- HELLO ---- */

struct wire_hello {
	uint32_t version;
	uint32_t features;
	char label[WIRE_LABEL_SIZE]; /* the program's short name, for people only; 0-terminated */
	uint64_t resume; /* 0; or the session this process had at a daemon before: STATUS_MISSING if it is not known */
};
_Static_assert(sizeof(struct wire_hello) == 48, "wire layout");

/* fds of the reply: [0] the event socket, [1] the statistics area (read-write), [2] the control
 * area (read-only) */
struct wire_welcome {
	uint32_t version;  /* the daemon's, also when status is STATUS_VERSION (then no fds, and it hangs up) */
	uint32_t features; /* the intersection */
	uint64_t session;  /* never reused while the daemon runs */
	uint64_t max_heap; /* bytes: the largest heap it creates */
	uint32_t hw_page;  /* 4096 */
	uint32_t n_slots;  /* slots of the statistics and control areas */
	char build[WIRE_LABEL_SIZE]; /* the daemon's release, for people */
};
_Static_assert(sizeof(struct wire_welcome) == 64, "wire layout");

/* ---- PING: the smallest request; a 64-byte frame each way, the body comes back as it is ---- */

struct wire_ping {
	uint8_t payload[48];
};
_Static_assert(sizeof(struct wire_ping) == 48, "wire layout");

/* ---- CREATE, BIND ---- */

/* wire_create.mode and wire_bound.mode: the H_* bits of rt_heap.h */
#define WIRE_MODE_PRIO 0x1u
#define WIRE_MODE_DMA 0x100u
#define WIRE_MODE_MAPPABLE 0x200u
#define WIRE_MODE_SINGLE 0x400u
#define WIRE_MODE_NONCACHED 0x800u
#define WIRE_MODE_ALL 0xf01u

/* what the memory is for; only shown to people, but KIND_HEAP and KIND_SEGMENT follow from mode */
enum wire_kind {
	KIND_HEAP = 1,    /* blocks: pages are granted and carved */
	KIND_SEGMENT,     /* one block: everyone maps it, nobody carves */
	KIND_PARTITION,   /* the private arenas of the other interfaces: */
	KIND_REGION,      /* one holder, mapped whole */
	KIND_POOL,
	KIND_LAST
};

/* what the memory is */
enum wire_backing {
	BACKING_MEMORY = 0, /* a memfd of ordinary pages */
	BACKING_HUGE,       /* a memfd of huge pages; sizes are multiples of one */
	BACKING_DEVICE,     /* a file or device of the configuration: never read or written unasked */
	BACKING_OWN,        /* the creator's own memory: heapd keeps only the record of it */
	BACKING_LAST
};

/* enum shared_multi_heap_attr */
#define WIRE_CACHEABLE 0u
#define WIRE_NON_CACHEABLE 1u
#define WIRE_ATTRIBUTES 2u

#define WIRE_PERM_DEFAULT UINT32_MAX /* the configured mode bits */
#define WIRE_GID_DEFAULT UINT32_MAX  /* the caller's own group */

struct wire_create {
	char name[WIRE_NAME_SIZE]; /* 0-terminated, zero-filled; empty: private to this session */
	uint64_t size;             /* bytes, > 0 */
	uint32_t mode;             /* WIRE_MODE_* */
	uint32_t kind;             /* enum wire_kind */
	uint32_t perm;             /* rw bits for user, group, others (0 .. 0666), or WIRE_PERM_DEFAULT */
	uint32_t gid;              /* a group the caller is in, or WIRE_GID_DEFAULT; root: any */
	uint32_t flags;            /* WIRE_CREATE_* */
	uint32_t pad;
};
_Static_assert(sizeof(struct wire_create) == 96, "wire layout");

#define WIRE_CREATE_UNBOUND 0x1u /* do not bind the creator (heapctl): EV_BOUND has no fds and slot UINT32_MAX */
#define WIRE_CREATE_CONFIGURED 0x2u /* KIND_REGION: name is that of a region in heapd.conf, which tells all the rest.
				       It stays the creator's alone, and the name is no heap's name */
#define WIRE_CREATE_OWN 0x4u /* KIND_REGION without a name: the creator has the memory itself, size bytes of it. The
				arena that comes is one page that nobody uses; the binding's statistics are what it is for */
#define WIRE_CREATE_AGAIN 0x8u /* sent again under its id to a new daemon: what the one before may have made of it, and
				  not told, is the answer */
#define WIRE_CREATE_ALL 0xfu

enum wire_access {
	ACCESS_READ = 1,  /* an O_RDONLY fd; no pages are granted */
	ACCESS_WRITE = 2,
	ACCESS_BEST = 3,  /* write if allowed, else read */
};

struct wire_bind {
	char name[WIRE_NAME_SIZE];
	uint32_t access;  /* enum wire_access */
	uint32_t flags;   /* WIRE_BIND_* */
	int32_t priority; /* of the thread, 0 .. 100: who waits for an H_PRIO heap is bound in this order */
	uint32_t pad;
};
_Static_assert(sizeof(struct wire_bind) == 80, "wire layout");

#define WIRE_BIND_NOWAIT 0x1u /* STATUS_MISSING instead of parking */

/* Reply to BIND and body of EV_BOUND. fds: [0] the arena. STATUS_BOUND: only heap is set, no fd. */
struct wire_bound {
	uint64_t heap;    /* the id; never reused while the daemon runs */
	uint64_t size;    /* bytes, as asked at creation */
	uint64_t usable;  /* bytes, whole hardware pages */
	uint32_t mode;
	uint32_t kind;
	uint32_t access;  /* ACCESS_READ or ACCESS_WRITE: what was given */
	uint32_t slot;    /* this binding's slot in the session's statistics and control areas */
	uint32_t n_runs;  /* pages granted at once */
	uint32_t backing; /* enum wire_backing */
	char name[WIRE_NAME_SIZE];
	struct wire_run runs[];
};
_Static_assert(sizeof(struct wire_bound) == 112, "wire layout");
#define WIRE_BOUND_RUNS_MAX ((WIRE_BODY_MAX - sizeof(struct wire_bound)) / sizeof(struct wire_run))

/* ---- requests about one heap ---- */

struct wire_heap { /* UNBIND, INQUIRE: a heap this session is bound to */
	uint64_t heap;
};

struct wire_target { /* DELETE, INSPECT, BINDINGS, WAITERS: by id, or (id 0) by name */
	uint64_t heap;
	uint64_t cursor; /* 0 first; then what the last reply said. DELETE, INSPECT: 0 */
	char name[WIRE_NAME_SIZE];
};
_Static_assert(sizeof(struct wire_target) == 80, "wire layout");

struct wire_chmod {
	uint64_t heap; /* or 0 and name */
	char name[WIRE_NAME_SIZE];
	uint32_t perm; /* or WIRE_PERM_DEFAULT: as it is */
	uint32_t uid;  /* UINT32_MAX: as it is; only root changes it */
	uint32_t gid;  /* UINT32_MAX: as it is; the owner may choose a group they are in */
	uint32_t pad;
};
_Static_assert(sizeof(struct wire_chmod) == 88, "wire layout");

/* ---- pages ---- */

#define WIRE_REFILL_AHEAD 0x1u /* not urgent: never parked, no run promised; STATUS_OK with 0 runs and a later
				  EV_GRANT with id 0 are possible */
#define WIRE_REFILL_NONBLOCK 0x2u /* someone holds TM_NONBLOCK: recall, but give up after the daemon's recall bound */

struct wire_refill {
	uint64_t heap;
	uint64_t since_ns; /* CLOCK_MONOTONIC when the thread began to wait: the order among equals */
	uint64_t size;     /* bytes the thread asked for, for people */
	uint32_t pages;    /* contiguous hardware pages that surely serve it, > 0 */
	uint32_t ahead;    /* up to so many more, anywhere, if there is plenty */
	int32_t priority;  /* real-time priority, 0 .. 100 */
	uint32_t tid;      /* the thread, for people */
	uint32_t flags;    /* WIRE_REFILL_* */
	uint32_t pad;
};
_Static_assert(sizeof(struct wire_refill) == 48, "wire layout");

/* Reply to REFILL and body of EV_GRANT. With EV_GRANT the header's status may be WOULD_BLOCK,
 * CANCELLED. */
struct wire_grant {
	uint64_t heap;
	uint32_t n_runs;
	uint32_t pad;
	struct wire_run runs[];
};
_Static_assert(sizeof(struct wire_grant) == 16, "wire layout");
#define WIRE_GRANT_RUNS_MAX ((WIRE_BODY_MAX - sizeof(struct wire_grant)) / sizeof(struct wire_run))

struct wire_recall {
	uint64_t heap;
	uint32_t seq;    /* RETURN answers with it */
	uint32_t want;   /* contiguous pages that would satisfy the most urgent request */
	uint32_t urgent; /* 1: everything wholly free (or one run of want); 0: up to want pages, at most half of what is free */
	uint32_t pad;
};
_Static_assert(sizeof(struct wire_recall) == 24, "wire layout");

/* Pages the client gives back, of its own accord (seq 0) or in answer to a recall (n_runs may be
 * 0). If they do not fit one frame, several follow; more = 1 in all but the last. */
struct wire_return {
	uint64_t heap;
	uint32_t seq;
	uint32_t n_runs;
	uint32_t more;
	uint32_t pad;
	struct wire_run runs[];
};
_Static_assert(sizeof(struct wire_return) == 24, "wire layout");
#define WIRE_RETURN_RUNS_MAX ((WIRE_BODY_MAX - sizeof(struct wire_return)) / sizeof(struct wire_run))

/*
 * What a resumed session holds of a heap, in as many frames as are needed: runs in the order of pages, each behind
 * those before. Between HELLO and the frame with END nothing else is sent. Of what the ledger has and the
 * session does not tell, pages become free and bindings end.
 */
struct wire_resume {
	uint64_t heap;  /* END: 0 */
	uint32_t n_runs;
	uint32_t flags; /* WIRE_RESUME_* */
	struct wire_run runs[];
};
_Static_assert(sizeof(struct wire_resume) == 16, "wire layout");
#define WIRE_RESUME_RUNS_MAX ((WIRE_BODY_MAX - sizeof(struct wire_resume)) / sizeof(struct wire_run))

#define WIRE_RESUME_ALL 0x1u  /* all pages that it has as far as the daemon knows; no runs */
#define WIRE_RESUME_MORE 0x2u /* another frame of this heap follows */
#define WIRE_RESUME_END 0x4u  /* that was all; heap 0, no runs */

struct wire_free { /* FREE, EV_FREE */
	uint64_t heap;
	uint64_t offset;
	uint64_t session; /* EV_FREE: whose FREE it was; FREE: 0 */
	uint32_t id;      /* and that one's id, so that one which is sent again is known; FREE: 0 */
	uint32_t pad;
};
_Static_assert(sizeof(struct wire_free) == 32, "wire layout");

struct wire_cancel {
	uint32_t id; /* of the parked request */
	uint32_t pad;
};

struct wire_deleted {
	uint64_t heap;
};

/* ---- looking ---- */

struct wire_info { /* reply to INQUIRE; over all processes */
	uint64_t size;
	uint64_t usable;
	uint64_t used;
	uint32_t n_waiters;
	uint32_t mode;
};
_Static_assert(sizeof(struct wire_info) == 32, "wire layout");

struct wire_entry { /* one heap, for people. Reply to INSPECT; LIST has several */
	uint64_t heap;
	uint64_t size;
	uint64_t usable;
	uint64_t used;       /* bytes in blocks, as the holders publish it (bounded by what they hold) */
	uint64_t high;       /* high-water mark of pages held, in bytes; of a partition, region or pool: of used */
	uint64_t granted;    /* bytes of pages held by processes */
	uint64_t created_ns; /* CLOCK_REALTIME */
	uint64_t session;    /* of the only process that may use it; 0 for a named heap */
	uint32_t mode;
	uint32_t kind;
	uint32_t perm;
	uint32_t uid;
	uint32_t gid;
	uint32_t n_bound;
	uint32_t n_waiters;  /* threads waiting for memory, as published */
	uint32_t n_parked;   /* requests for pages parked at the daemon */
	uint32_t bad_frees;
	uint32_t state;      /* enum wire_state */
	uint32_t backing;    /* enum wire_backing */
	int32_t pid;         /* of the only process that may use it; 0 for a named heap */
	char name[WIRE_NAME_SIZE]; /* of a configured region: the region's */
};
_Static_assert(sizeof(struct wire_entry) == 176, "wire layout");

struct wire_list { /* reply to LIST (request: struct wire_target with only cursor set) */
	uint64_t cursor; /* for the next call; 0: that was all */
	uint32_t n;
	uint32_t pad;
	struct wire_entry entry[];
};
_Static_assert(sizeof(struct wire_list) == 16, "wire layout");
#define WIRE_LIST_MAX ((WIRE_BODY_MAX - sizeof(struct wire_list)) / sizeof(struct wire_entry))

#define WIRE_BUCKETS 9 /* 16 .. 4096 */
#define WIRE_BUCKET_MIN 16u /* bytes of bucket 0; each next one has twice as many */

struct wire_bucket { /* the counters of the paper, for one bucket of one process */
	uint64_t calls;      /* allocations served */
	uint64_t could_free; /* frees that left a page wholly free and high_water or more blocks free without it */
	uint32_t per_page;   /* elements a page holds; 0: bucket unused */
	uint32_t pages;      /* bucket pages now */
	uint32_t free;       /* free blocks now */
	uint32_t high_water; /* the mark of free blocks: above it, a wholly free page is too much */
};
_Static_assert(sizeof(struct wire_bucket) == 32, "wire layout");

struct wire_binding { /* one process bound to the heap */
	uint64_t session;
	uint64_t granted;  /* bytes of pages it holds */
	uint64_t used;     /* bytes in blocks, as it publishes */
	uint64_t large;    /* of them in runs of whole pages */
	int32_t pid;
	uint32_t uid;
	uint32_t access;
	uint32_t n_waiters;
	uint32_t n_parked;
	uint32_t bad_frees;
	char label[WIRE_LABEL_SIZE];
	struct wire_bucket bucket[WIRE_BUCKETS];
};
_Static_assert(sizeof(struct wire_binding) == 376, "wire layout");

struct wire_bindings {
	uint64_t cursor;
	uint32_t n;
	uint32_t pad;
	struct wire_binding binding[];
};
#define WIRE_BINDINGS_MAX ((WIRE_BODY_MAX - sizeof(struct wire_bindings)) / sizeof(struct wire_binding))

struct wire_waiter { /* one waiting thread: in the statistics area, and in replies */
	uint64_t size;
	uint64_t since_ns; /* CLOCK_MONOTONIC; 0: unused */
	uint32_t tid;
	int32_t priority;
};
_Static_assert(sizeof(struct wire_waiter) == 24, "wire layout");

struct wire_waiting {
	struct wire_waiter waiter;
	int32_t pid;
	uint32_t parked; /* 1: at the daemon as well, for pages */
};
_Static_assert(sizeof(struct wire_waiting) == 32, "wire layout");

struct wire_waiters { /* in the order in which they will be served */
	uint64_t cursor;
	uint32_t n;
	uint32_t pad;
	struct wire_waiting waiting[];
};
#define WIRE_WAITERS_MAX ((WIRE_BODY_MAX - sizeof(struct wire_waiters)) / sizeof(struct wire_waiting))

struct wire_extent { /* a stretch of pages in one hand */
	uint32_t first;
	uint32_t n;
	uint64_t session; /* 0: free */
};
_Static_assert(sizeof(struct wire_extent) == 16, "wire layout");

struct wire_map { /* reply to MAP (request: wire_target, cursor = first page) */
	uint64_t cursor;
	uint32_t n;
	uint32_t pad;
	struct wire_extent extent[];
};
#define WIRE_MAP_MAX ((WIRE_BODY_MAX - sizeof(struct wire_map)) / sizeof(struct wire_extent))

/* ---- the other interfaces' objects ---- */

struct wire_region { /* one [region] of heapd.conf that the asker may have */
	char name[WIRE_NAME_SIZE];
	uint64_t size;      /* bytes */
	uint32_t attribute; /* WIRE_CACHEABLE … */
	uint32_t backing;   /* as configured: BACKING_HUGE may still become BACKING_MEMORY */
};
_Static_assert(sizeof(struct wire_region) == 80, "wire layout");

struct wire_regions { /* reply to REGIONS (request: struct wire_target with only cursor set); in the file's order */
	uint64_t cursor; /* for the next call; 0: that was all */
	uint32_t n;
	uint32_t pad;
	struct wire_region region[];
};
_Static_assert(sizeof(struct wire_regions) == 16, "wire layout");
#define WIRE_REGIONS_MAX ((WIRE_BODY_MAX - sizeof(struct wire_regions)) / sizeof(struct wire_region))

struct wire_partition {
	uint64_t block_size; /* bytes, as asked */
	uint64_t stride;     /* from one block to the next */
	uint32_t n_blocks;
	uint32_t ptno;
};
_Static_assert(sizeof(struct wire_partition) == 24, "wire layout");

struct wire_place { /* where a region stands in its process's multi-heap */
	uint64_t addr;      /* in the process */
	uint64_t size;      /* bytes that are handed out */
	uint32_t attribute;
	uint32_t order;     /* 0: tried first among those of the attribute */
};
_Static_assert(sizeof(struct wire_place) == 24, "wire layout");

/*
 * The quarters of a pool. Node 0 is the whole pool, the quarters of node i are 4 * i + 1 … 4 * i + 4;
 * the last level has 64 bytes.
 */
#define WIRE_QUARTERS 341 /* 1 + 4 + 16 + 64 + 256: 16384 bytes */
enum wire_quarter { QUARTER_NONE, QUARTER_FREE, QUARTER_SPLIT, QUARTER_USED }; /* NONE: part of a larger one */

struct wire_pool {
	uint32_t size;    /* bytes: 256, 1024, 4096 or 16384 */
	uint32_t n_used;  /* blocks */
	uint8_t quarter[WIRE_QUARTERS]; /* enum wire_quarter; a smaller pool uses the first of them */
	uint8_t pad[3];
};
_Static_assert(sizeof(struct wire_pool) == 352, "wire layout");

struct wire_detail { /* reply to DETAIL (request: struct wire_target); a heap or segment: STATUS_INVALID */
	uint64_t heap;
	uint32_t kind;   /* enum wire_kind: which of these: */
	uint32_t n_used; /* blocks in use, of a partition or pool */
	union {
		struct wire_partition partition;
		struct wire_place region;
		struct wire_pool pool;
	};
};
_Static_assert(sizeof(struct wire_detail) == 368, "wire layout");

struct wire_stat { /* the daemon's own figures */
	uint64_t uptime_ns;
	uint64_t requests;
	uint64_t events;
	uint64_t heaps;
	uint64_t heaps_total; /* ever created */
	uint64_t bytes;       /* in arenas */
	uint64_t sessions;
	uint64_t sessions_total;
	uint64_t parked_binds;
	uint64_t parked_refills;
	uint64_t recalls;
	uint64_t dropped;     /* peers dropped for what they sent */
	uint64_t commits;     /* under way now */
	uint64_t refused;     /* requests refused by a quota */
	uint32_t io_uring;    /* 1: commits go through it; 0: worker thread */
	uint32_t locked;      /* 1: arenas are locked into RAM */
	uint32_t priority;    /* the daemon's real-time priority; 0 none */
	uint32_t pid;
	char build[WIRE_LABEL_SIZE];
};
_Static_assert(sizeof(struct wire_stat) == 160, "wire layout");

/* ---- shared pages ---- */

/*
 * Two areas for each session, each n_slots slots; binding k uses slot k of both.
 * Control: written by the daemon only, the client has it read-only.
 * Statistics: written by the client, read by the daemon with pread and never believed.
 */
enum wire_state { STATE_LIVE = 1, STATE_COMMITTING, STATE_DELETED };

struct wire_control {
	_Atomic uint32_t state;   /* enum wire_state; 0: slot unused */
	_Atomic uint32_t pressed; /* parked requests that a page given back may serve: those of other sessions, and one's
				     own for runs of pages while others hold some. While > 0: give whole free pages
				     back at once */
	_Atomic uint32_t n_bound; /* processes bound to the heap for writing */
	uint32_t pad[13];
};
_Static_assert(sizeof(struct wire_control) == 64, "a cache line each");

/*
 * The blocks of a partition that nobody has: a stack of block numbers, changed by the client as one
 * 16-byte value. The links are elsewhere, private to the client; the daemon looks at n_free alone.
 */
struct wire_vacant {
	uint64_t tag;    /* another one after each change */
	uint32_t top;
	uint32_t n_free;
};
_Static_assert(sizeof(struct wire_vacant) == 16, "one exchange");

#define WIRE_STATS_WAITERS 16

struct wire_stats {
	uint64_t used;      /* bytes in handed-out blocks; a partition's are told by .vacant */
	uint64_t large;     /* of them in page runs */
	uint64_t high;      /* high-water mark of used */
	uint32_t n_waiters;
	uint32_t bad_frees;
	union {
		struct { /* heaps and regions */
			struct wire_bucket bucket[WIRE_BUCKETS];
			struct wire_waiter waiter[WIRE_STATS_WAITERS]; /* the first ones in order */
		};
		struct wire_partition partition;
		struct wire_pool pool;
	};
	struct wire_place place; /* of a region */
	uint32_t n_cpus;         /* of a heap or partition: CPUs that may have blocks at hand (wire_heads); 0: none has */
	uint8_t pad[1024 - 32 - WIRE_BUCKETS * 32 - WIRE_STATS_WAITERS * 24 - 24 - 4 - 16];
	struct wire_vacant vacant; /* of a partition, in a cache line of its own */
};
_Static_assert(sizeof(struct wire_stats) == 1024, "four a page");
_Static_assert(offsetof(struct wire_stats, vacant) == 1008, "aligned for a 16-byte exchange");

#define WIRE_SLOTS 16384u

/*
 * Behind its slots the statistics area has for each of them the *heads* of the arrays in which CPUs have free
 * blocks at hand: those of a heap by bucket, those of a partition under any kind. What a client publishes
 * elsewhere counts them as blocks in use; the daemon takes them off. Sparse: a binding costs what its CPUs need.
 */
#define WIRE_HEADS_KINDS 16u
#define WIRE_HEADS_CPUS 256u /* more CPUs: no blocks at hand */

struct wire_heads { /* of one CPU */
	_Atomic uint64_t head[WIRE_HEADS_KINDS];
};
_Static_assert(sizeof(struct wire_heads) == 128, "two cache lines, that a CPU has for itself");

#define WIRE_HEAD_COUNT(head) ((uint32_t)((head) & 0xffff)) /* a partition's; above it a version: the client's business */
#define WIRE_RING_STEP 4u /* a heap's: what was given less what was taken, each block so much */
#define WIRE_RING_COUNT(head) (((uint32_t)(head) - (uint32_t)((head) >> 32)) / WIRE_RING_STEP)

/* How they lie: proto/heads.h. */
#define WIRE_HEADS_BEGIN ((uint64_t)WIRE_SLOTS * sizeof(struct wire_stats))
#define WIRE_HEADS_PLACE_MIN 512u /* bytes: four CPUs */

#endif
