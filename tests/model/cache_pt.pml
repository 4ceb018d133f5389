/*
 * cache_pt.pml: the closing of the CPUs' caches of a partition
 *
 * Model: NB blocks, a stack of them, and before it a gate and NROW rows of MAX blocks: each CPU works on one, the
 * others are loose and change hands. NT threads take and give; one more may close the partition and open it again
 * (pt_destroy, pt_create). client/blocks.c and client/magazines.c: README.md maps them.
 *
 * A sequence: it marks its CPU, reads gate and row in steps of their own, and its last store happens only if the
 * mark is still there. Whatever may interrupt it takes the mark away: a sequence of another thread (or handler) on
 * that CPU, and the barrier, on all CPUs. What x86 lets others see late is the store of a head that
 * a sequence ends with: `cur` is what its CPU sees, `vis` what the others do. It becomes visible at any time
 * later, at the latest with the next sequence there, a locked instruction of its thread, when that leaves the CPU, or at the
 * barrier. One head is under way for a CPU, not several; the entry is visible before its head.
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
#ifndef NROW
#define NROW 3
#endif
#define MAX 1 /* entries in a row */
#define SOME 1 /* set of the loose rows that have entries, */
#define BARE 2 /* … and of those that have none */
#define NONE 15
#define IS_OPEN (gate == 0 && !resident)
/* What a thread on CPU c sees of a head. */
#define COUNT(c, row) (under_way[c] == row -> cur[row] : vis[row])
#define VERSION(c, row) (under_way[c] == row -> curv[row] : visv[row])
#ifdef HOLD_CLOSES /* as if a barrier had been run behind a gate that is held */
bool held;
#define IS_HELD held
#define HELD(is) held = is
#else
#define IS_HELD false
#define HELD(is) skip
#endif
#define KLOSER NT /* the thread that destroys */

/* struct magazines */
byte gate_serial = 1;      /* the gate: of which opening the rows are, */
byte gate;                 /* … how many closers keep it shut, */
bool resident;             /* … and that it stays shut when they have gone */
byte current[NCPU];        /* rows that the CPUs work on */
byte loose[NROW];          /* the set that a row is in; 0: none, somebody has it */
byte cur[NROW], vis[NROW]; /* heads: counts */
byte curv[NROW], visv[NROW]; /* … and versions */
byte entry[NROW * MAX];
byte under_way[NCPU];      /* the row whose head only that CPU knows yet; NONE */
bool giving[NCPU];         /* … and it is a give */
byte inseq[NCPU];          /* whose sequence runs there */
/* struct blocks */
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
	:: under_way[c] != NONE ->
		avail = avail + (giving[c] -> 1 : 0);
		vis[under_way[c]] = cur[under_way[c]];
		visv[under_way[c]] = curv[under_way[c]];
		under_way[c] = NONE;
		giving[c] = false
	:: else
	fi
}

/* The last store of a sequence. */
inline store_head(c, row, count, is_give) {
	flush(c);
	assert(cur[row] == vis[row] && curv[row] == visv[row]);
	cur[row] = count;
	curv[row]++;
	under_way[c] = row;
	giving[c] = is_give
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
#define LOOK_AT_GATE(me, c) \
	atomic { shut = !IS_OPEN; inseq[c] = NONE } \
	inseq[c] = me
#else
#define LOOK_AT_GATE(me, c) shut = !IS_OPEN
#endif

/* The block, or NONE: this CPU's row has none, the gate is shut, or it was interrupted. */
inline rseq_take_row(me, c, b) {
	begin_sequence(me, c);
	LOOK_AT_GATE(me, c);
	if
	:: shut
	:: else ->
		d_step {
			row = current[c];
			n = COUNT(c, row);
			b = NONE;
			if :: n > 0 -> b = entry[row * MAX + n - 1] :: else fi
		}
		if
		:: n == 0
		:: else ->
			d_step {
				if
				:: inseq[c] == me ->
					store_head(c, row, n - 1, false);
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
	d_step { row = 0; end_sequence(me, c) }
}

inline rseq_give_row(me, c, b, done) {
	done = false;
	begin_sequence(me, c);
	LOOK_AT_GATE(me, c);
	if
	:: shut
	:: else ->
		d_step { /* the entry: nobody looks at it before the head says so */
			row = current[c];
			n = COUNT(c, row);
			if :: inseq[c] == me && n < MAX -> entry[row * MAX + n] = b :: else fi
		}
		if
		:: n >= MAX
		:: else ->
			d_step {
				if
				:: inseq[c] == me ->
					store_head(c, row, n + 1, true);
					owner[b] = NONE;
					out--;
					done = true
				:: else
				fi
			}
		fi
	fi;
	d_step { row = 0; end_sequence(me, c) }
}

/* ---- client/magazines.c ---- */

/* change(): this CPU works on a row of set, and the one that it had becomes loose. */
inline change(me, c, set) {
	if
	:: !IS_OPEN
	:: else ->
		d_step { /* set_take() */
			row = NONE;
			for (k : 0 .. NROW - 1) { if :: loose[k] == set -> row = k :: else fi }
			k = 0;
			if :: row != NONE -> flush(c); loose[row] = 0 :: else fi
		}
		if
		:: row == NONE
		:: else ->
#ifdef LOOSE_FIRST
			n = current[c];
			loose[n] = (COUNT(c, n) > 0 -> SOME : BARE);
#endif
			begin_sequence(me, c);
			LOOK_AT_GATE(me, c);
			if
			:: shut
			:: else ->
				n = current[c];
				d_step {
					if
					:: inseq[c] == me ->
						current[c] = row;
						row = n
					:: else
					fi
				}
			fi;
			d_step { end_sequence(me, c) }
#ifndef LOOSE_FIRST
			n = COUNT(c, row); /* make_loose(), of the one that it had; or of the same again */
			d_step {
				flush(c);
				loose[row] = (n > 0 -> SOME : BARE);
				n = 0
			}
#endif
		fi;
		atomic { row = 0; n = 0 }
	fi
}

inline close_gate(c) {
	atomic { flush(c); shut = resident || IS_HELD; gate++ }
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

/* magazines_hold, and its end: who exchanges a word that a give to a row might write again (give_pt.pml) keeps gives away. No barrier. */
inline hold_gate(c) {
	d_step { flush(c); gate++; HELD(true) }
	HELD(false);
	leave_gate(c, false)
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
	:: k == NROW -> break
	:: else ->
		d_step {
			n = COUNT(c, k);
			v = VERSION(c, k);
			if :: n > 0 -> b = entry[k * MAX + n - 1] :: else fi
		}
		if
		:: n == 0 -> k++
		:: else ->
			if :: gate_serial != mine -> b = NONE; break :: else fi;
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

/* nothing: every head says 0; sum of the versions. The thread may run anywhere by now. */
inline look(c, sum, nothing) {
	atomic { if :: true :: flush(c); c = 1 - c fi; k = 0; sum = 0; nothing = true }
	do
	:: k == NROW -> break
	:: else ->
		d_step {
			if :: COUNT(c, k) > 0 -> nothing = false :: else fi;
			sum = sum + VERSION(c, k);
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
		rseq_take_row(me, c, b);
		if
		:: b == NONE -> change(me, c, SOME); rseq_take_row(me, c, b)
		:: else
		fi;
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
	rseq_give_row(me, c, b, done);
	if
	:: !done ->
		if :: true -> hold_gate(c) :: true fi; /* whether its word is such a one */
		change(me, c, BARE);
		rseq_give_row(me, c, b, done)
	:: else
	fi;
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
	byte c, b = NONE, r, n, v, k, row, sum, again, t, mine, i;
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
		:: k == NROW -> break
		:: else -> d_step { n = n + COUNT(c, k); k++ }
		od;
		k = 0;
		if
		:: n != NB ->
			if
			:: tag == t ->
				assert(saw_out[KLOSER]);
				r = BUSY;
				break
			:: else
			fi
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
		d_step { gate_serial = 0; resident = true }
		do
		:: k == NROW -> break
		:: else -> d_step { cur[k] = 0; vis[k] = 0; curv[k]++; visv[k]++; k++ }
		od;
		k = 0;
		leave_gate(c, false);
		d_step { fill(); tag++; closed = false }
		serial = 2;
		d_step { gate_serial = 2; resident = true }
		open_gate(c)
	fi;
	n_ended++
}

/* What is under way comes to be seen some time. */
active proctype memory() {
end:
	do
	:: d_step { under_way[0] != NONE -> flush(0) }
	:: d_step { under_way[1] != NONE -> flush(1) }
	od
}

init {
	byte n, k;
	byte seen[NB];

	atomic {
		for (n : 0 .. NB - 1) { owner[n] = NONE }
		for (n : 0 .. NCPU - 1) { inseq[n] = NONE; under_way[n] = NONE; current[n] = n }
		k = 0;
		avail = NB;
		for (n : 0 .. NB - 1) { /* each is anywhere */
			if
			:: stack[n_free] = n; n_free++
			:: k < NROW -> entry[k * MAX] = n; cur[k] = 1; vis[k] = 1; k++
			:: k + 1 < NROW -> k++; entry[k * MAX] = n; cur[k] = 1; vis[k] = 1; k++
			:: n < NT -> owner[n] = n; avail--; out++
			fi
		}
		for (n : NCPU .. NROW - 1) { loose[n] = (cur[n] > 0 -> SOME : BARE) }
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
		for (k : 0 .. NROW - 1) {
			for (n : 1 .. cur[k]) { seen[entry[k * MAX + n - 1]]++ }
		}
		for (n : 0 .. NB - 1) { assert(seen[n] == 1) }
	}
}
