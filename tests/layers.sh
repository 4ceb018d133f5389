#!/bin/sh
# layers.sh: a layer may not include the one above it; a foreign API lives in one file
cd "${1:-.}" || exit 1
bad=0
deny() { # TEXT PATTERN FILES...: no line of FILES may match
	text=$1 pattern=$2
	shift 2
	if grep -snHE -- "$pattern" "$@"; then
		echo "layers: $text" >&2
		bad=1
	fi
}
but() { # EXCEPT FILES...: prints FILES without those that match EXCEPT
	except=$1
	shift
	printf '%s\n' "$@" | grep -vE "$except"
}
deny 'common stands on libc alone' '#include "(proto|daemon|client|heapctl)/' common/*.[ch]
deny 'proto stands on common' '#include "(daemon|client|heapctl)/' proto/*.[ch]
deny 'the daemon knows no client' '#include "(client|heapctl)/' daemon/*.[ch]
deny 'the client knows no daemon' '#include "(daemon|heapctl)/' client/*.[ch]
deny 'heapctl knows no daemon' '#include "daemon/' heapctl/*.[ch]
deny 'pure allocators know no system' '#include (<(unistd|pthread|sys/)|"client/(session|heap|mapping|waitq|link)\.h")' client/bucket*.[ch] client/blocks*.[ch] client/quarters*.[ch]
deny 'installed headers stand on libc' '#include "' include/heapclient/*.h
deny 'examples see what users see' '#include ("|<event2/|<liburing|<systemd/|<ini\.h|<libsmartcols)' examples/*.c examples/*.cc
deny 'libevent lives in daemon/loop.c' '<event2/' $(but '^daemon/loop\.c$' */*.[ch])
deny 'liburing lives in daemon/commit_uring.c' '<liburing' $(but '^(daemon/commit_uring\.c|tests/|bench/)' */*.[ch])
deny 'sd-daemon lives in daemon/notify.c and log.c' '<systemd/' $(but '^daemon/(notify|log)\.c$' */*.[ch])
deny 'restartable sequences live in client/rseq*.h and rseq.c' '<(sys/rseq|linux/rseq|linux/membarrier)\.h>' $(but '^client/rseq\.[ch]$' */*.[ch])
deny 'inih lives in daemon/config.c' '<ini\.h>' $(but '^daemon/config\.c$' */*.[ch])
deny 'DPDK lives in bench/store_dpdk.h' '<rte_' $(but '^bench/store_dpdk\.h$' */*.[ch])
deny 'Concurrency Kit lives in bench/store_ck.h' '<ck_' $(but '^bench/store_ck\.h$' */*.[ch])
deny 'Boost lives in bench/boost.cc' '<boost/' $(but '^bench/boost\.cc$' */*.[ch] */*.cc)
deny 'libsmartcols lives in heapctl/table.c' '<libsmartcols' $(but '^heapctl/table\.c$' */*.[ch])
exit $bad
