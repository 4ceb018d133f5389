#!/bin/sh
# documented.sh SOURCE: docs/protocol.md names every opcode, status, struct, field and constant of the wire
cd "${1:-.}" || exit 1
bad=0

word() { # WORD: the page has it as code or as a heading
	grep -qE "(\`|^#+ (Event: )?|struct )$1(\`|\$)" docs/protocol.md && return
	echo "documented: docs/protocol.md does not speak of $1" >&2
	bad=1
}

code=$(sed 's|//.*||; s|/\*.*\*/||' proto/wire.h)
ops=$(echo "$code" | grep -oE '^[[:space:]](OP|EV)_[A-Z_]+' | grep -vE '_(COUNT|LAST)' | sed 's/.*_//')
statuses=$(grep -oE '^[[:space:]]STATUS_[A-Z_]+' proto/status.h | grep -v COUNT)
values=$(echo "$code" | grep -oE '^[[:space:]](KIND|ACCESS|STATE|BACKING)_[A-Z]+|enum wire_(state|quarter) .*' |
	grep -oE '(KIND|ACCESS|STATE|BACKING|QUARTER)_[A-Z]+' | grep -v LAST)
flags=$(echo "$code" | grep -oE 'WIRE_(CREATE|BIND|REFILL|RESUME|FEATURE)_[A-Z]+|WIRE_(PERM|GID)_DEFAULT|WIRE_(NON_)?CACHEABLE' |
	grep -vE 'CREATE_ALL|RESUME_RUNS' | sort -u)
structs=$(echo "$code" | grep -oE '^struct wire_[a-z]+' | sed 's/struct //' | grep -v header | sort -u)
fields=$(echo "$code" | grep -oE '^[[:space:]](_Atomic |struct |u?int|char)[a-z0-9_ ]*[[:space:]][a-z_]+(\[|;)' |
	grep -oE '[a-z_]+(\[|;)$' | tr -d '[;' | sort -u)

for w in $ops $statuses $values $flags $structs $fields; do
	word "$w"
done
# the lists were found at all
[ "$(echo "$ops" | wc -l)" -ge 22 ] && [ "$(echo "$statuses" | wc -l)" -ge 20 ] &&
	[ "$(echo "$structs" | wc -l)" -ge 30 ] && [ "$(echo "$fields" | wc -l)" -ge 60 ] || {
	echo 'documented: the lists are too short; has wire.h another shape now?' >&2
	bad=1
}
exit $bad
