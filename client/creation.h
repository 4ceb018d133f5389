/*
 * creation.h: CREATE, from the request to the answer that a heap can be made of
 *
 * Model: a CREATE is always parked while its memory is committed, and ends with EV_BOUND. Whoever
 * gets the answer either makes something of it or undoes it: nobody shall find a heap whose creator
 * was told that there is none.
 * Not here: what is made of it (client/heap.h, client/private.h).
 */
#ifndef HEAPD_CLIENT_CREATION_H
#define HEAPD_CLIENT_CREATION_H

#include "client/session.h"

/*
 * Sends p->frame, a CREATE whose body is filled in, and waits for its end. Not interrupted by
 * signals. 0: p->frame is the EV_BOUND with STATUS_OK, its fds the caller's. -EMFILE: this process
 * had no room for the fd, all is undone. -ECONNREFUSED; what the daemon answered (status_errno).
 */
int creation_ask(struct session *s, struct pending *p);

/* The answer that creation_ask brought comes to nothing here: the heap is deleted. */
void creation_undo(struct session *s, uint64_t heap);

/* Tells the daemon that this session is bound to the heap no more. */
void creation_unbind(struct session *s, uint64_t heap);

#endif
