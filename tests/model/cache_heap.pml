/*
 * cache_heap.pml: the closing of the CPUs' caches of a heap
 *
 * Model: NB blocks of one size, an allocator and a queue of waiters under one lock, and in front of them an array for each
 * CPU, worked by sequences while the gate is open. An alloc is a sequence of two stores (a block out of the array; its mark set), so
 * is a free (its mark taken; the block into the array). A thread that is interrupted between the two has a
 * block in its hands, and knows it: it is its own (alloc), or goes back through the lock (free). Whoever must see every block shuts the gate under the lock,
 * runs the barrier and empties all arrays. A heap may end, and its structure become another heap's, under
 * a thread that comes late (-DREUSE). client/hand.c, client/heap_fast.h, client/heap_alloc.c: README.md maps them.
 *
 * Sequences are as in cache_pt.pml. Store buffers are left out: whatever one CPU does in an array another one sees
 * only behind the barrier, or behind a lock that the first has given. A critical section is one step, but where it runs the barrier.
 *
 * Proven: a block has one owner; none is lost; nobody waits for ever; while somebody waits no block is at hand; who is
 * told "would block" was in the call when no block was free, or when one was in the hands of a thread that got it; and a
 * thread with a descriptor of a heap that has ended touches nothing of the next one.
 */
#ifndef NB
#define NB 1
#endif
#ifndef OPS
#define OPS 1
#endif
#if INSTANCE == 1 /* who waits */
#define NT 2
#define THREADS run thread(0, FOREVER); run thread(1, FOREVER);
#elif INSTANCE == 2
#define NT 2
#define THREADS run thread(0, FOREVER); run thread(1, BRIEF);
#elif INSTANCE == 3
#define NT 3
#define THREADS run thread(0, FOREVER); run thread(1, FOREVER); run thread(2, BRIEF);
#elif INSTANCE == 4
#define NT 3
#define THREADS run thread(0, BRIEF); run thread(1, BRIEF); run thread(2, BRIEF);
#elif INSTANCE == 6
#define NT 2
#define THREADS run thread(0, BRIEF); run thread(1, BRIEF);
#elif INSTANCE == 5
#define NT 3
#define THREADS run thread(0, FOREVER); run thread(1, FOREVER); run thread(2, FOREVER);
#endif
#define NCPU 2
#define NONE 15
#define FOREVER 0
#define BRIEF 1

#define OK 0
#define WOULD_BLOCK 1
#define STALE 2

/* struct hand */
byte gate;                 /* 0: shut; else which heap's it is */
byte count[NCPU], slot[NCPU * NB];
byte mark[NB];             /* whose heap's block it is that somebody has; 0: nobody has it */
byte inseq[NCPU];
/* struct heap */
byte serial = 1;           /* which heap this is: its descriptors' */
bool lock;
byte n_free, vacant[NB];   /* the bucket allocator */
bool queued[NT], done[NT];
byte got[NT], since[NT], clock;
/* ghosts */
byte owner[NB];            /* from the end of the alloc to the begin of the free */
byte n_out;                /* blocks that are out, or on their way back */
bool saw_none[NT], blamed[NT], holds[NT];
byte n_ended;
hidden byte j, best;

#define CHECK_ALL_OUT() \
	if :: n_out == NB -> for (j : 0 .. NT - 1) { saw_none[j] = true } j = 0 :: else fi

#define END_FREE() \
	if :: frees -> n_out--; frees = false :: else fi

/* ---- sequences ---- */

inline begin_sequence(me) { atomic { if :: c = 0 :: c = 1 fi; inseq[c] = me } }

inline end_sequence(me) { if :: inseq[c] == me -> inseq[c] = NONE :: else fi }

#ifdef GATE_OF_ALL /* one value for every heap */
#define IS_OPEN (gate != 0)
#else
#define IS_OPEN (gate == mine)
#endif
#ifdef GATE_OUTSIDE
#define LOOK_AT_GATE(me) \
	atomic { ok = IS_OPEN; inseq[c] = NONE } \
	inseq[c] = me
#else
#define LOOK_AT_GATE(me) ok = IS_OPEN
#endif

/* rseq_alloc(). ok: b is the thread's; else b: a block in its hands, or NONE */
inline take(me) {
	begin_sequence(me);
	LOOK_AT_GATE(me);
	if
	:: ok ->
		d_step {
			n = count[c];
			ok = n > 0;
			if :: ok -> b = slot[c * NB + n - 1] :: else fi
		}
		d_step {
			ok = ok && inseq[c] == me;
			if :: ok -> count[c] = n - 1; holds[me] = true; blamed[me] = false :: else -> b = NONE fi;
			n = 0
		}
		if
		:: ok ->
			d_step {
				ok = inseq[c] == me;
				if
				:: ok ->
					assert(mark[b] == 0 && owner[b] == NONE && serial == mine);
					mark[b] = mine;
					owner[b] = me;
					holds[me] = false;
					n_out++;
					CHECK_ALL_OUT()
				:: else
				fi
			}
		:: else
		fi
	:: else
	fi;
	d_step { end_sequence(me) }
}

/* The store that ends a sequence which puts b into the array. */
inline put_in(me) {
	d_step {
		n = count[c];
		if :: inseq[c] == me -> slot[c * NB + n] = b :: else fi
	}
	d_step {
		ok = inseq[c] == me;
		if :: ok -> count[c] = n + 1; END_FREE() :: else fi;
		n = 0
	}
}

/* rseq_free(). ok: done; else frees: b is in its hands */
inline give(me) {
	begin_sequence(me);
	LOOK_AT_GATE(me);
	if
	:: ok ->
		ok = mark[b] != 0;
		d_step {
			ok = ok && inseq[c] == me;
			if
			:: ok ->
				assert(serial == mine && owner[b] == me);
				mark[b] = 0;
				owner[b] = NONE;
				frees = true
			:: else
			fi
		}
		if
		:: ok -> put_in(me)
		:: else
		fi
	:: else
	fi;
	d_step { end_sequence(me) }
}

/* rseq_push() */
inline push(me) {
	begin_sequence(me);
	LOOK_AT_GATE(me);
	if
	:: ok -> put_in(me)
	:: else
	fi;
	d_step { end_sequence(me) }
}

/* ---- under the lock ---- */

#define TAKE_LOCK() atomic { !lock -> lock = true }

/* hand_shut() */
inline shut_gate() {
	if
	:: gate != 0 ->
#ifdef DRAIN_FIRST
		drain();
#endif
		gate = 0;
#ifndef NO_BARRIER
		d_step { inseq[0] = NONE; inseq[1] = NONE }
#endif
#ifndef DRAIN_FIRST
		drain()
#endif
	:: else
	fi
}

inline drain() {
	k = 0;
	do
	:: k == NCPU -> break
	:: else ->
		n = count[k]; /* plain loads and stores: the arrays are ours */
		d_step {
			for (j : 0 .. NB - 1) {
				if :: j < n -> vacant[n_free] = slot[k * NB + j]; n_free++ :: else fi
			}
			j = 0;
			count[k] = 0;
			n = 0
		}
		k++
	od;
	k = 0
}

#ifdef OPEN_ALWAYS
#define MAY_OPEN true
#else
#define MAY_OPEN (first == NT)
#endif

inline find_first() {
	first = NT;
	for (j : 0 .. NT - 1) {
		if
		:: queued[j] ->
			if
			:: first == NT -> first = j
			:: else -> if :: since[j] < since[first] -> first = j :: else fi
			fi
		:: else
		fi
	}
	j = 0
}

/* settle(), hand_settle(): when it has been calm, which may be so or not */
inline settle() {
	d_step { find_first() }
	if
	:: gate == 0 && MAY_OPEN -> gate = mine
	:: true
	fi;
	first = 0
}

/* heap_serve() */
inline serve() {
	do
	:: d_step {
			find_first();
			if
			:: first < NT && n_free > 0 ->
				n_free--;
				got[first] = vacant[n_free];
				vacant[n_free] = 0;
				mark[got[first]] = mine;
				assert(owner[got[first]] == NONE);
				owner[got[first]] = first;
				n_out++;
				CHECK_ALL_OUT();
				queued[first] = false
			:: else -> first = NT
			fi
		}
		if
		:: first < NT -> done[first] = true
		:: else -> break
		fi
	od;
	first = 0
}

/* heap_put(): of a block that is nobody's; put_unlock() */
inline put(me) {
	TAKE_LOCK();
	if
	:: serial == mine ->
		d_step { vacant[n_free] = b; n_free++; holds[me] = false; END_FREE() }
		settle();
		serve()
	:: else /* it has gone with its heap */
	fi;
	atomic { lock = false; b = NONE }
}

/* ---- calls ---- */

inline alloc_long(me) {
	TAKE_LOCK();
	if
	:: serial != mine -> r = STALE
	:: else ->
		if
		:: n_free == 0 -> shut_gate()
		:: else
		fi;
		if
		:: n_free > 0 ->
			d_step {
				n_free--;
				b = vacant[n_free];
				vacant[n_free] = 0;
				mark[b] = mine;
				assert(owner[b] == NONE);
				owner[b] = me;
				n_out++;
				CHECK_ALL_OUT()
			}
			settle();
			/* hand_refill(): one is a batch */
			if
			:: n_free > 0 && gate == mine ->
				d_step { n_free--; refill = vacant[n_free]; vacant[n_free] = 0 }
				d_step { refill != NONE -> b2 = b; b = refill; refill = NONE }
				push(me);
				d_step {
					if :: !ok -> vacant[n_free] = b; n_free++ :: else fi;
					b = b2;
					b2 = NONE
				}
			:: else
			fi;
			r = OK
		:: else ->
			d_step {
				if
				:: how == BRIEF ->
					r = WOULD_BLOCK;
					if
					:: !saw_none[me] -> /* blocks in hands, then, whose threads get them */
						best = 0;
						for (j : 0 .. NT - 1) { if :: holds[j] -> blamed[j] = true; best++ :: else fi }
						assert(n_out + best >= NB);
						j = 0;
						best = 0
					:: else
					fi
				:: else ->
					clock++;
					since[me] = clock;
					queued[me] = true;
					done[me] = false;
					assert(count[0] == 0 && count[1] == 0)
				fi
			}
		fi
	fi;
	lock = false;
	if
	:: how == FOREVER && r == OK && b == NONE ->
		done[me];
		d_step { b = got[me]; got[me] = 0; done[me] = false; since[me] = 0 }
	:: else
	fi
}

/*
 * The block was popped when others were still to find that there is none: so it is ours, whatever they did since.
 */
inline keep(me) {
	TAKE_LOCK();
	d_step {
		holds[me] = false;
		if
		:: serial == mine ->
			assert(mark[b] == 0 && owner[b] == NONE);
			mark[b] = mine;
			owner[b] = me;
			n_out++;
			CHECK_ALL_OUT()
		:: else -> b = NONE; r = STALE /* it has gone with its heap */
		fi
	}
	lock = false
}

inline alloc(me) {
	d_step { saw_none[me] = n_out == NB; blamed[me] = false; r = OK; b = NONE }
	take(me);
	if
#ifdef PUT_AND_ASK
	:: !ok && b != NONE -> put(me)
#else
	:: !ok && b != NONE -> keep(me)
#endif
	:: else
	fi;
	if
	:: b == NONE && r != STALE -> alloc_long(me); assert(!blamed[me] || r == OK)
	:: else
	fi
}

inline free(me) {
	give(me);
	if
	:: ok
	:: !ok && frees -> put(me)
	:: else ->
		TAKE_LOCK();
		if
		:: serial != mine
		:: else ->
			d_step {
				assert(mark[b] == mine && owner[b] == me);
				mark[b] = 0;
				owner[b] = NONE;
				n_out--;
				vacant[n_free] = b;
				n_free++
			}
			settle();
			serve()
		fi;
		lock = false
	fi;
	b = NONE
}

proctype thread(byte me; byte how) {
	byte mine = 1, b = NONE, b2 = NONE, refill = NONE, c, n, k, r, first, ops;
	bool ok, frees;

	do
	:: ops == OPS -> break
	:: else ->
		alloc(me);
		if :: b != NONE -> free(me) :: else fi;
		atomic { ops++; r = 0; ok = false; c = 0 }
	od;
	n_ended++
}

#ifdef REUSE
/* hand_end(), heap_detach(), heap_attach(), hand_begin(): nobody waits in the heap. */
proctype next_heap() {
	byte n, k;

	TAKE_LOCK();
	shut_gate();
	d_step {
		serial = 0;
		for (j : 0 .. NB - 1) { owner[j] = NONE; mark[j] = 0; vacant[j] = j }
		for (j : 0 .. NT - 1) { holds[j] = false }
		j = 0;
		n_free = NB;
		n_out = 0
	}
	serial = 2;
	gate = 2;
	/* somebody has it by now */
	d_step { count[0] = 1; slot[0] = vacant[n_free - 1]; n_free-- }
	lock = false
}
#endif

init {
	byte n;

	atomic {
		for (n : 0 .. NB - 1) {
			owner[n] = NONE;
			if
			:: vacant[n_free] = n; n_free++
			:: slot[count[0]] = n; count[0]++
			:: slot[NB + count[1]] = n; count[1]++
			fi
		}
		if :: count[0] + count[1] > 0 || true -> gate = 1 :: count[0] + count[1] == 0 -> skip fi;
		inseq[0] = NONE; inseq[1] = NONE;
		THREADS
#ifdef REUSE
		run next_heap();
#endif
		n = 0
	}
	timeout -> assert(n_ended == NT && n_free + count[0] + count[1] == NB)
}
