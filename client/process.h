/*
 * process.h: the library as a whole in one process: set up on first use, reset in the child of a fork
 *
 * Model: everything the library keeps (table, sessions, descriptors) belongs to one process. In a child all of it
 * is forgotten: the sockets are closed, so that the parent's session ends with the parent; inherited descriptors say
 * -EPERM; mappings stay. Called first by whatever can make the first descriptor.
 */
#ifndef HEAPD_CLIENT_PROCESS_H
#define HEAPD_CLIENT_PROCESS_H

/* Sets the library up, or resets it in a child that ran no atfork handlers. 0 or -ENOMEM. Cheap after the first time. */
int process_enter(void);

#endif
