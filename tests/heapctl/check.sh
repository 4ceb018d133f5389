# check.sh: sourced by the tests of heapctl: runs, compares, counts what is wrong
#
# heapctl is in $HEAPCTL. $dir is a temporary folder that is removed at the end, with all processes whose
# pids were added to $started.

dir=$(mktemp -d "${TMPDIR:-/tmp}/heapctl-test.XXXXXX") || exit 1
started=
bad=0
n=0

clean_up() {
	{
		for pid in $started; do
			kill -KILL "$pid"
		done
		wait
	} 2>/dev/null # the shell would tell of each
	rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

wrong() { # WHAT
	echo "WRONG: $*" >&2
	bad=$((bad + 1))
}

# run STATUS COMMAND...: the output is in $out, what came on stderr in $err
run() {
	due=$1
	shift
	n=$((n + 1))
	"$@" >"$dir/out" 2>"$dir/err" </dev/null
	got=$?
	out=$(cat "$dir/out")
	err=$(cat "$dir/err")
	[ $got = "$due" ] || wrong "$*: exit status $got, where $due was right: $err"
	[ "$due" = 0 ] || [ -n "$err" ] || wrong "$*: failed without a word"
}

ctl() { # STATUS ARGUMENT...
	due=$1
	shift
	run "$due" "$HEAPCTL" "$@"
}

# One line on stderr, and nothing on stdout.
one_line() {
	[ "$(echo "$err" | wc -l)" = 1 ] && [ -z "$out" ] || wrong "not one line on stderr: $out$err"
}

says() { # TEXT: stderr has it
	case $err in *"$1"*) ;; *) wrong "stderr has not '$1': $err" ;; esac
}

shows() { # REGEX: a line of stdout matches it
	grep -qE -e "$1" "$dir/out" || wrong "no line matches '$1': $out"
}

lacks() { # REGEX: no line of stdout matches it
	if grep -qE -e "$1" "$dir/out"; then wrong "a line matches '$1': $out"; fi
}

json() { # EXPRESSION...: the output is one JSON document d of which each Python expression is true
	python3 - "$dir/out" "$@" <<-'PYTHON' || wrong "JSON: $*"
		import json, sys
		d = json.load(open(sys.argv[1], encoding="utf-8"))
		for e in sys.argv[2:]:
		    if not eval(e):
		        sys.exit("not true: " + e)
	PYTHON
}

until_true() { # COMMAND...: waits for it, at most 20 seconds
	i=0
	until "$@" >/dev/null 2>&1; do
		i=$((i + 1))
		[ $i -lt 1000 ] || {
			wrong "did not happen in 20 seconds: $*"
			return 1
		}
		sleep 0.02
	done
}

finish() {
	[ $n -gt 0 ] || wrong 'nothing was run'
	[ $bad = 0 ] && echo "$n runs, all as they should be"
	exit $((bad > 0))
}
