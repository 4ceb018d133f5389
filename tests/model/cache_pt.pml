/*
 * cache_pt.pml: the closing of the CPUs' caches of a partition
 *
 * Model: NB blocks, a stack of them, an array for each CPU with a gate before them. NT threads take
 * and give; one more may close the partition (pt_destroy). client/blocks.c and client/magazines.c, step by step:
 * README.md maps them.
 *
 * A sequence: it marks its CPU, reads gate, head and slot in steps of their own, and its commit happens only if the
 * mark is still there. Whatever may interrupt it takes the mark away: a sequence of another thread (or handler) on
 * that CPU, and the barrier, on all CPUs. What x86 lets others see late is the store of a head that
 * a sequence ends with: `cur` is what its CPU sees, `vis` what the others do. It becomes visible at any time
 * later, at the latest with the next sequence there, a locked instruction of its thread, or the barrier. One head is
 * under way for a CPU, not several; the slot is visible before its head.
 * The exchange of the stack's 16 bytes with its tag is one step here: tests/pure/test_blocks_steps.c proves it.
 *
 * Proven: a block has one owner; none is lost; who is told "empty" was in the call at an instant at which no block
 * was free; who closes had all blocks back; and who finds it busy was in the call at an instant at which one was out.
 * Instants are those of memory order: a give is done when its head is visible.
 */
#ifndef NT
#define NT 3
#endif
#ifndef NB
#define NB 1
#endif
#ifndef OPS
#define OPS 1
#endif
#ifdef DESTROY
#define N_ENDED (NT + 1)
#else
#define N_ENDED NT
#endif
#define NCPU 2
#define SLOTS NB
#define NONE 15
#define IS_OPEN(mine) (gate == 0 && !resident && gate_serial == mine)
#define KLOSER NT /* the thread that destroys */

byte gate_serial = 1;      /* the gate: of which opening the arrays are, */
byte gate;                 /* … how many closers keep it shut, */
bool resident;             /* … and that it stays shut when they have gone */
byte cur[NCPU], vis[NCPU]; /* counts */
byte curv[NCPU], visv[NCPU]; /* versions */
bool giving[NCPU];         /* what is under way is a give */
byte slot[NCPU * SLOTS];
byte inseq[NCPU];          /* whose sequence runs there */
byte tag, n_free, stack[NB];
bool closed;
byte serial = 1;           /* of the opening; 0: closed */
byte n_ended;
/* ghosts */
byte owner[NB];            /* NONE: free */
byte avail;                /* free blocks, in memory order */
byte out;                  /* blocks that are out, in program order, */
byte limbo;                /* … and of them out of an array, not confirmed yet */
bool saw_empty[NT + 1], saw_out[NT + 1];
hidden byte who;

inline note_instant() {
	for (who : 0 .. NT) {
		if :: avail == 0 -> saw_empty[who] = true :: else fi;
		if :: out > 0 -> saw_out[who] = true :: else fi
	}
	who = 0
}

/* The head under way on CPU c is there for all. */
inline flush(c) {
	if
	:: cur[c] != vis[c] || curv[c] != visv[c] ->
		avail = avail + (giving[c] -> 1 : 0);
		vis[c] = cur[c];
		visv[c] = curv[c];
		giving[c] = false
	:: else
	fi
}

inline begin_call(me) {
	d_step { saw_empty[me] = avail == 0; saw_out[me] = out > 0 }
}

inline barrier() {
#ifndef NO_BARRIER
	d_step {
		flush(0); flush(1);
		inseq[0] = NONE; inseq[1] = NONE
	}
#else
	skip
#endif
}

/* ---- client/rseq.h ---- */

/* The scheduler has the thread run on any CPU from here; leaving one makes known what is under way there. */
inline begin_sequence(me, c) {
	atomic {
		if
		:: true
		:: flush(c); c = 1 - c
		fi;
		inseq[c] = me
	}
}

inline end_sequence(me, c) {
	n = 0;
	shut = false;
	if
	:: inseq[c] == me -> inseq[c] = NONE
	:: else
	fi
}

#ifdef GATE_OUTSIDE /* looked at before the sequence */
#define LOOK_AT_GATE(me, c, mine) \
	atomic { shut = !IS_OPEN(mine); inseq[c] = NONE } \
	inseq[c] = me
#else
#define LOOK_AT_GATE(me, c, mine) shut = !IS_OPEN(mine)
#endif

/* The block, or NONE: this CPU has none at hand, the gate is shut, or it was interrupted too often. */
inline rseq_take(me, c, mine, b) {
	begin_sequence(me, c);
	LOOK_AT_GATE(me, c, mine);
	if
	:: shut
	:: else ->
		d_step {
			n = cur[c];
			b = NONE;
			if :: n > 0 -> b = slot[c * SLOTS + n - 1] :: else fi
		}
		if
		:: n == 0
		:: else ->
			d_step {
				if
				:: inseq[c] == me ->
					flush(c);
					cur[c] = n - 1;
					curv[c]++;
					assert(owner[b] == NONE);
					owner[b] = me;
					avail--;
					out++;
					note_instant()
				:: else -> b = NONE
				fi
			}
		fi
	fi;
	d_step { end_sequence(me, c) }
}

inline rseq_give(me, c, mine, b, done) {
	done = false;
	begin_sequence(me, c);
	LOOK_AT_GATE(me, c, mine);
	if
	:: shut
	:: else ->
		d_step { /* the slot: nobody looks at it before the head says so */
			n = cur[c];
			if :: inseq[c] == me && n < SLOTS -> slot[c * SLOTS + n] = b :: else fi
		}
		if
		:: n >= SLOTS
		:: else ->
			d_step {
				if
				:: inseq[c] == me ->
					flush(c);
					cur[c] = n + 1;
					curv[c]++;
					giving[c] = true;
					owner[b] = NONE;
					out--;
					done = true
				:: else
				fi
			}
		fi
	fi;
	d_step { end_sequence(me, c) }
}

/* ---- client/magazines.c ---- */

inline close_gate(c) {
	atomic { flush(c); shut = resident; gate++ }
	if
	:: shut -> shut = false
	:: else -> barrier()
	fi
}

inline leave_gate(c, stays) {
	d_step {
		flush(c);
		gate--;
		resident = resident || stays
	}
}

inline open_gate(c) {
	d_step {
		if
		:: gate == 0 && resident -> flush(c); resident = false
		:: else
		fi
	}
}

/* The caller is a closer. */
inline steal(me, c, mine, b) {
	b = NONE;
	k = 0;
	do
	:: k == NCPU -> break
	:: else ->
		d_step {
			n = vis[k];
			v = visv[k];
			if :: n > 0 -> b = slot[k * SLOTS + n - 1] :: else fi
		}
		if
		:: n == 0 -> k++
		:: else ->
#ifndef NO_SERIAL
			if :: gate_serial != mine -> b = NONE; break :: else fi;
#endif
			d_step {
				flush(c);
				if
				:: cur[k] == n && curv[k] == v ->
					cur[k] = n - 1; curv[k]++;
					vis[k] = n - 1; visv[k]++;
					avail--;
					out++;
					limbo++;
					note_instant()
				:: else -> b = NONE
				fi
			}
			if :: b != NONE -> break :: else fi
		fi
	od;
	atomic { k = 0; n = 0; v = 0 }
}

/* empty: every head says 0; sum of the versions. The thread may run anywhere by now. */
inline look(c, sum, nothing) {
	atomic { if :: c = 0 :: c = 1 fi; k = 0; sum = 0; nothing = true }
	do
	:: k == NCPU -> break
	:: else ->
		d_step {
			if
			:: (k == c -> cur[k] : vis[k]) > 0 -> nothing = false
			:: else
			fi;
			sum = sum + (k == c -> curv[k] : visv[k]);
			k++
		}
		if :: !nothing -> break :: else fi
	od;
	k = 0
}

/* ---- client/blocks.c ---- */

/* r: 0 and b; EMPTY; GONE */
#define OK 0
#define EMPTY 1
#define GONE 2
#define BUSY 3

inline pop(me, c, mine, b, r) {
	d_step {
		if
		:: closed || serial != mine -> r = GONE
		:: else ->
			if
			:: n_free == 0 -> r = EMPTY
			:: else ->
				flush(c);
				n_free--;
				b = stack[n_free];
				stack[n_free] = 0;
				tag++;
				avail--;
				assert(owner[b] == NONE);
				owner[b] = me;
				out++;
				note_instant();
				r = OK
			fi
		fi
	}
}

inline take_anywhere(me, c, mine, b, r) {
	close_gate(c);
	if
	:: serial != mine -> r = GONE
	:: else ->
		steal(me, c, mine, b);
		if
		:: b == NONE -> pop(me, c, mine, b, r)
		:: else ->
			/* confirm: whoever closes must look again */
			d_step {
				flush(c);
				if
#ifndef NO_CONFIRM
				:: closed || serial != mine ->
					r = GONE;
					out--;
					b = NONE
				:: else ->
					tag++;
#else
				:: else ->
#endif
					assert(owner[b] == NONE);
					owner[b] = me;
					r = OK
				fi;
				limbo--
			}
		fi
	fi;
	leave_gate(c, r != GONE)
}

inline take_slowly(me, c, mine, b, r) {
	look(c, sum, nothing);
	if
	:: !nothing -> take_anywhere(me, c, mine, b, r)
	:: else ->
		d_step { t = tag; nothing = n_free == 0; shut = closed || serial != mine }
		if
		:: shut -> r = GONE
		:: else ->
			if
			:: nothing ->
#ifdef ONE_LOOK
				again = sum
#else
				look(c, again, nothing)
#endif
			:: else
			fi;
			if
			:: nothing && again == sum && tag == t -> r = EMPTY
			:: else -> take_anywhere(me, c, mine, b, r)
			fi
		fi;
	fi;
	atomic { sum = 0; again = 0; nothing = false; shut = false; t = 0 }
}

inline take(me, c, b, r) {
	atomic { begin_call(me); mine = serial }
	if
	:: mine == 0 -> r = GONE
	:: else ->
		rseq_take(me, c, mine, b);
		if
		:: b != NONE -> r = OK
		:: else -> pop(me, c, mine, b, r)
		fi;
		if
		:: r == EMPTY ->
			take_slowly(me, c, mine, b, r);
			assert(r != EMPTY || saw_empty[me])
		:: else
		fi
	fi;
	d_step { mine = 0; if :: r != OK -> b = NONE :: else fi }
}

/* The block is out, so this opening lasts. */
inline give(me, c, b) {
	rseq_give(me, c, serial, b, done);
	if
	:: done
	:: else ->
		d_step {
			flush(c);
			assert(n_free < NB);
			stack[n_free] = b;
			n_free++;
			tag++;
			owner[b] = NONE;
			avail++;
			out--
		}
		open_gate(c)
	fi;
	d_step { done = false; b = NONE }
}

/* Takes and gives in any order; what it has in the end it gives back. */
proctype user(byte me; byte had) {
	byte c, b = NONE, r, n, v, k, sum, again, t, mine, i;
	bool shut, nothing, done;

	do
	:: i < OPS ->
		take(me, c, b, r);
		atomic {
			i++;
			r = 0;
			if
			:: b != NONE && had == NONE -> had = b; b = NONE
			:: else
			fi
		}
		if
		:: b != NONE -> give(me, c, b)
		:: else
		fi
	:: had != NONE -> atomic { b = had; had = NONE } give(me, c, b)
	:: i == OPS && had == NONE -> break
	od;
	atomic { flush(c); n_ended++ }
}

inline fill() {
	for (n : 0 .. NB - 1) { stack[n] = n }
	n_free = NB;
	avail = NB;
	n = 0
}

/* blocks_close, and, if that went well, blocks_open: the same number again, perhaps under feet that still move. */
proctype destroyer() {
	byte c, r, n, k, t;
	bool shut;

	begin_call(KLOSER);
	close_gate(c);
	do
	:: d_step { t = tag; n = n_free }
		do
		:: k == NCPU -> break
		:: else -> d_step { n = n + vis[k]; k++ }
		od;
		k = 0;
		if
		:: n != NB ->
			assert(saw_out[KLOSER]);
			r = BUSY;
			break
		:: else ->
			d_step {
				if
				:: tag == t ->
					assert(out == limbo);
					closed = true;
					tag++
				:: else
				fi
			}
			if :: closed -> break :: else fi
		fi
	od;
	if
	:: r == BUSY -> leave_gate(c, false)
	:: else ->
		serial = 0;
		gate_serial = 0;
		do
		:: k == NCPU -> break
		:: else -> d_step { cur[k] = 0; vis[k] = 0; curv[k]++; visv[k]++; k++ }
		od;
		k = 0;
		leave_gate(c, false);
		d_step { fill(); tag++; closed = false }
		gate_serial = 2;
		d_step { /* a residence that the last opening left behind */
			if :: gate == 0 -> resident = false :: else fi
		}
		serial = 2
	fi;
	n_ended++
}

/* What is under way comes to be seen some time. */
active proctype memory() {
end:
	do
	:: d_step { cur[0] != vis[0] || curv[0] != visv[0] -> flush(0) }
	:: d_step { cur[1] != vis[1] || curv[1] != visv[1] -> flush(1) }
	od
}

init {
	byte n, k;
	byte seen[NB];

	atomic {
		for (n : 0 .. NB - 1) { owner[n] = NONE }
		for (n : 0 .. NCPU - 1) { inseq[n] = NONE }
		avail = NB;
		for (n : 0 .. NB - 1) { /* each is anywhere */
			if
			:: stack[n_free] = n; n_free++
			:: slot[cur[0]] = n; cur[0]++; vis[0]++
			:: slot[SLOTS + cur[1]] = n; cur[1]++; vis[1]++
			:: n < NT -> owner[n] = n; avail--; out++
			fi
		}
		if :: resident = true :: skip fi;
		for (n : 0 .. NT - 1) {
			run user(n, (n < NB -> (owner[n] == n -> n : NONE) : NONE))
		}
#ifdef DESTROY
		run destroyer();
#endif
		n = 0
	}
	n_ended == N_ENDED;
	d_step { /* each block is there once */
		for (n : 1 .. n_free) { seen[stack[n - 1]]++ }
		for (k : 0 .. NCPU - 1) {
			for (n : 1 .. cur[k]) { seen[slot[k * SLOTS + n - 1]]++ }
		}
		for (n : 0 .. NB - 1) { assert(seen[n] == 1) }
	}
}
