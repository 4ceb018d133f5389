"""machine.py: on what is measured, and whether it is quiet

Figures of a machine that others use are worth nothing. So what of it is busy while none of ours runs is looked at
before, after and between the rounds, and is part of the result.
"""
import os
import platform
import subprocess
import time
from pathlib import Path

QUIET = 0.2  # CPUs that others may keep busy on a machine that is called quiet; what the host of a virtual one takes is among it


def _first(path, key):
    try:
        for line in Path(path).read_text(encoding='utf-8', errors='replace').splitlines():
            name, _, rest = line.partition(':')
            if name.strip() == key:
                return rest.strip()
    except OSError:
        pass
    return None


def _times():
    """(busy, all) in ticks, of all CPUs. Waiting for a disk is not busy; what a hypervisor took is."""
    fields = [int(n) for n in Path('/proc/stat').read_text(encoding='ascii').splitlines()[0].split()[1:9]]
    total = sum(fields)
    return total - fields[3] - fields[4], total


def busy(seconds):
    """How many CPUs others keep busy."""
    before = _times()
    time.sleep(seconds)
    after = _times()
    total = after[1] - before[1]
    return (after[0] - before[0]) / total * os.cpu_count() if total else 0.0


def available():
    """Bytes of memory that can be had."""
    kib = _first('/proc/meminfo', 'MemAvailable')
    return int(kib.split()[0]) * 1024 if kib else 0


def commit(folder):
    done = subprocess.run(['git', '-C', str(folder), 'describe', '--always', '--dirty'], capture_output=True, text=True,
                          check=False)
    return done.stdout.strip() or None


def facts(folder):
    """folder: of the sources."""
    return {
        'cpu': _first('/proc/cpuinfo', 'model name') or platform.machine(),
        'cpus': os.cpu_count(),
        'memory_gib': round(int((_first('/proc/meminfo', 'MemTotal') or '0 kB').split()[0]) / 2**20, 1),
        'kernel': ' '.join((platform.system(), platform.release(), platform.machine())),
        'virtual': 'hypervisor' in (_first('/proc/cpuinfo', 'flags') or '').split(),
        'libc': ' '.join(platform.libc_ver()),
        'load': os.getloadavg()[0],
        'commit': commit(folder),
        'date': time.strftime('%Y-%m-%d %H:%M', time.gmtime()) + ' UTC',
    }


def other_cpu():
    """The CPU that the measured thread does not have: it is on the first of ours."""
    ours = sorted(os.sched_getaffinity(0))
    return ours[1] if len(ours) > 1 else ours[0]
