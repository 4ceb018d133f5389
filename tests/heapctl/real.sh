#!/bin/bash
# real.sh: heapctl against a real heapd, and heapctl run, which starts it
#
# HEAPCTL, HEAPD, HOLDER, OWNER: the programs.
set -u
. "$(dirname "$0")/check.sh"
export LC_ALL=C.UTF-8
unset NO_COLOR

# The first half runs inside "heapctl run", as a user's tests would.
if [ "${1:-}" != inside ]; then
	head -c 65536 /dev/zero >"$dir/device"
	cat >"$dir/conf" <<-CONF
		[region "spare"]
		size = 8K

		[region "dma0"]
		size = 64K
		attribute = noncacheable
		backing = $dir/device
	CONF
	"$HEAPCTL" run --config "$dir/conf" -- "$0" inside || wrong "inside heapctl run: exit status $?"
	n=1
else
	holding() { # NAME ARGUMENTS...: starts a holder; its output goes to $dir/NAME; it ends with this script
		name=$1
		shift
		"$HOLDER" "$@" <"$dir/never" >"$dir/$name" &
		started="$started $!"
		pid=$!
		until_true test -s "$dir/$name"
	}
	ask() { # EXPRESSION...: inspect pool --json until it is all so
		until_true "$HEAPCTL" inspect pool --json
		ctl 0 inspect pool --json
		json "$@"
	}
	mkfifo "$dir/never"
	exec 9<>"$dir/never"

	ctl 0 list
	[ -z "$out" ] || wrong 'heaps before there are any'
	ctl 0 create pool 64K --prio --mode 0640
	ctl 1 create pool 64K
	says 'pool: name exists'
	ctl 0 create segment 1M --shared
	ctl 0 list --json
	json '[h["name"] for h in d["heaps"]] == ["pool", "segment"]' 'd["heaps"][0]["mode"] == "prio"' \
		'd["heaps"][1]["kind"] == "segment"' 'd["heaps"][0]["perm"] == "0640"' \
		'all(h["bound"] == 0 and h["held"] == 0 and h["state"] == "live" for h in d["heaps"])'
	id=$(python3 -c 'import json,sys; print(json.load(sys.stdin)["heaps"][0]["id"])' <"$dir/out")
	ctl 0 inspect "$id"
	shows '^pool$'
	shows '^         0  \.{16}$'

	# one process holds everything; two more wait for pages
	holding A pool 1152
	pid_a=$pid
	holding B pool 0 4 10
	pid_b=$pid
	until_true grep -q parked "$dir/B"
	holding C pool 0 2 90
	pid_c=$pid
	until_true grep -q parked "$dir/C"
	ask 'd["heap"]["bound"] == 3' 'd["heap"]["held"] == 65536' 'd["heap"]["used"] == 1152' 'd["heap"]["parked"] == 2' \
		'd["heap"]["waiters"] == 2' 'len(d["bindings"]) == 3' \
		"[b['pid'] for b in d['bindings']] == [$pid_a, $pid_b, $pid_c]" \
		'd["bindings"][0]["held"] == 65536 and d["bindings"][1]["held"] == 0' \
		'd["bindings"][0]["buckets"] == [{"size": 256, "calls": 17, "per_page": 16, "pages": 2, "free": 3,
		 "high_water": 30, "could_free": 0}]' \
		'all(b["label"] == "holder" and b["uid"] == '"$(id -u)"' for b in d["bindings"])' \
		"[(w['pid'], w['priority'], w['for']) for w in d['waiters']] == [($pid_c, 90, 'pages'), ($pid_b, 10, 'pages')]" \
		'all(w["size"] == 8000 and 0 <= w["waits_ns"] < 60e9 for w in d["waiters"])' \
		"d['map'] == [{'first': 0, 'pages': 16, 'session': d['bindings'][0]['session'], 'pid': $pid_a}]"
	ctl 0 inspect pool
	shows "^A +$pid_a holder "
	shows "^ *1 +$pid_c holder +$pid_c +90 +7\.8K .* pages$"
	shows '^         0  A{16}$'
	ctl 0 stat --json
	json 'd["parked_refills"] == 2' 'd["heaps"] == 2' "d['pid'] != $pid_a"
	ctl 0 top -r 1
	shows '^pool .* live$'

	# the holder dies: both who wait get their pages, and the map says so
	kill -KILL "$pid_a"
	wait "$pid_a" 2>/dev/null
	until_true grep -q granted "$dir/B"
	until_true grep -q granted "$dir/C"
	ask 'd["heap"]["bound"] == 2' 'd["heap"]["parked"] == 0' \
		"{b['pid']: b['held'] for b in d['bindings']} == {$pid_b: 4 * 4096, $pid_c: 2 * 4096}" \
		'sum(e["pages"] for e in d["map"] if e["session"] is None) == 10'

	# rights
	ctl 0 chmod 0606 pool
	ctl 0 list --output name,perm -n
	shows '^pool +0606$'
	if [ "$(id -u)" = 0 ]; then
		ctl 0 chown daemon:daemon "$id"
		ctl 0 list --output name,owner,group -n
		shows '^pool +daemon +daemon$'
	else
		ctl 1 chown daemon:daemon "$id"
		says 'only the owner or root may'
	fi

	# deletion: the name is free, who is bound is told
	ctl 0 delete pool
	until_true grep -q deleted "$dir/B"
	ctl 1 inspect pool
	says 'pool: no such heap'
	ctl 1 delete pool
	ctl 0 create pool 4K
	ctl 0 delete pool segment
	ctl 0 ping -c 10

	# who was bound to what is deleted goes, and that goes with them
	nothing() { [ -z "$("$HEAPCTL" list)" ]; }
	kill -KILL "$pid_b" "$pid_c"
	wait "$pid_b" "$pid_c" 2>/dev/null
	until_true nothing

	# the other interfaces: what one process has of each
	ctl 0 regions --json
	json 'd["regions"] == [
		{"name": "spare", "attribute": "cacheable", "size": 8192, "backing": "memory"},
		{"name": "dma0", "attribute": "noncacheable", "size": 65536, "backing": "device"}]'
	"$OWNER" <"$dir/never" >"$dir/owner" &
	pid=$!
	started="$started $pid"
	until_true grep -q . "$dir/owner"
	grep -q '^ready ' "$dir/owner" || wrong "the owner: $(cat "$dir/owner")"
	own=$(sed -n 's/^ready //p' "$dir/owner")
	ctl 0 list --json
	json '[h["kind"] for h in d["heaps"]].count("region") == 4' 'len(d["heaps"]) == 7' \
		"all(h['pid'] == $pid and h['session'] and h['mode'] is None for h in d['heaps'])" \
		'sorted(h["backing"] for h in d["heaps"]) == ["device"] + 5 * ["memory"] + ["own"]' \
		'sorted(h["bad_frees"] for h in d["heaps"]) == 5 * [0] + [1, 2]'
	cp "$dir/out" "$dir/heaps"
	id_of() { # EXPRESSION of a heap h: the id of the one for which it is true
		python3 -c "import json, sys
print(*[h['id'] for h in json.load(sys.stdin)['heaps'] if $1])" <"$dir/heaps"
	}
	ctl 0 inspect "$(id_of 'h["bad_frees"] == 2')" --json
	json 'd["partition"] == {"number": 0, "block_size": 100, "stride": 128, "blocks": 10, "used_blocks": 3,
		"most_blocks": 5}' 'd["heap"]["used"] == 3 * 128 and d["heap"]["high"] == 5 * 128' \
		'd["bindings"][0]["label"] == "owner"'
	ctl 0 inspect "$(id_of 'h["used"] == 256 and h["kind"] == "partition"')"
	shows '^  blocks +4 of 4 in use, at most 4 so far$'
	shows '^  occupancy +\[#{50}\] 100%$'
	ctl 0 inspect "$(id_of 'h["backing"] == "own"')" --json
	json "d['region'] == {'attribute': 'cacheable', 'order': 1, 'address': '$own', 'size': 8192}" \
		'[(r["name"], r["order"], r["size"], r["backing"]) for r in d["regions"]] == [
			("spare", 0, 8192, "memory"), (None, 1, 8192, "own"), (None, 2, 65536, "memory"),
			("dma0", 0, 65536, "device")]' \
		'[r["used"] for r in d["regions"]] == [0, 0, 16384, 128]'
	ctl 0 inspect "$(id_of 'h["name"] == "dma0"')"
	shows '^dma0$'
	shows '^  attribute +noncacheable$'
	shows "^A $pid +128 +1 "
	shows '^> +[0-9]+ dma0 +noncacheable +0 0x'
	ctl 0 inspect "$(id_of 'h["kind"] == "pool"')"
	shows '^         0  \[==\]#\.\.\.\(\.\.\)\(\.\.\)$'
	shows '^  bad frees +1$'
	ctl 0 inspect "$(id_of 'h["kind"] == "pool"')" --json
	json 'd["pool"]["size"] == 1024 and d["pool"]["used_blocks"] == 2' 'd["heap"]["used"] == 256 + 64' \
		'd["pool"]["sizes"] == [
			{"size": 1024, "request": 1008, "used": 0, "free": 0, "left": 0},
			{"size": 256, "request": 240, "used": 1, "free": 2, "left": 2},
			{"size": 64, "request": 48, "used": 1, "free": 3, "left": 11}]'
	ctl 1 delete "$(id_of 'h["kind"] == "pool"')"
	says "it is its process's own"
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	until_true nothing
	finish
fi

# --- heapctl run

leftovers() { # folders that heapctl run left, of ours
	find "$dir" -name 'heapctl-run.*'
}
unset XDG_RUNTIME_DIR
export TMPDIR=$dir

run_own() { # STATUS ARGUMENTS...
	due=$1
	shift
	run "$due" "$HEAPCTL" run "$@"
	[ -z "$(leftovers)" ] || wrong "run $*: left $(leftovers)"
}

run_own 0 true
run_own 1 sh -c 'echo it failed >&2; exit 1'
says 'it failed'
run_own 0 sh -c "$HEAPCTL list && test -S \"\$HEAPD_SOCKET\""
err=x run_own 137 sh -c 'echo killed >&2; kill -KILL $$'
run_own 143 sh -c 'echo terminated >&2; kill -TERM $$'
run_own 127 "$dir/no-such-command"
says 'No such file'
touch "$dir/not-executable"
run_own 126 "$dir/not-executable"
says 'Permission denied'
run_own 0 -- sh -c 'test "$1" = --json' sh --json # the options of the command are the command's
run_own 0 -v true
says 'heapd: '
printf '[heaps]\nmax_size = 1M\n' >"$dir/conf"
run_own 1 --config "$dir/conf" "$HEAPCTL" create much 2M
says 'heapd creates at most 1048576'
printf 'nonsense\n' >"$dir/conf"
run_own 1 --config "$dir/conf" true
says "$dir/conf:1"
HEAPD=$dir/none run_own 1 true
says "HEAPD=$dir/none"
HEAPD=/bin/false run_own 1 true
says 'the private heapd has ended'

# its heapd dies under the command: said, and the command's own status counts
run_own 0 sh -c 'kill -KILL $('"$HEAPCTL"' stat --json | grep -oE "\"pid\": [0-9]+" | grep -oE "[0-9]+"); sleep 0.2'
says 'the private heapd has ended: killed by signal 9'

# signals reach the command; everything ends
start_run() {
	"$HEAPCTL" run -- sh -c "trap 'echo caught >$dir/caught; exit 5' TERM; echo \$HEAPD_SOCKET >$dir/socket.new;
		mv $dir/socket.new $dir/socket; while :; do sleep 0.05; done" &
	run_pid=$!
	started="$started $run_pid"
	until_true test -e "$dir/socket"
	socket=$(cat "$dir/socket")
	rm "$dir/socket"
	heapd_pid=$("$HEAPCTL" stat --json --socket "$socket" | grep -oE '"pid": [0-9]+' | grep -oE '[0-9]+')
}
gone() { ! kill -0 "$1"; }
start_run
kill -TERM $run_pid
wait $run_pid
got=$?
[ $got = 5 ] || wrong "run, terminated: exit status $got, where 5 was right"
[ -e "$dir/caught" ] || wrong 'the signal did not reach the command'
until_true gone "$heapd_pid"
[ -z "$(leftovers)" ] || wrong "run, terminated: left $(leftovers)"

# heapctl run is killed: its heapd and its command go all the same
rm "$dir/caught"
start_run
kill -KILL $run_pid
wait $run_pid 2>/dev/null
until_true gone "$heapd_pid"
until_true test -e "$dir/caught"

finish
