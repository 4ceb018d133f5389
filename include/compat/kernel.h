/*
 * kernel.h: the name that <zephyr/kernel.h> had when the heap memory pool was made of quarters
 */
#ifndef HEAPCLIENT_COMPAT_KERNEL_H
#define HEAPCLIENT_COMPAT_KERNEL_H

#include <zephyr/kernel.h>

#endif
