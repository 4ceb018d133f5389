/* The ring of a build without liburing: there is none, and commit.c uses the worker thread. */
#include "daemon/ring.h"

int ring_new(_unused_ struct ring **out, _unused_ struct loop *l)
{
	return -ENOSYS;
}

struct ring *ring_free(_unused_ struct ring *r)
{
	return NULL;
}

int ring_push(_unused_ struct ring *r, _unused_ struct step *s)
{
	return -ENOSYS;
}
