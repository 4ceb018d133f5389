# tests.sh: what is tested under systemd; read by under-systemd
# Each function is one test and leaves heapd as the next may find it: stopped or started.

mib=1048576

users_and_places() {
	in_ systemd-sysusers || failed 'systemd-sysusers'
	in_ systemd-tmpfiles --create heapd.conf || failed 'systemd-tmpfiles'
	in_ systemctl daemon-reload
	expect heapd "$(in_ id -un heapd)" 'user'
	expect heapd "$(in_ id -gn heapd)" 'group'
	expect '755 root root' "$(in_ stat -c '%a %U %G' /run/heapd)" '/run/heapd'
	expect /usr/sbin/nologin "$(in_ getent passwd heapd | cut -d: -f7)" 'shell'
	in_ systemd-analyze verify --man=no heapd.service heapd.socket || failed 'systemd-analyze verify'
}

start() {
	in_ systemctl start heapd || failed 'systemctl start heapd'
	expect active "$(property ActiveState)" state
	expect notify "$(property Type)" type
	expect active "$(property ActiveState heapd.socket)" 'socket state'
	expect '666 root' "$(in_ stat -c '%a %U' /run/heapd/heapd.sock)" socket
	in_log 6 '^ready: version '
	expect heapd "$(in_ ps -o user= -p "$(property MainPID)")" 'runs as'
	[ -n "$(property StatusText)" ] || failed 'no status text'
	expect good "$(in_ heapd-test-client pool $mib)" 'a private heap'
}

status_text() {
	local before
	before=$(property StatusText)
	status_changed() { [ "$(property StatusText)" != "$before" ]; }
	coproc HOLDER { exec_in heapd-test-client hold status-text $mib; }
	local in=${HOLDER[1]} out=${HOLDER[0]} pid=$HOLDER_PID
	read -r -t 10 said <&"$out"
	expect ready "$said" 'client'
	try_for 5 status_changed || failed "the status text stays '$before'"
	exec {in}>&-
	wait "$pid"
	expect deleted "$(in_ heapd-test-client delete status-text)" 'delete'
	status_back() { [ "$(property StatusText)" = "$before" ]; }
	try_for 5 status_back || failed "the status text stays '$(property StatusText)'"
}

little_privilege() {
	local ipc_lock=0000000000004000 exposure
	for set in CapPrm CapEff CapBnd CapAmb; do
		expect $ipc_lock "$(main_status $set)" $set
	done
	expect 1 "$(main_status NoNewPrivs)" NoNewPrivs
	expect 2 "$(main_status Seccomp)" Seccomp
	exposure=$(in_ systemd-analyze security heapd.service --no-pager | sed -n 's/.*exposure level for heapd.service: \([0-9.]*\).*/\1/p')
	awk -v e="$exposure" 'BEGIN { exit !(e != "" && e < 2.0) }' || failed "exposure is '$exposure'"
	echo "    exposure $exposure"
	# what it has open and could write to: sockets, memory, events; no file
	in_ find "/proc/$(property MainPID)/fd" -type l -printf '%l\n' | grep -vE '^(socket|anon_inode|pipe):|^/dev/null$|^/memfd:|^/proc/' |
		grep -q . && failed 'open files' "$(in_ find "/proc/$(property MainPID)/fd" -type l -printf '%l ')"
}

uses_io_uring() { # the seccomp filter lets it through, where the kernel does
	[ "$(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null || echo 0)" = 0 ] || return
	in_ find "/proc/$(property MainPID)/fd" -type l -printf '%l\n' | grep -q io_uring || failed 'no ring is open'
	in_ journalctl -q -u heapd.service -o cat | grep -q 'io_uring is refused' && failed 'refused later'
}

arenas_locked() {
	local before after
	before=$(main_status VmLck)
	coproc HOLDER { exec_in heapd-test-client hold locked $((64 * mib)); }
	local in=${HOLDER[1]} out=${HOLDER[0]} pid=$HOLDER_PID
	read -r -t 30 said <&"$out"
	expect ready "$said" 'client'
	after=$(main_status VmLck)
	[ $((${after% kB} - ${before% kB})) -ge 65536 ] || failed "VmLck $before, then $after"
	exec {in}>&-
	wait "$pid"
	expect deleted "$(in_ heapd-test-client delete locked)" 'delete'
	unlocked() { [ "$(main_status VmLck)" = "$before" ]; }
	try_for 10 unlocked || failed "VmLck $before before, $(main_status VmLck) at the end"
}

reload_good() {
	local pid
	pid=$(property MainPID)
	expect good "$(in_ heapd-test-client pool $((2 * mib)))" 'before'
	configure '[heaps]\nmax_size = 1M\n'
	in_ systemctl reload heapd || failed 'systemctl reload'
	in_log 6 '^configuration reloaded$'
	expect EINVAL "$(in_ heapd-test-client pool $((2 * mib)))" 'after'
	expect good "$(in_ heapd-test-client pool $mib)" 'after, smaller'
	expect active "$(property ActiveState)" state
	expect "$pid" "$(property MainPID)" 'the same process'
}

reload_bad() {
	local pid
	pid=$(property MainPID)
	configure '[heaps]\nmax_size = 8M\n\n[deamon]\npriority = 1\n[limits]\nheaps = many\n'
	in_ systemctl reload heapd || failed 'systemctl reload'
	in_log 3 'heapd\.conf:4: unknown section \[deamon\]'
	in_log 3 'heapd\.conf:7: heaps = many: expected a number'
	in_log 3 '^the configuration stays as it was$'
	expect EINVAL "$(in_ heapd-test-client pool $((2 * mib)))" 'the old limit'
	expect active "$(property ActiveState)" state
	expect "$pid" "$(property MainPID)" 'the same process'
	in_ heapd --check-config >/dev/null 2>&1 && failed '--check-config calls it good'
	configure ''
	in_ systemctl reload heapd
	expect good "$(in_ heapd-test-client pool $((2 * mib)))" 'without limit again'
	in_ heapd --check-config >/dev/null || failed '--check-config'
	in_ heapd --check-config --config "$prefix/share/doc/heapd/heapd.conf" >/dev/null || failed 'the example'
}

stop() {
	stop_all || failed 'systemctl stop'
	expect inactive "$(property ActiveState)" state
	expect success "$(property Result)" result
	expect 0 "$(property ExecMainStatus)" 'exit status'
	expect ECONNREFUSED "$(in_ heapd-test-client pool $mib)" 'a client'
	in_ test -e /run/heapd/heapd.sock && failed 'the socket is still there'
}

start_by_socket() {
	in_ systemctl start heapd.socket || failed 'systemctl start heapd.socket'
	expect inactive "$(property ActiveState)" 'before'
	expect good "$(as nobody pool $mib)" 'the first client'
	expect active "$(property ActiveState)" 'after'
	in_ systemctl stop heapd.service 2>/dev/null
	expect inactive "$(property ActiveState)" 'stopped'
	expect good "$(as nobody pool $mib)" 'the next client'
	expect active "$(property ActiveState)" 'again'
}

enable() {
	in_ systemctl -q enable heapd || failed 'systemctl enable'
	expect enabled "$(in_ systemctl is-enabled heapd.service)" service
	expect enabled "$(in_ systemctl is-enabled heapd.socket)" socket
	in_ systemctl -q disable heapd
}

restart_after_crash() {
	local pid
	pid=$(property MainPID)
	send KILL "$pid"
	another() { local p; p=$(property MainPID); [ "$p" != 0 ] && [ "$p" != "$pid" ] && [ "$(property ActiveState)" = active ]; }
	try_for 10 another || failed "not started again: $(property ActiveState)"
	expect good "$(in_ heapd-test-client pool $mib)" 'a client'
}

# A process that has a heap goes on whatever becomes of heapd: killed, restarted, replaced by a newer build. Stopped, and
# started again, is the end: systemd lets go of what it kept.
outlives() {
	local pid bin version newer
	in_ systemctl restart heapd || failed restart
	stored() { property NFileDescriptorStore; }
	empty() { [ "$(stored)" = 1 ]; } # the state
	try_for 10 empty || failed "stored at first: $(stored)"
	coproc WORKER { exec_in heapd-test-client work survivor $mib; }
	local in=${WORKER[1]} out worker=$WORKER_PID
	exec {out}<&"${WORKER[0]}" # bash closes its own when the process ends
	read -r -t 10 said <&"$out"
	expect ready "$said" 'client'
	expect 5 "$(stored)" 'stored: state, a heap, three of a session'
	another() { local p; p=$(property MainPID); [ "$p" != 0 ] && [ "$p" != "$pid" ] && [ "$(property ActiveState)" = active ]; }
	for _ in 1 2 3; do
		pid=$(property MainPID)
		send KILL "$pid"
		try_for 10 another || failed "not started again: $(property ActiveState)"
		in_log 6 '^goes on with 1 heaps, 1 sessions, 1 bindings$'
		in_ heapctl list --noheadings | grep -q '\<survivor\>' || failed 'the heap is gone after a kill'
	done
	in_ systemctl restart heapd || failed restart
	in_ heapctl list --noheadings | grep -q '\<survivor\>' || failed 'the heap is gone after a restart'
	bin=$(in_ sh -c 'command -v heapd')
	version=$(in_ heapd --version | sed 's/.* //')
	newer=${version%?}9
	cp "$inside$bin" "$dir/heapd.before"
	sed "s/$version/$newer/g" "$dir/heapd.before" >"$dir/heapd.newer"
	cp "$dir/heapd.newer" "$inside$bin.newer" && chmod 755 "$inside$bin.newer" && mv "$inside$bin.newer" "$inside$bin"
	in_ systemctl restart heapd || failed 'restart of the newer build'
	in_log 6 "^ready: version $newer"
	in_ heapctl list --noheadings | grep -q '\<survivor\>' || failed 'the heap is gone after an upgrade'
	cp "$dir/heapd.before" "$inside$bin.before" && chmod 755 "$inside$bin.before" && mv "$inside$bin.before" "$inside$bin"
	in_ systemctl restart heapd || failed 'restart of the older build'
	expect 5 "$(stored)" 'stored after all that'
	exec {in}>&-
	read -r -t 10 said <&"$out"
	expect good "$said" 'the client in the end'
	wait "$worker"
	exec {out}<&-
	expect deleted "$(in_ heapd-test-client delete survivor)" 'delete'
	try_for 10 empty || failed "stored at the end: $(stored)"

	coproc WORKER { exec_in heapd-test-client work mortal $mib; }
	in=${WORKER[1]} worker=$WORKER_PID
	exec {out}<&"${WORKER[0]}"
	read -r -t 10 said <&"$out"
	expect ready "$said" 'client'
	stop_all
	in_ systemctl start heapd || failed start
	read -r -t 20 said <&"$out"
	case $said in # its call to the daemon, or its own look at the heap: whichever came first
	EIDRM | ECONNREFUSED) ;;
	*) failed "a client of a daemon that was stopped: '$said'" ;;
	esac
	exec {in}>&-
	wait "$worker"
	exec {out}<&-
	in_ heapctl list --noheadings | grep -q . && failed 'heaps after stop and start'
}

watchdog() {
	local pid dropin=/run/systemd/system/heapd.service.d
	in_ mkdir -p $dropin
	in_ sh -c "printf '[Service]\nWatchdogSec=1s\nTimeoutAbortSec=2s\nLimitCORE=0\n' >$dropin/test.conf"
	in_ systemctl daemon-reload
	in_ systemctl restart heapd || failed restart
	pid=$(property MainPID)
	sleep 3
	expect "$pid" "$(property MainPID)" 'three times the watchdog later'
	expect active "$(property ActiveState)" state
	send STOP "$pid"
	another() { local p; p=$(property MainPID); [ "$p" != 0 ] && [ "$p" != "$pid" ] && [ "$(property ActiveState)" = active ]; }
	try_for 20 another || failed "a stopped heapd was not replaced: $(property ActiveState)"
	in_ journalctl -q -u heapd.service --since "$since" -o cat | grep -q 'Watchdog timeout' ||
		failed 'no watchdog timeout in the journal'
	expect good "$(in_ heapd-test-client pool $mib)" 'a client'
	in_ rm -r $dropin
	in_ systemctl daemon-reload
	in_ systemctl restart heapd
}

# Only the main thread is real-time. Where this place does not permit it, one line says so, and the capability
# in place of the limit shows that nothing else is in the way.
priority() {
	local pid dropin=/run/systemd/system/heapd.service.d
	configure '[daemon]\npriority = 7\nlock_memory = yes\n'
	in_ systemctl restart heapd || failed restart
	pid=$(property MainPID)
	if [ "$(in_ sed -n 's/^Max realtime priority *\([0-9a-z]*\).*/\1/p' "/proc/$pid/limits")" = 0 ]; then
		in_log 4 '^cannot run at real-time priority 7: .*; it takes CAP_SYS_NICE or LimitRTPRIO=7$'
		in_ mkdir -p $dropin
		in_ sh -c "printf '[Service]\nCapabilityBoundingSet=CAP_SYS_NICE\nAmbientCapabilities=CAP_SYS_NICE\n' >$dropin/test.conf"
		in_ systemctl daemon-reload
		in_ systemctl restart heapd || failed restart
		pid=$(property MainPID)
		in_ rm -r $dropin
		in_ systemctl daemon-reload
	fi
	in_log 6 '^runs at real-time priority 7$'
	expect good "$(in_ heapd-test-client pool $((16 * mib)))" 'a client'
	expect "$pid $pid FF 7" "$(in_ ps -L -o pid=,lwp=,cls=,rtprio= -p "$pid" | awk '$3 == "FF" { print $1, $2, $3, $4 }')" \
		'threads at FIFO'
	in_ grep -q 'VmLck:.* [1-9]' "/proc/$pid/status" || failed 'nothing is locked'
	configure ''
	in_ systemctl restart heapd
}

# alice owns; bob is in the group lab, as she is; carol is not
access() {
	for user in alice bob carol; do
		in_ useradd -M -N -g nogroup $user || failed useradd
	done
	in_ groupadd lab
	in_ usermod -aG lab alice
	in_ usermod -aG lab bob
	configure '[heap "lab-*"]\nmode = 0660\ngroup = lab\n[heap "look-*"]\nmode = 0640\ngroup = lab\n[heap "all-*"]\nmode = 0666\n'
	in_ systemctl restart heapd
	local rows='mine write EACCES EACCES
lab-bench write write EACCES
look-here write read EACCES
all-of-us write write write'
	local name alice bob carol
	while read -r name alice bob carol; do
		expect "" "$(as alice hold "$name" $mib </dev/null | grep -v '^ready$')" "$name is created"
		expect "$alice" "$(as alice try "$name")" "alice on $name"
		expect "$bob" "$(as bob try "$name")" "bob on $name"
		expect "$carol" "$(as carol try "$name")" "carol on $name"
		expect write "$(in_ heapd-test-client try "$name")" "root on $name"
		case $bob in
		EACCES) expect EACCES "$(as bob delete "$name")" "bob deletes $name" ;;
		*) expect EPERM "$(as bob delete "$name")" "bob deletes $name" ;;
		esac
		in_ setpriv --reuid carol --regid nogroup --init-groups heapctl inspect "$name" >/dev/null 2>&1 &&
			[ "$carol" = EACCES ] && failed "carol inspects $name"
		expect deleted "$(as alice delete "$name")" "alice deletes $name"
	done <<<"$rows"
	configure '[heaps]\ncreate = lab\n'
	in_ systemctl restart heapd
	expect EACCES "$(as carol pool $mib)" 'carol creates, who may not'
	expect good "$(as alice pool $mib)" 'alice creates'
	configure ''
	in_ systemctl restart heapd
}

# The memory of all heaps together counts as the service's: its limit is -ENOMEM, not a dead daemon.
memory_limit() {
	local pid
	in_ grep -qw memory /sys/fs/cgroup/system.slice/cgroup.controllers || {
		echo '    (no memory controller here)'
		return
	}
	in_ systemctl set-property --runtime heapd.service MemoryMax=64M
	pid=$(property MainPID)
	expect good "$(in_ heapd-test-client pool $((16 * mib)))" 'below the limit'
	expect ENOMEM "$(in_ heapd-test-client pool $((128 * mib)))" 'above the limit'
	expect "$pid" "$(property MainPID)" 'the same process'
	in_ systemctl set-property --runtime heapd.service MemoryMax=infinity
}

heapctl_there() {
	expect 0 "$(in_ heapctl list --noheadings | wc -l)" 'an empty list'
	in_ heapctl create seen $mib --shared || failed 'heapctl create'
	in_ heapctl list --noheadings | grep -q '\<seen\>' || failed 'heapctl list does not show it'
	as nobody try seen >/dev/null
	in_ heapctl stat >/dev/null || failed 'heapctl stat'
	in_ heapctl delete seen || failed 'heapctl delete'
}

quiet_at_the_end() { # nothing above info that nobody asked for
	local odd
	odd=$(in_ journalctl -q -b -p 4 -u heapd.service -o cat _COMM=heapd | grep -vE \
		'heapd\.conf:|configuration stays as it was|real-time priority')
	expect '' "$odd" 'warnings'
}

for test in users_and_places start status_text little_privilege uses_io_uring arenas_locked reload_good reload_bad stop \
	start_by_socket enable restart_after_crash outlives watchdog priority access memory_limit heapctl_there quiet_at_the_end stop; do
	run $test
done
