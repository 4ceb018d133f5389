/*
 * handoff.pml: a page from the thread that frees it to the one that waits for it
 *
 * Model: a named heap of two pages, two processes bound to it, heapd. A block is a page or a run of both: what is
 * smaller never leaves its process and is served under the same lock. Threads take (for ever, with a time,
 * without waiting) and give back; each process has a helper that reads events. client/heap_alloc.c, client/heap_events.c,
 * client/waitq.c, daemon/heap_queue.c, daemon/heap_recall.c, daemon/heap_pages.c, daemon/heap_work.c,
 * step by step: README.md maps them.
 *
 * A critical section of heap.lock is one step, but for a waiter's end, which its thread sees without the lock. What
 * heapd does with one message is one step. Two sockets for each process, not ordered against each other: calls with their
 * replies (one at a time), events and RETURNs. A time may be over at any moment; so may heapd's bound for a recall.
 * Memory is sequentially consistent: locks and sockets are between any two that share.
 *
 * Proven: a page has one owner; none is lost; nobody waits for ever (everybody gives back: the model comes to an end);
 * an older waiter that heapd knows is not passed by a younger one of the process that frees; who will not wait and is
 * told "would block" had no page that lay idle all the time of the call, unless heapd's bound was over; and when all
 * is quiet nobody is parked, pressed or asked.
 */
#define NP 2
#define ALL 3 /* a bit a page */
#define NONE 255
#define LIVE 0
#define DELETED 1

/* how a thread waits */
#define FOREVER 0
#define TIMED 1
#define BRIEF 2
#define HOLDS 3 /* has all pages in the beginning, and only gives back */

/* results */
#define OK 0
#define WOULD_BLOCK 1
#define TIMEDOUT 2
#define GONE 3
#define PARKED 4
#define LATE 5

/* messages */
#define REFILL 1
#define CANCEL 2
#define GRANT 3
#define RECALL 4
#define GONE_EVENT 5
#define RETURN 6
/* not from outside */
#define BOUND_OVER 7
#define DELETE_IT 8

#ifndef FULL
#define FULL 0
#endif
#ifndef OPS
#define OPS 1
#endif
#if INSTANCE == 1 /* each waits for both */
#define NT 2
#define THREADS SET(0, 0, 2, FOREVER) SET(1, 1, 2, FOREVER)
#elif INSTANCE == 2 /* a page against both */
#define NT 2
#define THREADS SET(0, 0, 1, TIMED) SET(1, 1, 2, FOREVER)
#elif INSTANCE == 3 /* two of one process; the other one has only pages */
#define NT 2
#define THREADS SET(0, 0, 2, FOREVER) SET(1, 0, 2, TIMED)
#elif INSTANCE == 4 /* one does not wait */
#define NT 2
#define THREADS SET(0, 0, 1, BRIEF) SET(1, 1, 2, FOREVER)
#elif INSTANCE == 5 /* all is handed out; one waits here, one there */
#define NT 3
#define THREADS SET(0, 0, 1, FOREVER) SET(1, 1, 1, TIMED) SET(2, 0, 2, HOLDS)
#elif INSTANCE == 6 /* both wait there */
#define NT 3
#define THREADS SET(0, 1, 2, FOREVER) SET(1, 1, 1, TIMED) SET(2, 0, 2, HOLDS)
#elif INSTANCE == 7 /* one waits here, one does not wait there */
#define NT 3
#define THREADS SET(0, 0, 1, FOREVER) SET(1, 1, 1, BRIEF) SET(2, 0, 2, HOLDS)
#elif INSTANCE == 8 /* two wait there */
#define NT 3
#define THREADS SET(0, 1, 1, FOREVER) SET(1, 1, 1, FOREVER) SET(2, 0, 2, HOLDS)
#elif INSTANCE == 9 /* one waits here, one there, and may be told that the heap is gone */
#define NT 2
#define THREADS SET(0, 1, 1, FOREVER) SET(1, 0, 2, HOLDS)
#endif
#define SET(t, p, n_pages, how) home[t] = p; need[t] = n_pages; kind[t] = how;
#define GENS 4
#define NID (1 + NT * GENS)
#define THREAD(id) ((id - 1) / GENS)
#define FITS(mask, n) ((n == 1 && mask != 0) || mask == ALL)
#define PICK(mask, n) (n == 2 -> ALL : ((mask & 1) -> 1 : 2))
#define LONGEST(mask) (mask == ALL -> 2 : (mask != 0 -> 1 : 0))

/* the threads */
byte home[NT], need[NT], kind[NT];
/* struct waiter */
bool queued[NT], done[NT];
byte since[NT], result[NT], got[NT], park_id[NT], gen[NT];
byte clock;
/* struct heap, of each process */
bool lock[2], calling[2], owes[2];
byte idle[2];              /* free pages */
byte have[2];              /* pages granted to us */
byte may_fail;               /* how often a socket may still be full */
/* the control slot */
byte state, pressed[2];
/* heapd: struct heap and struct binding */
byte vacant, held[2];
bool parked[NID], bound[NID];
byte parked_since[NID], id_since[NID];
byte n_bound;              /* n_deadlines */
byte least;
bool stale, was_pressed;
bool asked[2], tardy[2], brought[2], steady[2], dry[2], must_ask[2];
byte asked_want[2];

chan call[2] = [1] of { byte, byte };
chan reply[2] = [1] of { byte, byte };
chan event[2] = [6] of { byte, byte, byte, byte };
chan back[2] = [6] of { bool, byte };

/* ghosts */
byte owner[NP];
byte known[NP];            /* who was parked all the time since that page was freed: a bit a thread */
byte lying[NT];            /* pages that nobody had all the time of this call */
bool hurried[NT];          /* heapd's bound was over */
byte n_ended;
hidden byte i, j, k, s, n, m, best;

/* Pages that somebody has, or that are on their way to somebody, lie no more. */
inline nobody_lies(mask) {
	for (j : 0 .. NT - 1) { lying[j] = lying[j] & (ALL - (mask)) }
	j = 0
}

/* ---- heapd: all of it inside of one step ---- */

inline count_parked(p) { /* n: of all; m: of p; best: of p for runs */
	n = 0; m = 0; best = 0;
	for (j : 1 .. NID - 1) {
		if
		:: parked[j] ->
			n++;
			if
			:: home[THREAD(j)] == p ->
				m++;
				if :: need[THREAD(j)] > 1 -> best++ :: else fi
			:: else
			fi
		:: else
		fi
	}
	j = 0
}

/* heap_pressed(): in s */
inline pressed_of(p) {
	count_parked(p);
	s = n - m;
#ifndef NOT_BY_OWN
	if :: held[p] != ALL -> s = s + best :: else fi
#endif
}

inline count_asked() { /* h->n_recalls: in n */
	n = 0;
	for (j : 0 .. 1) { if :: asked[j] && !tardy[j] -> n++ :: else fi }
	j = 0
}

inline queue_remove(id) {
	parked[id] = false;
	if :: bound[id] -> n_bound--; bound[id] = false :: else fi;
	parked_since[id] = 0;
	stale = true;
	for (j : 0 .. NP - 1) { known[j] = known[j] & (255 - (1 << THREAD(id))) }
	count_parked(0);
	if :: n == 0 -> least = 3 :: else fi
}

inline first_parked() { /* the oldest: its id in best; 0: none */
	best = 0;
	for (j : 1 .. NID - 1) {
		if
		:: !parked[j]
		:: else -> if :: best == 0 || parked_since[j] < parked_since[best] -> best = j :: else fi
		fi
	}
	j = 0
}

inline hand_out(p, mask) {
	vacant = vacant & (ALL - mask);
	held[p] = held[p] | mask;
	dry[p] = false;
	steady[p] = false;
	stale = true;
	nobody_lies(mask)
}

inline refill_end(id, status) {
	assert(nfull(event[home[THREAD(id)]]));
	event[home[THREAD(id)]]!GRANT, id, status, 0;
	queue_remove(id)
}

/* serve() */
inline serve_parked() {
	if
	:: LONGEST(vacant) < least
	:: else ->
		k = 3; /* least of those that are left */
		i = 0; /* since: those up to this one have been looked at */
		do
		:: best = 0;
			for (j : 1 .. NID - 1) {
				if
				:: parked[j] && parked_since[j] > i ->
					if
					:: best == 0 -> best = j
					:: else -> if :: parked_since[j] < parked_since[best] -> best = j :: else fi
					fi
				:: else
				fi
			}
			j = 0;
			if
			:: best == 0 -> least = k; break /* seen all */
			:: else
			fi;
			if :: vacant == 0 -> break :: else fi;
			i = parked_since[best];
			if
			:: FITS(vacant, need[THREAD(best)]) ->
				s = best;
				m = PICK(vacant, need[THREAD(s)]);
				assert(nfull(event[home[THREAD(s)]]));
				event[home[THREAD(s)]]!GRANT, s, OK, m;
				hand_out(home[THREAD(s)], m);
				queue_remove(s)
			:: else -> k = (need[THREAD(best)] < k -> need[THREAD(best)] : k)
			fi
		od;
		i = 0; k = 0; s = 0; m = 0; best = 0; n = 0
	fi
}

inline publish() {
	count_parked(0);
	if
	:: n == 0 && !was_pressed
	:: else ->
		was_pressed = n > 0;
		for (i : 0 .. 1) {
			pressed_of(i);
			pressed[i] = s;
			if :: s == 0 -> dry[i] = false; steady[i] = false :: else fi;
			if :: n_bound == 0 -> must_ask[i] = false :: else fi
		}
		i = 0
	fi
}

inline recall_urgently() {
	first_parked();
	if
	:: best == 0
	:: else ->
		k = need[THREAD(best)];
		for (i : 0 .. 1) {
			pressed_of(i);
			if
			:: held[i] != 0 && !asked[i] && (must_ask[i] || (!dry[i] && s > 0)) ->
				asked[i] = true;
				asked_want[i] = k;
				tardy[i] = false;
				brought[i] = false;
				must_ask[i] = false;
				steady[i] = s > 0;
				assert(nfull(event[i]));
				event[i]!RECALL, 0, k, 0
			:: else
			fi
		}
		i = 0; k = 0
	fi
}

inline refresh() {
	d_step { stale = false; publish() }
	d_step { recall_urgently() }
}

/* heap_settle() */
inline settle() {
	if
	:: state != LIVE
	:: else ->
		d_step { serve_parked() }
		if
		:: stale -> refresh()
		:: else
		fi;
		d_step {
			count_asked();
			ends = n_bound > 0 && n == 0;
			if
			:: ends -> /* give_up() */
				for (k : 1 .. NID - 1) {
					if :: parked[k] && bound[k] -> refill_end(k, WOULD_BLOCK) :: else fi
				}
				k = 0
			:: else
			fi
		}
		if
		:: ends -> refresh()
		:: else
		fi;
		ends = false
	fi
}

/* heap_refill() and park() */
inline op_refill(p, id) {
	if
	:: state != LIVE -> reply[p]!GONE, 0
	:: else ->
		if
		:: FITS(vacant, need[THREAD(id)]) ->
			d_step {
				m = PICK(vacant, need[THREAD(id)]);
				reply[p]!OK, m;
				hand_out(p, m);
				m = 0
			}
			settle()
		:: else ->
			d_step {
				assert(!parked[id]);
				parked[id] = true;
				parked_since[id] = id_since[id];
				least = (need[THREAD(id)] < least -> need[THREAD(id)] : least);
				stale = true;
				if
				:: kind[THREAD(id)] == BRIEF ->
					bound[id] = true;
					n_bound++;
					must_ask[0] = true;
					must_ask[1] = true
				:: else
				fi
			}
			refresh();
			d_step {
				reply[p]!PARKED, 0;
				count_asked();
				ends = kind[THREAD(id)] == BRIEF && n == 0;
				if :: ends -> refill_end(id, WOULD_BLOCK) :: else fi
			}
			if
			:: ends -> settle()
			:: else
			fi
		fi
	fi
}

inline op_cancel(p, id) {
	if
	:: parked[id] ->
		d_step { queue_remove(id); reply[p]!OK, 0 }
		settle()
	:: else -> reply[p]!LATE, 0
	fi
}

/* heap_return() */
inline op_return(p, answers, pages) {
	if
	:: answers && !asked[p] -> assert(state != LIVE) /* of a recall that was forgotten */
	:: else ->
		d_step {
			assert((held[p] & pages) == pages);
			if :: pages != 0 && held[p] == ALL -> stale = true :: else fi;
			held[p] = held[p] & (ALL - pages);
			vacant = vacant | pages;
			if
			:: answers ->
				if :: FITS(pages, asked_want[p]) -> brought[p] = true :: else fi;
				dry[p] = steady[p] && !brought[p];
				stale = true;
				asked[p] = false; tardy[p] = false; brought[p] = false; asked_want[p] = 0
			:: else
			fi
		}
		settle()
	fi
}

/* expire(): whoever has not answered by then is not waited for any more */
inline expire() {
	d_step {
		for (k : 0 .. 1) { if :: asked[k] -> tardy[k] = true :: else fi }
		best = 0;
		for (k : 1 .. NID - 1) { if :: parked[k] && bound[k] -> best = k :: else fi }
		k = best;
		for (j : 0 .. NT - 1) { hurried[j] = true }
		refill_end(k, WOULD_BLOCK);
		k = 0
	}
	settle()
}

inline heap_delete() {
	d_step {
		state = DELETED;
		pressed[0] = 0; pressed[1] = 0;
		was_pressed = false;
		for (k : 1 .. NID - 1) { if :: parked[k] -> queue_remove(k) :: else fi }
		for (k : 0 .. 1) {
			asked[k] = false; tardy[k] = false; brought[k] = false; asked_want[k] = 0;
			stale = true;
			assert(nfull(event[k]));
			event[k]!GONE_EVENT, 0, 0, 0
		}
		k = 0
	}
}

active proctype heapd() {
	byte op, p, id, pages;
	bool answers, ends;

end:
	do
	:: atomic {
			if
			:: call[0]?op, id -> p = 0
			:: call[1]?op, id -> p = 1
			:: back[0]?answers, pages -> p = 0; op = RETURN
			:: back[1]?answers, pages -> p = 1; op = RETURN
			:: n_bound > 0 -> op = BOUND_OVER
#ifdef DELETE
			:: state == LIVE && n_ended < NT -> op = DELETE_IT
#endif
			fi;
			if
			:: op == REFILL -> op_refill(p, id)
			:: op == CANCEL -> op_cancel(p, id)
			:: op == RETURN -> op_return(p, answers, pages)
			:: op == BOUND_OVER -> expire()
			:: op == DELETE_IT -> heap_delete()
			fi;
			op = 0; p = 0; id = 0; pages = 0; answers = false; ends = false
		}
	od
}

/* ---- a process ---- */

#define TAKE_LOCK(p) atomic { !lock[p] -> lock[p] = true }

/* waitq_first that fits, in its order: in best; NT: none */
inline first_fitting(p) {
	best = NT;
	for (j : 0 .. NT - 1) {
		if
		:: home[j] == p && queued[j] && FITS(idle[p], need[j]) ->
			if
			:: best == NT -> best = j
			:: else -> if :: since[j] < since[best] -> best = j :: else fi
			fi
		:: else
		fi
	}
	j = 0
}

/* bucket_alloc() for thread t: the pages in m */
inline carve(p, t) {
	m = PICK(idle[p], need[t]);
	idle[p] = idle[p] & (ALL - m);
	nobody_lies(m);
	for (j : 0 .. NP - 1) {
		if
		:: m & (1 << j) ->
			assert(owner[j] == NONE);
			owner[j] = t
		:: else
		fi
	}
	j = 0
}

/* Nobody older, whom heapd has known since that page was freed here, is passed. */
inline check_order(t) {
	for (i : 0 .. NP - 1) {
		if
		:: m & (1 << i) ->
			for (j : 0 .. NT - 1) {
				assert(!((known[i] & (1 << j)) && need[j] == 1 && queued[j] && since[j] < since[t]))
			}
			known[i] = 0
		:: else
		fi
	}
	i = 0; j = 0
}

/* heap_serve(). The lock is held. */
inline serve(p, w) {
	do
	:: d_step {
			first_fitting(p);
			w = best;
			m = 0;
			best = 0;
			if
			:: w < NT ->
				carve(p, w);
				check_order(w);
				got[w] = m;
				result[w] = OK;
#ifndef WORD_FIRST
				queued[w] = false;
#endif
				m = 0
			:: else
			fi
		}
		if
		:: w == NT -> break
		:: else ->
			done[w] = true;
#ifdef WORD_FIRST
			queued[w] = false
#endif
		fi
	od;
	w = 0
}

/* heap_give_back(): everything that is free, unless the socket is full */
inline give_back(p) {
	if
	:: idle[p] == 0
	:: else ->
		if
		:: nfull(back[p]) ->
			have[p] = have[p] & (ALL - idle[p]);
			back[p]!false, idle[p];
			idle[p] = 0
		:: may_fail > 0 || full(back[p]) ->
			may_fail = may_fail - (may_fail > 0 -> 1 : 0);
			for (j : 0 .. NP - 1) { if :: idle[p] & (1 << j) -> known[j] = 0 :: else fi }
			j = 0;
			owes[p] = true
		fi
	fi
}

/* refill_init(): a new id for the waiter of t */
inline new_id(t) {
	gen[t] = (gen[t] + 1) % GENS;
	park_id[t] = 1 + t * GENS + gen[t];
	id_since[park_id[t]] = since[t];
	assert(!parked[park_id[t]])
}

/* session_call_over(): one call at a time */
inline do_call(p, op, id, status, pages) {
	atomic { !calling[p] -> calling[p] = true; call[p]!op, id }
	atomic { reply[p]?status, pages; calling[p] = false }
}

/* heap_take_grant() */
inline take_grant(p, id, status, pages, w, t) {
	atomic {
		!lock[p] -> lock[p] = true;
		d_step {
			t = NT; /* waitq_find() */
			for (j : 0 .. NT - 1) { if :: home[j] == p && queued[j] && park_id[j] == id -> t = j :: else fi }
			j = 0;
			if :: t < NT -> park_id[t] = 0 :: else fi;
			if
			:: status == OK ->
				idle[p] = idle[p] | pages;
				have[p] = have[p] | pages;
				for (j : 0 .. NP - 1) { if :: pages & (1 << j) -> known[j] = 0 :: else fi }
				j = 0
			:: else
			fi
		}
	}
	serve(p, w);
	if
	:: status == OK ->
#ifndef NOT_AFTER_GRANT
		atomic { if :: pressed[p] > 0 -> give_back(p) :: else fi }
#endif
	:: else ->
		if
		:: t < NT ->
			d_step {
				w = (queued[t] -> 1 : 0);
				if :: w -> result[t] = status; queued[t] = false :: else fi
			}
			if :: w -> done[t] = true :: else fi
		:: else
		fi
	fi;
	d_step { lock[p] = false; t = 0; w = 0; pages = 0; status = 0 }
}

/* heap_park_waiters() */
inline park_waiters(p, id, status, pages, w, t) {
	do
	:: atomic {
			!lock[p] -> skip;
			d_step {
				id = 0;
				t = NT;
				for (j : 0 .. NT - 1) {
					if
					:: home[j] == p && queued[j] && park_id[j] == 0 && state == LIVE ->
						if
						:: t == NT -> t = j
						:: else -> if :: since[j] < since[t] -> t = j :: else fi
						fi
					:: else
					fi
				}
				j = 0;
				if :: t < NT -> new_id(t); id = park_id[t] :: else fi;
				t = 0
			}
		}
		if :: id == 0 -> break :: else fi;
		do_call(p, REFILL, id, status, pages);
		if
		:: status == PARKED ->
#ifndef NO_SECOND_LOOK
			atomic {
				!lock[p] -> skip;
				d_step {
					t = NT;
					for (j : 0 .. NT - 1) { if :: home[j] == p && queued[j] && park_id[j] == id -> t = j :: else fi }
					j = 0
				}
			}
			if
			:: t == NT -> do_call(p, CANCEL, id, status, pages)
			:: else
			fi;
#endif
			d_step { t = 0; status = 0; pages = 0 }
		:: else -> take_grant(p, id, status, pages, w, t)
		fi
	od
}

/* ---- threads ---- */

/* heap_free_own_unlock() */
inline free_pages(p, me, w) {
	atomic {
		!lock[p] -> lock[p] = true;
		d_step {
			for (j : 0 .. NP - 1) {
				if
				:: got[me] & (1 << j) ->
					owner[j] = NONE;
					known[j] = 0;
					for (k : 1 .. NID - 1) { if :: parked[k] -> known[j] = known[j] | (1 << THREAD(k)) :: else fi }
				:: else
				fi
			}
			j = 0; k = 0;
			idle[p] = idle[p] | got[me];
			got[me] = 0
		}
#ifndef NOT_PRESSED
		if :: pressed[p] > 0 -> give_back(p) :: else fi
#endif
	}
	serve(p, w);
	lock[p] = false
}

/* heap_alloc_slow_unlock(), and before it heap_alloc_try() */
proctype thread(byte me) {
	byte p, id, status, pages, w, t, ops;

	p = home[me];
	if
	:: kind[me] == HOLDS -> free_pages(p, me, w)
	:: else
	fi;
	do
	:: ops == OPS || kind[me] == HOLDS -> break
	:: else ->
		atomic {
			!lock[p] -> skip;
			d_step {
				lying[me] = vacant | idle[0] | idle[1];
				hurried[me] = false;
				result[me] = PARKED;
				if
				:: state != LIVE -> result[me] = GONE
				:: else ->
					if
					:: FITS(idle[p], need[me]) ->
						carve(p, me);
						got[me] = m;
						result[me] = OK;
						m = 0
					:: else ->
						if
						:: kind[me] == BRIEF && have[p] == ALL -> result[me] = WOULD_BLOCK
						:: else ->
							done[me] = false;
							clock++;
							since[me] = clock;
							queued[me] = true;
							new_id(me);
							id = park_id[me]
						fi
					fi
				fi
			}
		}
		if
		:: id != 0 ->
			do_call(p, REFILL, id, status, pages);
			if
			:: status == PARKED -> d_step { status = 0; pages = 0 }
			:: else -> take_grant(p, id, status, pages, w, t)
			fi;
			park_waiters(p, id, status, pages, w, t);
			/* wait_for() */
			if
			:: done[me]
			:: kind[me] == TIMED && !done[me] -> /* its time is over */
				atomic {
					!lock[p] -> skip;
					d_step {
						if
						:: !done[me] && queued[me] ->
							queued[me] = false;
							result[me] = TIMEDOUT;
							done[me] = true
						:: else
						fi
					}
				}
			fi;
			done[me];
			if
			:: park_id[me] != 0 -> do_call(p, CANCEL, park_id[me], status, pages)
			:: else
			fi;
			d_step { park_id[me] = 0; status = 0; pages = 0; id = 0 }
		:: else
		fi;
		assert(!queued[me]);
		if
		:: result[me] == OK -> free_pages(p, me, w)
		:: else -> assert(result[me] != WOULD_BLOCK || hurried[me] || !FITS(lying[me], need[me]))
		fi;
		d_step { ops++; result[me] = 0; since[me] = 0; done[me] = false; lying[me] = 0; hurried[me] = false }
	od;
	n_ended++
}

/* The helper: what comes, and what is owed. */
proctype helper(byte p) {
	byte op, id, status, pages, w, t;

end:
	do
	:: event[p]?op, id, status, pages ->
		if
		:: op == GRANT ->
			take_grant(p, id, status, pages, w, t);
			park_waiters(p, id, status, pages, w, t)
		:: op == RECALL -> /* answer_recall(): one run of what is wanted, or everything */
			atomic {
				!lock[p] -> skip;
				d_step {
					if
					:: FITS(idle[p], status) -> pages = PICK(idle[p], status)
					:: else -> pages = idle[p]
					fi;
					idle[p] = idle[p] & (ALL - pages);
					have[p] = have[p] & (ALL - pages);
					status = 0
				}
			}
			back[p]!true, pages;
			pages = 0;
			park_waiters(p, id, status, pages, w, t)
		:: op == GONE_EVENT ->
			TAKE_LOCK(p);
			do
			:: d_step {
					w = NT;
					for (j : 0 .. NT - 1) { if :: home[j] == p && queued[j] -> w = j :: else fi }
					j = 0;
					if :: w < NT -> queued[w] = false; result[w] = GONE :: else fi
				}
				if :: w == NT -> break :: else -> done[w] = true fi
			od;
			atomic { lock[p] = false; w = 0 }
		fi;
		atomic { op = 0; id = 0; status = 0; pages = 0 }
	:: atomic {
			owes[p] && !lock[p] -> /* pay_back() */
			owes[p] = false;
			if :: state == LIVE && pressed[p] > 0 -> give_back(p) :: else fi
		}
	od
}

#define QUIET (n_ended == NT && !calling[0] && !calling[1] && !lock[0] && !lock[1] && !owes[0] && !owes[1] && \
	empty(event[0]) && empty(event[1]) && empty(back[0]) && empty(back[1]) && \
	empty(call[0]) && empty(call[1]) && empty(reply[0]) && empty(reply[1]))

init {
	byte t;

	d_step {
		THREADS
		least = 3;
		may_fail = FULL;
		for (j : 0 .. NP - 1) { owner[j] = NONE }
		j = 0
	}
	atomic {
		if /* the pages are anywhere */
		:: kind[NT - 1] == HOLDS ->
			held[home[NT - 1]] = ALL;
			got[NT - 1] = ALL;
			owner[0] = NT - 1;
			owner[1] = NT - 1
		:: else ->
			if
			:: held[0] = ALL
			:: held[0] = 1; held[1] = 2
			:: held[0] = 1; vacant = 2
			:: held[1] = ALL
			:: vacant = ALL
			fi;
			idle[0] = held[0];
			idle[1] = held[1]
		fi;
		have[0] = held[0];
		have[1] = held[1];
		run helper(0); run helper(1);
		for (t : 0 .. NT - 1) { run thread(t) }
		t = 0
	}
	timeout ->
	d_step {
		assert(n_ended == NT);
		assert(QUIET);
		if
		:: state == LIVE ->
			assert(held[0] == have[0] && held[1] == have[1]);
			assert(idle[0] == have[0] && idle[1] == have[1]);
			assert((vacant | idle[0] | idle[1]) == ALL && (vacant & (idle[0] | idle[1])) == 0 && (idle[0] & idle[1]) == 0);
			assert(pressed[0] == 0 && pressed[1] == 0);
			assert(!asked[0] && !asked[1] && n_bound == 0);
			count_parked(0);
			assert(n == 0)
		:: else
		fi
	}
}
