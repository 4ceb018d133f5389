#!/bin/sh
# names.sh FILE TABLE...: the functions of those tables of fail.h, as meson needs them for --wrap
file=$1
shift
for table; do
	sed -n "/^#define $table(X)/,/[^\\\\]\$/s/.*X(\([a-z0-9_]*\), .*/\1/p" "$file"
done | sort -u | grep -vE '^(epoll_ctl|epoll_wait|pidfd_open)$'
