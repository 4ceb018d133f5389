/*
 * sys.h: <sys.h> of Unison, as far as partitions go
 *
 * For sources that include it as it is, built with pkg-config heapclient-compat.
 */
#ifndef HEAPCLIENT_COMPAT_SYS_H
#define HEAPCLIENT_COMPAT_SYS_H

#include <heapclient/pt.h>

#endif
