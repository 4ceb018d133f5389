/*
 * give_pt.pml: which of several gives of one block of a partition is believed
 *
 * Model: NB blocks, each with a word; a stack; a gate; NROW rows of MAX entries, one for each CPU to work on, the others loose. NT
 * threads make OPS calls each: they take a block, or give one, whoever has it. So any number of gives of one block are
 * under way at once. client/blocks_give.c and client/rseq_rows.h: README.md maps them.
 *
 * A word says that its block is out (OUT), on its way (CLAIMED), in the stack (STACK), or where it was put last: a
 * place, of an entry's index and the version of its row's head. A sequence writes entry and word, and then the head, which
 * makes it so. One that is interrupted in between has left a word that the next give to that row writes again: who
 * exchanges such a word shuts the gate meanwhile (magazines_hold), without a barrier.
 *
 * A sequence is interrupted by whoever runs on its CPU, and by a barrier. With one CPU (NCPU=1) there is no other instant than before or after,
 * so of any gives exactly one is believed. With two (NCPU=2) both may be that run in the same instant: there gives of a block
 * exclude each other, and all the rest does not.
 *
 * Proven: a give is believed only if the block is out, and refused only if at some instant of the call it was not; a
 * block is in one place. Versions do not come back here, and memory has one order (cache_pt.pml has more of that).
 */
#ifndef NT
#define NT 2
#endif
#ifndef NB
#define NB 1
#endif
#ifndef OPS
#define OPS 2
#endif
#ifndef NCPU
#define NCPU 1
#endif
#ifndef NROW
#define NROW 2
#endif
#define MAX 2
#define ENTRIES (NROW * MAX)
#define NONE 255
#define SOME 1 /* sets of loose rows */
#define BARE 2

/* Words. */
#define OUT 0
#define CLAIMED 1
#define STACK 2
#define PLACE 3 /* and above */
#ifdef NO_VERSION
#define PLACE_OF(row) (PLACE + (row) * MAX + count[row])
#else
#define PLACE_OF(row) (PLACE + ver[row] * ENTRIES + (row) * MAX + count[row])
#endif
#define INDEX(word) (((word) - PLACE) % ENTRIES)
#define ROW(word) (INDEX(word) / MAX)
#define IS_PLACE(word) ((word) >= PLACE)

/* Where a block is, for the proof. */
#define FREE 0
#define TAKEN 1
#define MOVING 2 /* out of the stack, and its word not written yet */

byte gate;
byte current[NCPU], loose[NROW];
byte count[NROW], ver[NROW];   /* heads */
byte entry[ENTRIES];           /* a block, or NONE */
byte word[NB];
byte n_stack, stack[NB];
byte inseq[NCPU];              /* whose sequence runs there */
byte giving[NB];               /* gives of it under way */
byte n_ended;
/* ghosts */
byte state[NB];
bool saw_free[NT];             /* the block of its give, at some instant */
byte gives[NT];                /* which block that is */
hidden byte who;

inline is_free(b) {
	state[b] = FREE;
	for (who : 0 .. NT - 1) {
		if :: gives[who] == b -> saw_free[who] = true :: else fi
	}
	who = 0
}

/* This thread runs: no sequence of another one is under way on its CPU. */
#define RUN inseq[c] = (inseq[c] == me -> me : NONE)

inline begin_sequence() {
	atomic {
#if NCPU > 1
		if :: true :: c = 1 - c fi;
#endif
		inseq[c] = me
	}
}

inline end_sequence() {
	d_step {
		row = 0; v = 0; n = 0;
		if :: inseq[c] == me -> inseq[c] = NONE :: else fi
	}
}

/* ---- client/rseq_rows.h ---- */

/* RSEQ_ROW_CHECK: whether the block is out, for a give to that row. */
#ifdef NO_CHECK
#define CHECK(w, b) true
#elif defined(CHECK_BELOW)
#define CHECK(w, b) (w == OUT || (IS_PLACE(w) && (INDEX(w) == row * MAX + n || entry[INDEX(w)] != b || ROW(w) == row)))
#else
#define CHECK(w, b) (w == OUT || \
	(IS_PLACE(w) && (INDEX(w) == row * MAX + n || entry[INDEX(w)] != b || \
			 (INDEX(w) > row * MAX + n && ROW(w) == row))))
#endif

inline rseq_give_row(b, done) {
	done = false;
	begin_sequence();
	if
	:: gate > 0 -> RUN
	:: else ->
		d_step { row = current[c]; n = count[row]; v = PLACE_OF(row) }
		if
		:: n >= MAX || !CHECK(word[b], b) -> RUN
		:: else ->
			d_step { if :: inseq[c] == me -> entry[row * MAX + n] = b :: else fi }
			d_step { if :: inseq[c] == me -> word[b] = v :: else fi }
			d_step {
				if
				:: inseq[c] == me ->
					assert(state[b] == TAKEN); /* believed */
					count[row] = n + 1;
					ver[row]++;
					is_free(b);
					done = true
				:: else
				fi
			}
		fi
	fi;
	end_sequence()
}

inline rseq_take_row(b) {
	b = NONE;
	begin_sequence();
	if
	:: gate > 0 -> RUN
	:: else ->
		d_step {
			row = current[c];
			n = count[row];
			if :: n > 0 -> b = entry[row * MAX + n - 1] :: else fi
		}
		if
		:: n == 0 -> RUN
		:: else ->
			d_step {
				if
				:: inseq[c] == me ->
					assert(state[b] == FREE);
					count[row] = n - 1;
					ver[row]++;
					state[b] = TAKEN
				:: else -> b = NONE
				fi
			}
		fi
	fi;
	end_sequence()
}

/* ---- client/magazines.c ---- */

inline change(set) {
	if
	:: gate > 0 -> RUN
	:: else ->
		d_step {
			RUN;
			v = NONE;
			for (k : 0 .. NROW - 1) { if :: loose[k] == set -> v = k :: else fi }
			k = 0;
			if :: v != NONE -> loose[v] = 0 :: else fi
		}
		if
		:: v == NONE -> v = 0
		:: else ->
			begin_sequence();
			if
			:: gate > 0 -> RUN
			:: else ->
				row = current[c];
				d_step {
					if
					:: inseq[c] == me -> current[c] = v; v = row
					:: else
					fi
				}
			fi;
			d_step { RUN; loose[v] = (count[v] > 0 -> SOME : BARE) }
			end_sequence()
		fi
	fi
}

/* A closer: shuts the gate, runs the barrier, takes one from any row, and leaves. */
inline gather(b) {
	d_step { RUN; gate++ }
	d_step { RUN; for (k : 0 .. NCPU - 1) { inseq[k] = NONE } k = 0 }
	d_step {
		RUN;
		b = NONE;
		for (k : 0 .. NROW - 1) {
			if
			:: b == NONE && count[k] > 0 ->
				count[k]--;
				ver[k]++;
				b = entry[k * MAX + count[k]];
				assert(state[b] == FREE);
				state[b] = TAKEN
			:: else
			fi
		}
		k = 0
	}
	d_step { RUN; gate-- }
}

/* ---- client/blocks_give.c, blocks.c ---- */

/* magazines_stands, magazines_has, magazines_is_next */
#define STANDS(w, b) (entry[INDEX(w)] == b)
#define HAS(w, b) (STANDS(w, b) && count[ROW(w)] > INDEX(w) % MAX)
#define IS_NEXT(w) (PLACE_OF(ROW(w)) == w)

/* r: whether the word became `new` (or was). */
inline exchange_word(b, new, r) {
	do
	:: d_step { RUN; old = word[b] }
#ifndef NO_HOLD
#ifndef HOLD_LATE
		d_step { RUN; holds = IS_PLACE(old) && IS_NEXT(old) }
		if :: holds -> d_step { RUN; gate++ } :: else fi;
#endif
#endif
		/* stands, then the head, then stands again */
		d_step { RUN; r = old == OUT || (IS_PLACE(old) && !STANDS(old, b)) }
		if
		:: !r && IS_PLACE(old) -> d_step { RUN; r = !HAS(old, b) }
		:: else
		fi;
#ifdef HOLD_LATE
		d_step { RUN; holds = IS_PLACE(old) && IS_NEXT(old) }
		if :: holds -> d_step { RUN; gate++ } :: else fi;
#endif
		changed = false;
		if
		:: r && old != new ->
			d_step {
				RUN;
				if
				:: word[b] != old -> changed = true
				:: else ->
					word[b] = new;
					if
					:: new == CLAIMED -> assert(state[b] == TAKEN); is_free(b) /* believed */
					:: else
					fi
				fi
			}
		:: else
		fi;
		if :: holds -> d_step { RUN; gate--; holds = false } :: else fi;
		if :: !changed -> break :: else fi
	od;
	atomic { old = 0; changed = false }
}

inline give_to_rows(b, done) {
	rseq_give_row(b, done);
	if
	:: !done -> change(BARE); rseq_give_row(b, done)
	:: else
	fi
}

inline give(b, r) {
	rseq_give_row(b, r);
	if
	:: r
	:: else ->
		d_step { RUN; old = word[b] }
		if
		:: IS_PLACE(old) && !STANDS(old, b) -> old = 0; give_to_rows(b, r)
		:: else -> old = 0
		fi;
		if
		:: r
		:: else ->
			exchange_word(b, OUT, r);
			if
			:: !r
			:: else ->
				give_to_rows(b, r);
				if
				:: r
				:: else ->
					exchange_word(b, CLAIMED, r);
					if
					:: r -> d_step { RUN; stack[n_stack] = b; n_stack++; word[b] = STACK }
					:: else
					fi
				fi
			fi
		fi
	fi
}

inline take(b) {
	rseq_take_row(b);
	if
	:: b == NONE -> change(SOME); rseq_take_row(b)
	:: else
	fi;
	if
	:: b != NONE
	:: else ->
		d_step {
			RUN;
			if
			:: n_stack > 0 -> n_stack--; b = stack[n_stack]; stack[n_stack] = 0; state[b] = MOVING
			:: else
			fi
		}
		if
		:: b != NONE -> d_step { RUN; word[b] = OUT; state[b] = TAKEN }
		:: else -> gather(b)
		fi
	fi;
	b = NONE
}

proctype user(byte me) {
	byte c, b = NONE, i, row, n, v, k, old;
	bool r, holds, changed;

	do
	:: i == OPS -> break
	:: i < OPS ->
		i++;
		if
		:: take(b)
		:: atomic {
				select (b : 0 .. NB - 1);
				NCPU == 1 || giving[b] == 0;
				giving[b]++;
				gives[me] = b;
				saw_free[me] = state[b] != TAKEN
			}
			give(b, r);
			d_step {
				assert(r || saw_free[me]); /* refused */
				giving[b]--;
				gives[me] = NONE;
				saw_free[me] = false;
				b = NONE;
				r = false
			}
		fi
	od;
	n_ended++
}

init {
	byte n, k, b;
	byte seen[NB];

	atomic {
		for (n : 0 .. ENTRIES - 1) { entry[n] = NONE }
		for (n : 0 .. NCPU - 1) { inseq[n] = NONE; current[n] = n }
		for (n : 0 .. NT - 1) { gives[n] = NONE }
		n = 0;
		do /* each block is anywhere; out, its word may be an old place */
		:: n == NB -> break
		:: else ->
			if
			:: word[n] = STACK; stack[n_stack] = n; n_stack++
			:: word[n] = OUT; state[n] = TAKEN
			:: word[n] = PLACE_OF(0); entry[count[0]] = n; ver[0]++; state[n] = TAKEN
			:: count[0] < MAX -> word[n] = PLACE_OF(0); entry[count[0]] = n; count[0]++; ver[0]++
			:: count[NROW - 1] < MAX && NROW > 1 ->
				word[n] = PLACE_OF(NROW - 1);
				entry[(NROW - 1) * MAX + count[NROW - 1]] = n;
				count[NROW - 1]++;
				ver[NROW - 1]++
			fi;
			n++
		od;
		for (n : NCPU .. NROW - 1) { loose[n] = (count[n] > 0 -> SOME : BARE) }
		for (n : 0 .. NT - 1) { run user(n) }
		n = 0
	}
	n_ended == NT;
	d_step { /* each block is where it should be, once */
		for (n : 1 .. n_stack) { seen[stack[n - 1]]++ }
		for (k : 0 .. NROW - 1) {
			for (n : 1 .. count[k]) { seen[entry[k * MAX + n - 1]]++ }
		}
		for (n : 0 .. NB - 1) { assert(seen[n] == (state[n] == FREE -> 1 : 0)) }
	}
}
