#!/bin/bash
# words.sh: what heapctl makes of a daemon's answers, to the letter (the daemon is fake.c, which tells a fixed story)
#
# HEAPCTL, FAKE: the programs.
set -u
. "$(dirname "$0")/check.sh"
export TZ=UTC LC_ALL=C.UTF-8
unset NO_COLOR

export HEAPD_SOCKET=$dir/sock
"$FAKE" "$HEAPD_SOCKET" >"$dir/story" &
started="$started $!"
until_true test -S "$HEAPD_SOCKET"

asked() { # LINE: the daemon was asked exactly this, last
	[ "$(tail -n 1 "$dir/story")" = "$1" ] || wrong "asked '$(tail -n 1 "$dir/story")', where '$1' was right"
}

# --- usage

ctl 2
says 'which command?'
ctl 2 nonsense
says 'no such command: nonsense'
ctl 2 list extra
ctl 2 inspect
says 'which heap?'
ctl 2 inspect a b
ctl 2 create only-a-name
ctl 2 create n 12Q
says 'not a size'
ctl 2 create n 0
ctl 2 create 'a b' 4K
says "without '/' and blanks"
ctl 2 create "$(printf '%064d' 0)" 4K
says 'at most 63 bytes'
ctl 2 create n 4K --mode 0700
ctl 2 create n 4K --mode 8
ctl 2 create n 4K --group no-such-group-here
says 'no such group'
ctl 2 create n 4K more
ctl 2 delete
ctl 2 chmod 0600
ctl 2 chmod 0611 alpha
ctl 2 chown no-such-user-here alpha
ctl 2 chown : alpha
ctl 2 chown '' alpha
ctl 2 ping -c 0
ctl 2 top -d 0
ctl 2 top -r x
ctl 2 top --json
ctl 2 list --output name,nothing
says 'no column nothing; there are name id kind'
ctl 2 list --output ''
ctl 2 run
for c in list inspect create delete chmod chown regions stat top ping run; do
	ctl 0 $c --help
	shows "^Usage: heapctl $c"
	ctl 2 $c --no-such-option
done
ctl 0 --help
shows '^  inspect +everything about one heap'
ctl 0 --version
shows '^heapctl [0-9]+\.[0-9]+\.[0-9]+$'

# --- no daemon

HEAPD_SOCKET=$dir/none ctl 1 list
one_line
says "no heapd at $dir/none"
ctl 1 list --socket "$dir/none"
ctl 1 --socket "$dir/none" list
ctl 0 --socket "$HEAPD_SOCKET" list

# --- list

ctl 0 list
[ "$(wc -l <"$dir/out")" = 64 ] || wrong "list: not 63 heaps and a heading"
shows '^NAME +ID KIND +MODE +BACKING +SIZE HELD USED HIGH BOUND WAITERS BAD-FREES OWNER +PID PERM STATE$'
shows '^alpha +1 heap +prio +8M 1\.2M 1\.5K 1\.2M +30 +200 +1 root +0660 live$'
shows '^4 +2 segment +fifo,shared +1000B +0B +0B +0B +0 +0 +4000000000 +0600 live$'
shows '^ +3 heap .* root +770 0600 live$'
shows '^ +55 partition +13K +0B 1\.5K +5K +1 +0 +3 root +700 0600 live$'
shows '^ +59 region +own +8K +0B +64B 128B +1 +0 +root +700 '
shows '^dma0 +60 region +device '
shows '^ +62 pool +16K +0B 1\.4K +4K '
shows '^gone +4 .* deleted$'
shows '^many\.49 +54 '
ctl 0 list --bytes --noheadings --output NAME,size,High
[ "$(head -n 1 "$dir/out" | tr -s ' ')" = 'alpha 8388603 1228800' ] || wrong "list: $(head -n 1 "$dir/out")"
ctl 0 list --output +parked
shows ' STATE +PARKED$'
ctl 0 list --output id,backing,bad-frees # asked for: all of it is said
shows '^ *1 memory +1$'
shows '^ *2 memory +0$'
ctl 0 list --json
json 'len(d["heaps"]) == 63' 'd["heaps"][0]["size"] == 8388603' 'd["heaps"][0]["created"] == "2023-11-14 22:13:20"' \
	'd["heaps"][2]["name"] is None' 'd["heaps"][2]["session"] == 77' 'd["heaps"][1]["uid"] == 4000000000' \
	'd["heaps"][0]["perm"] == "0660"' '[h["id"] for h in d["heaps"]] == list(range(1, 64))' \
	'd["heaps"][0]["pid"] is None and d["heaps"][54]["pid"] == 700' 'd["heaps"][1]["bad_frees"] == 0' \
	'[h["backing"] for h in d["heaps"][57:61]] == ["memory", "own", "device", "memory"]' \
	'd["heaps"][54]["mode"] is None and d["heaps"][2]["mode"] == "fifo"'
ctl 0 list --json --output name,used
json 'd["heaps"][0] == {"name": "alpha", "used": 1536}'

# --- inspect

ctl 0 inspect alpha
shows '^  owner +root:root, mode 0660$'
shows '^  size +8M \(8388603 bytes\)$'
shows '^A 1000 robot0 +root rw +10 +40K 512B +0B +0 +0 +1$'
shows '^B 1001 robot1 +root r '
shows '^C 1002 "q\\\\+xffé '
shows '^# 1029 robot29 '
shows '^A 1000 +16 12345678901 +256 +2 +500 +12 +3$'
shows '^ +1 1000 robot0 +5000 +99 +64B 1m3[0-9]s pages$'
shows '^200 1001 robot1 +5199 +0 263B 1m3[0-9]s a block$'
shows '^one character: 2 pages, 8K$'
shows '^         0  Aa\.Bb\.Cc\.Aa\.'
shows '^    780000  #{64}$'
shows '^ +\* several processes$'
shows '^ +C process 1002 "q\\\?\?\?$'
ctl 0 inspect 4 # a name wins over an id
shows '^  id +2$'
ctl 0 inspect 3
shows '^\(no name\)$'
shows '^  session +77 alone$'
ctl 0 inspect --json alpha
json 'len(d["bindings"]) == 30' 'len(d["waiters"]) == 200' 'len(d["map"]) == 600' 'd["heap"]["name"] == "alpha"' \
	'd["bindings"][0]["buckets"][0] == {"size": 16, "calls": 12345678901, "per_page": 256, "pages": 2, "free": 500,
	 "high_water": 12, "could_free": 3}' \
	'd["bindings"][0]["buckets"][1]["size"] == 4096' 'd["bindings"][2]["label"] == "\"q\\\ufffd\u00e9"' \
	'd["waiters"][0]["for"] == "pages" and d["waiters"][1]["for"] == "a block"' \
	'90 <= d["waiters"][199]["waits_ns"] / 1e9 < 120' 'd["waiters"][1]["pid"] == 1001' \
	'd["map"][0] == {"first": 0, "pages": 3, "session": 100, "pid": 1000}' \
	'd["map"][1] == {"first": 3, "pages": 3, "session": None, "pid": None}' \
	'sum(e["pages"] for e in d["map"]) == 2048'
# --- inspect: partitions, regions, pools

no_tables() { # those of heaps, which mean nothing here
	lacks '^(Processes|Waiters|Pages)'
	lacks '^  (held|bound|waiters|parked|mode) '
}
ctl 0 inspect 55
no_tables
lacks '^Buckets'
shows '^  kind +partition$'
shows '^  owner +root:root$'
shows '^  process +700 mo\?tor$'
shows '^  bad frees +3$'
shows '^  number +1$'
shows '^  block size 100B \(100 bytes\)$'
shows '^  stride +128B \(128 bytes\)$'
shows '^  blocks +12 of 100 in use, at most 40 so far$'
shows '^  occupancy  \[#{6}-{14}\.{30}\] 12%$'
ctl 0 inspect 56
shows '^  occupancy  \[#{50}\] 100%$'
ctl 0 inspect 57
shows '^  partition  its process has not told more$'
lacks '^  (number|blocks|occupancy) '
ctl 0 inspect 55 --json
json 'set(d) == {"heap", "bindings", "partition"}' 'd["heap"]["used"] == 1536 and d["heap"]["high"] == 5120' \
	'd["partition"] == {"number": 1, "block_size": 100, "stride": 128, "blocks": 100, "used_blocks": 12,
	 "most_blocks": 40}' \
	'[b["pid"] for b in d["bindings"]] == [700]' '"buckets" not in d["bindings"][0]'
ctl 0 inspect 57 --json
json 'd["partition"] is None'

ctl 0 inspect 59
no_tables
shows '^  backing +own$'
shows '^  attribute +cacheable$'
shows '^  order +1$'
shows '^  address +0x7f0000100200 in the process$'
shows '^  serves +7\.5K \(7680 bytes\)$'
shows '^A 700 +64 +5 +8 +1 +7 +40 +0$'
shows '^  58 +cacheable +0 0x7f0000001000 +4K 192B 192B +0 memory$'
shows '^> 59 +cacheable +1 0x7f0000100200 7\.5K +64B 128B +0 own$'
shows '^  60 dma0 noncacheable +0 0x7f0000200000 +64K .* device$'
lacks '^. 61 '
ctl 0 inspect 58
shows '^  order +0, tried first$'
ctl 0 inspect 61 # of another process, at an address that the first one has too
shows '^> 61 cacheable +0 '
lacks '^. 5[0-9] '
ctl 0 inspect 60 --json
json 'set(d) == {"heap", "bindings", "region", "regions"}' '[r["id"] for r in d["regions"]] == [58, 59, 60]' \
	'd["region"] == {"attribute": "noncacheable", "order": 0, "address": "0x7f0000200000", "size": 65536}' \
	'd["regions"][1] == {"id": 59, "name": None, "attribute": "cacheable", "order": 1, "address": "0x7f0000100200",
	 "size": 7680, "used": 64, "high": 128, "bad_frees": 0, "backing": "own"}' \
	'd["bindings"][0]["buckets"][0]["calls"] == 5' 'd["heap"]["name"] == "dma0"'

ctl 0 inspect 62
no_tables
lacks '^Buckets'
shows '^  blocks +5 in use$'
shows '^ *1024 +1008 +1 +2 +14$'
shows '^ *64 +48 +3 +1 +233$'
shows '^one character: 64 bytes$'
shows '^         0  #\.##\[==\]\(\.\.\)\(\.\.\)\[1024={10}\]\(1024\.{10}\)\(1024\.{10}\)$'
shows '^      3000  \(4096\.{58}\)$'
[ "$(awk '{ if (length > 79) n++ } END { print n + 0 }' "$dir/out")" = 0 ] || wrong "wider than 79: $out"
ctl 0 inspect 62 --json
json 'set(d) == {"heap", "bindings", "pool"}' 'd["pool"]["size"] == 16384 and d["pool"]["used_blocks"] == 5' \
	'[b["offset"] for b in d["pool"]["blocks"]][:6] == [0, 64, 128, 192, 256, 512]' \
	'sum(b["size"] for b in d["pool"]["blocks"]) == 16384' \
	'sum(b["size"] for b in d["pool"]["blocks"] if b["state"] == "used") == d["heap"]["used"]' \
	'd["pool"]["sizes"][2] == {"size": 1024, "request": 1008, "used": 1, "free": 2, "left": 14}'
ctl 0 inspect 63 # what its process says is not all there
shows '^         0  \?\?#\.$'
shows '^ +\? not told$'
ctl 0 inspect 63 --json
json '[b["state"] for b in d["pool"]["blocks"]] == [None, None, "used", "free"]'

ctl 1 inspect nobody
one_line
says 'heapctl inspect: nobody: no such heap'
ctl 1 inspect 99
says '99: no such heap'
ctl 1 inspect a/b
one_line
ctl 1 inspect 0
ctl 1 inspect 99999999999999999999999

# --- create, delete, chmod, chown

ctl 0 create one 64K
asked 'create one 65536 mode 0 kind 1 perm 37777777777 gid 4294967295 flags 1'
ctl 0 create two 1.5M --shared --mode 0640 --group 7
asked 'create two 1572864 mode 0x600 kind 2 perm 640 gid 7 flags 1'
ctl 0 create three 1 --prio --dma --noncached --group root
asked 'create three 1 mode 0x901 kind 1 perm 37777777777 gid 0 flags 1'
ctl 1 create taken 4K
says 'taken: name exists'
one_line
ctl 1 create poor 4K
says 'poor: not enough memory'
ctl 1 create huge 1E
says 'heapd creates at most'
ctl 0 delete alpha
asked 'delete 0 alpha'
ctl 0 delete 3
asked 'delete 3 '
ctl 1 delete many.1 nobody many.2 # stops at the first that fails
says 'nobody: no such heap'
asked 'delete 0 nobody'
ctl 1 delete 4
says 'only the owner or root may'
ctl 1 delete 55
says "55: it is its process's own"
ctl 0 chmod 0640 alpha
asked 'chmod 0 alpha perm 640 uid 4294967295 gid 4294967295'
ctl 0 chown 12:34 alpha
asked 'chmod 0 alpha perm 37777777777 uid 12 gid 34'
ctl 0 chown :34 3
asked 'chmod 3  perm 37777777777 uid 4294967295 gid 34'
ctl 0 chown root alpha
asked 'chmod 0 alpha perm 37777777777 uid 0 gid 4294967295'

# --- regions, stat, ping, top

ctl 0 regions
[ "$(wc -l <"$dir/out")" = 61 ] || wrong 'regions: not 60 and a heading'
shows '^NAME +ATTRIBUTE +SIZE BACKING$'
shows '^region\.1 +noncacheable +8K device$'
shows '^region\.2 +cacheable +12K huge$'
ctl 0 regions --json
json 'd["regions"][59] == {"name": "region.59", "attribute": "noncacheable", "size": 245760, "backing": "memory"}' \
	'len(d["regions"]) == 60'
ctl 2 regions extra

ctl 0 stat
shows '^runs for +1d02h$'
shows '^memory in arenas +1\.5G$'
shows '^requests +9223372036854775808$'
ctl 0 stat --json
json 'd["requests"] == 2**63' 'd["bytes"] == 3 << 29' 'd["parked_binds"] == 1' 'd["version"] == "fake"'
ctl 0 ping -c 20
shows '^20 round trips, min [0-9.]+ us, median '
ctl 0 ping -c 20 --json
json 'd["count"] == 20' '0 < d["min_ns"] <= d["median_ns"] <= d["p99_ns"] <= d["max_ns"]'
ctl 0 top -r 2 -d 0.05
[ "$(grep -c '^heapd fake, process 4242, up 1d02h: 63 heaps, 1.5G, 0 sessions$' "$dir/out")" = 2 ] || wrong 'top: not two rounds'
[ "$(sed -n '5s/ .*//p' "$dir/out")" = alpha ] || wrong 'top: the heap with waiters is not the first'
[ "$(sed -n '6p' "$dir/out" | awk '{ print $1 }')" = 56 ] || wrong 'top: the heap with most in use is not the second'

# --- colours: on a terminal only, and not if the user says no

lacks "$(printf '\033')"
if command -v script >/dev/null; then
	on_terminal() { # ENVIRONMENT...: what "heapctl list" writes to a terminal
		env "$@" TERM=xterm script -qec "$HEAPCTL list" "$dir/typescript" </dev/null >"$dir/out"
	}
	on_terminal
	shows "$(printf '\033')\[33malpha"
	on_terminal NO_COLOR=1
	lacks "$(printf '\033')"
	shows '^alpha '
	TERM=xterm script -qec "stty rows 8 cols 40; $HEAPCTL top -r 2 -d 0.05; echo done" "$dir/typescript" \
		</dev/null >"$dir/out"
	shows "$(printf '\033')\[\?1049h" # takes the screen …
	shows "$(printf '\033')\[\?1049l.*done|^done" # … and gives it back
	lacks '0 sessions' # cut at the edge: the line is longer than 40
	press() { # KEY, as printf has it: "heapctl top" gets it once it has taken the screen
		rm -f "$dir/typescript"
		run 0 sh -c "{
			for i in \$(seq 200); do
				! grep -q '?1049h' $dir/typescript 2>/dev/null || break
				sleep 0.05
			done
			printf '$1'
		} | TERM=xterm script -qfec 'exec $HEAPCTL top' $dir/typescript"
		shows "$(printf '\033')\[\?1049l"
	}
	press q
	press '\003'
fi

# --- a full disk is no success

run 1 sh -c "'$HEAPCTL' list >/dev/full"
says 'cannot write'

if grep refused "$dir/story"; then wrong 'heapctl sent what is no request'; fi
finish
