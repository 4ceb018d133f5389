#!/bin/bash
# tour.sh BUILD: the main job, for real, on a private heapd
#
# It starts the heapd of the build folder on a socket in a temporary folder, lets real processes
# (examples/segment.c, pool.c, interfaces.c) share, fill, wait and die, and shows what heapctl says of
# it. Every figure it prints it also checks: it exits with 1 at the first one that is wrong, and with
# what it started ended and removed in any case.
set -u

build=$(cd "${1:?usage: tour.sh BUILD}" && pwd) || exit 1
PATH=$build/daemon:$build/heapctl:$build/examples:$PATH
dir=$(mktemp -d "${TMPDIR:-/tmp}/heapd-tour.XXXXXX") || exit 1
export HEAPD_SOCKET=$dir/heapd.sock
started=()
patience=60 # seconds for any one step: only a hang takes that long

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi

step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
say() { printf '   %s\n' "$*"; }

show() { # COMMAND...: runs it and shows what it prints
	printf '   %s$ %s%s\n' "$dim" "$*" "$plain"
	"$@" >"$dir/shown" || fail "$* failed"
	sed 's/^/   /' "$dir/shown"
}

fail() {
	printf '\ntour: FAILED: %s\n' "$*" >&2
	if [ -s "$dir/log" ]; then
		printf 'tour: the log of heapd:\n' >&2
		cat "$dir/log" >&2
	fi
	exit 1
}

clean_up() {
	local pid

	for pid in "${started[@]}"; do
		kill -KILL "$pid" 2>/dev/null
	done
	wait
	rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

until_true() { # WHAT COMMAND...: waits until the command succeeds
	local what=$1 end=$((SECONDS + patience))

	shift
	until "$@" 2>/dev/null; do
		[ $SECONDS -lt $end ] || fail "$what: it did not happen in $patience seconds"
		sleep 0.02
	done
}

expect() { # WHAT WANTED GOT
	[ "$2" = "$3" ] || fail "$1: $3, where $2 was right"
}

number() { # NTH TEXT: the nth number in a line of text
	grep -oE '[0-9]+' <<<"$2" | sed -n "$1p"
}

# --- a process that obeys (examples/pool.c): its commands go through a pipe, its answers come through another

start_pool() { # LETTER ARGUMENT...: starts a pool process; waits until it is bound
	local it=$1

	shift
	mkfifo "$dir/$it.in" "$dir/$it.out" || fail 'mkfifo'
	pool "$@" <"$dir/$it.in" >"$dir/$it.out" &
	started+=($!)
	declare -g "pid_$it=$!"
	exec {fd}>"$dir/$it.in"
	declare -g "in_$it=$fd"
	exec {fd}<"$dir/$it.out"
	declare -g "out_$it=$fd"
	hear "$it"
}

hear() { # LETTER: the next line it says, in $answer
	local out=out_$1

	read -r -t $patience -u "${!out}" answer || fail "process $1 says nothing"
	say "$1: $answer"
}

tell() { # LETTER COMMAND...: tells it to do something; its answer is in $answer
	local it=$1 in=in_$1

	shift
	echo "$*" >&"${!in}" || fail "process $it is gone"
	hear "$it"
}

hang_up() { # LETTER: end of its input; it must end well
	local in=in_$1 pid=pid_$1
	local fd=${!in}

	exec {fd}>&-
	wait "${!pid}" || fail "process $it ended with status $?"
}

used_is() { # BYTES: whether rt_heap_inquire in process A says that so many are used
	tell A info >/dev/null
	[ "$(number 1 "$answer")" = "$1" ]
}

# --- the daemon

step 'A private heapd'
printf '[daemon]\nrecall = 10s\n' >"$dir/heapd.conf" # however busy this machine is
show heapd --version
heapd --foreground --socket "$HEAPD_SOCKET" --config "$dir/heapd.conf" 2>"$dir/log" &
heapd=$!
started+=("$heapd")
until_true 'heapd answers' heapctl stat >"$dir/shown"
say "heapd runs as process $heapd on $HEAPD_SOCKET"

# --- 1

step 'A process binds a shared segment that does not exist yet, and waits'
segment receive tour.segment >"$dir/receiver" &
receiver=$!
started+=("$receiver")
parked() { heapctl stat --json | grep -qE '"parked.?binds": *"?1\b'; }
until_true 'the bind waits at the daemon' parked
sed 's/^/   receiver: /' "$dir/receiver"
say "heapctl stat counts 1 bind that waits"

step 'Another one creates it; they exchange a megabyte'
segment send tour.segment >"$dir/sender" || fail 'the sender'
wait "$receiver" || fail 'the receiver'
sed 's/^/   sender:   /' "$dir/sender"
sed 's/^/   receiver: /' "$dir/receiver"
sent=$(sed -n 's/^sent 1048576 bytes, checksum //p' "$dir/sender")
received=$(sed -n 's/^received 1048576 bytes, checksum \([0-9a-f]*\) .*/\1/p' "$dir/receiver")
[ -n "$sent" ] || fail 'the sender announced no checksum'
expect 'checksum of what came' "$sent" "$received"

# --- 2

pages=256 # a heap of 1 MiB: exactly so many blocks of 4096 bytes
step 'Two processes draw blocks from one named heap until it is full'
start_pool A create tour.pool $((pages * 4096))
start_pool B bind tour.pool
tell A fill 4096 100
expect 'blocks of A' 100 "$(number 1 "$answer")"
tell B fill 4096
expect 'blocks of B: all the rest' $((pages - 100)) "$(number 1 "$answer")"
tell A fill 4096
expect 'blocks left for A' 0 "$(number 1 "$answer")"
tell A info
expect 'bytes used: every byte of the heap' $((pages * 4096)) "$(number 1 "$answer")"

step 'A waits for one more'
tell A take 4096 $((patience * 1000))
waiting() { heapctl inspect tour.pool --json | grep -qE '"waiters": *"?1\b|"priority":'; }
until_true 'A waits at the daemon' waiting
show heapctl inspect tour.pool

step 'B frees one; A goes on'
tell B give 1
hear A
expect 'blocks that A got' 1 "$(number 1 "$answer")"

step 'A block goes from one process to the other by its offset, and is freed there'
tell B give 1
tell B send a block of B, read and freed by A
offset=$(number 1 "$answer")
tell A receive "$offset"
expect 'what A read' 'received a block of B, read and freed by A' "$answer"
held=$((pages - 100 - 2)) # by B
until_true 'the block is free again' used_is $(((101 + held) * 4096))
say 'the block is free again'

# --- 3

step 'B is killed with SIGKILL while it holds most of the heap'
show heapctl list
show heapctl inspect tour.pool
kill -KILL "$pid_B"
wait "$pid_B" 2>/dev/null
expect 'status of B: killed by signal 9' $((128 + 9)) $?
say "process $pid_B is gone"
until_true 'the pages of B come back' used_is $((101 * 4096))
show heapctl list
show heapctl inspect tour.pool

step 'A takes what B held'
tell A fill 4096
expect 'blocks that came back' $((held + 1)) "$(number 1 "$answer")"
tell A info
expect 'bytes used' $((pages * 4096)) "$(number 1 "$answer")"

step 'The heap is deleted'
tell A delete
hang_up A

# --- 4

step 'A process uses all four interfaces; heapctl shows what it has of each'
mkfifo "$dir/interfaces.in"
interfaces <"$dir/interfaces.in" >"$dir/interfaces" &
pid_interfaces=$!
started+=("$pid_interfaces")
exec {in_interfaces}>"$dir/interfaces.in"
until_true 'it has taken a block of each' grep -q ready "$dir/interfaces"
show heapctl list
expect 'kinds of memory' 'heap partition pool region' "$(heapctl list -n -o kind | sort | xargs)"
pool=$(heapctl list -n -o kind,id | awk '$1 == "pool" { print $2 }')
show heapctl inspect "$pool"
expect 'its blocks of 256 bytes' '256 240 1 3 15' "$(awk '$1 == 256' "$dir/shown" | xargs)"
exec {in_interfaces}>&-
wait "$pid_interfaces" || fail "it ended with status $?"

# --- the end

step 'All is given back, heapd ends'
nothing() { [ -z "$(heapctl list)" ]; }
until_true 'nothing is left' nothing
show heapctl list
kill -TERM "$heapd"
wait "$heapd" || fail "heapd ended with status $?"
say 'heapd ended as asked'
