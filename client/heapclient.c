/*
 * heapclient.c: the interface of heapclient.h
 */
#include "heapclient/heapclient.h"

#include "client/session.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT const char *heapclient_version(void)
{
	return HEAPCLIENT_VERSION;
}

EXPORT const char *heapclient_problem(void)
{
	return session_problem();
}
