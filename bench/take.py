"""take.py: runs the processes of the bench, one at a time, and takes what they print

Every process is of its own: no two stores meet, and none inherits another's memory. A process that fails raises
Failed: a figure that is missing must not look like one that is not wanted. What a store cannot do (exit status 77) is
left out.

Not here: what to run (cells.py) and in which order (run.py).
"""
import contextlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

SKIPPED = 77
TIMEOUT = 300


class Failed(Exception):
    """A process did not do what it was asked."""


def run(command, **more):
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT,
                              check=False, **more)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Failed(f'{" ".join(map(str, command))}: {e}') from e


def output(command):
    """Its stdout; None: it says it cannot (77)."""
    done = run(command)
    if done.returncode == SKIPPED:
        return None
    if done.returncode != 0:
        raise Failed(f'{" ".join(map(str, command))}: {done.stderr.strip() or f"status {done.returncode}"}')
    return done.stdout


class Instructions:
    """Counts the instructions of a program in user space: by the processor where perf can, else under callgrind.

    Under callgrind there are no restartable sequences: what it counts there is the way that machines
    without them take.
    """

    def __init__(self, wanted=True):
        self.how = None
        for how in ('perf', 'callgrind') if wanted else ():
            self.how = how
            with contextlib.suppress(Failed):
                if self.of(['true']) is not None:
                    return
            self.how = None

    def of(self, command):
        """None: it cannot be counted."""
        if self.how == 'perf':
            if not shutil.which('perf'):
                return None
            done = run(['perf', 'stat', '-x', ',', '-e', 'instructions:u', '--', *command])
            found = re.search(r'^(\d+),[^\n]*instructions:u', done.stderr, re.M)
        else:
            if not shutil.which('valgrind'):
                return None
            done = run(['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null', *command])
            found = re.search(r'Collected : (\d+)', done.stderr)
        if done.returncode != 0:
            raise Failed(f'{" ".join(map(str, command))}: {done.stderr.strip()[-400:]}')
        return int(found[1]) if found else None

    def per_pair(self, command, pairs):
        """Of one pair: what a run of so many pairs more has more. None: it cannot be counted."""
        if not self.how:
            return None
        few, many = (self.of([*command, f'pairs={n}']) for n in (1000, 1000 + pairs))
        return None if few is None or many is None else (many - few) / pairs


class Bench:
    """The programs in a build folder."""

    def __init__(self, folder, scratch, other_cpu):
        self.folder, self.scratch, self.other_cpu = Path(folder), Path(scratch), other_cpu

    def has(self, store):
        return (self.folder / f'bench-{store}').exists()

    def command(self, cell, store):
        return [str(self.folder / f'bench-{store}'), cell.work, *(f'{k}={v}' for k, v in cell.values.items())]

    @contextlib.contextmanager
    def disturbance(self, wanted):
        """A busy machine, for as long as the block lasts, and a quiet one behind it."""
        if not wanted:
            yield
            return
        with subprocess.Popen([str(self.folder / 'bench-disturb'), str(self.other_cpu), str(self.scratch)],
                              stdout=subprocess.PIPE, text=True) as busy:
            try:
                if busy.stdout.readline() != 'ready\n':
                    raise Failed('bench-disturb did not start')
                yield
                if busy.poll() is not None:
                    raise Failed('bench-disturb ended by itself')
            finally:
                busy.kill()
                busy.stdout.read()  # to its end: the last of its processes has given its memory back

    def sample(self, cell, store):
        """One process of a store. None: the store cannot do that."""
        with self.disturbance(cell.disturbed):
            text = output(self.command(cell, store))
        if text is None:
            return None
        try:
            return json.loads(text)
        except ValueError as e:
            raise Failed(f'bench-{store} {cell.work}: {e}') from e

    def measurement(self, cell):
        """One process of heap-bench: the rows it prints."""
        text = output([str(self.folder / 'heap-bench'), '--json', '--rounds', '1', cell.work])
        try:
            rows = [json.loads(line) for line in text.splitlines()]
        except ValueError as e:
            raise Failed(f'heap-bench {cell.work}: {e}') from e
        if not rows:
            raise Failed(f'heap-bench {cell.work}: printed nothing')
        return {'rows': rows}


def note(text):
    print(f'bench: {text}', file=sys.stderr, flush=True)
