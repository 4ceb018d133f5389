"""cells.py: what is measured: the cells of the bench, in three sizes

A cell is one work with its values, done by several stores. Each (cell, store) is one process a round. Cells belong
to groups, by which they are asked for on the command line.

Not here: how a process is run (take.py), and what is made of its figures (figures.py).
"""
from dataclasses import dataclass, field

HEAPS = ('rt_heap', 'glibc', 'jemalloc', 'mimalloc', 'tcmalloc', 'boost')
POOLS = ('pt', 'dpdk', 'ck', 'treiber')
MACHINE = 'nothing'  # beside latencies: no store, only what the machine itself does
GIB = 1 << 30


@dataclass(frozen=True)
class Cell:
    group: str
    name: str            # unique, also in the JSON
    work: str            # of bench-STORE; or the measurement of heap-bench
    stores: tuple        # empty: heap-bench does it
    values: dict = field(default_factory=dict, hash=False, compare=False)
    disturbed: bool = False
    turns: int = 1       # how often the stores take turns in one round
    grows: str = ''      # growth: the value that grows
    needs: int = 0       # bytes of free memory


@dataclass(frozen=True)
class Scale:
    """How much of everything. processes: how many for each figure; latency_turns: times that many for each latency."""
    processes: int
    ms: int
    latency_ms: int
    latency_turns: int
    sizes: tuple
    daemon: tuple
    grow_heap: tuple
    grow_live: tuple
    grow_heaps: tuple
    counted: int         # pairs more, whose instructions are counted


FULL = Scale(5, 200, 2000, 3, (16, 64, 256, 1024, 4096, 16384, 65536),
             ('roundtrip', 'bind', 'create', 'handoff', 'multiheap', 'kmalloc', 'commit'),
             (64 << 10, 1 << 20, 16 << 20, 256 << 20, GIB, 8 * GIB), (10, 100, 1000, 10000, 100000, 1000000),
             (1, 10, 100, 1000, 10000), 100000)
QUICK = Scale(2, 20, 100, 1, (64, 4096), ('roundtrip', 'bind', 'create', 'handoff'),
              (64 << 10, 16 << 20), (10, 10000), (1, 100), 20000)
SMOKE = Scale(1, 2, 10, 2, (64,), ('roundtrip', 'create'), (64 << 10, 1 << 20), (10, 1000), (1, 10), 2000)


def human(n):
    """1024 -> '1 KiB'."""
    for unit in ('B', 'KiB', 'MiB', 'GiB'):
        if n < 1024 or n % 1024 or unit == 'GiB':
            return f'{n} {unit}'
        n //= 1024
    raise AssertionError


def threads_of(n):
    return 'one thread' if n == 1 else 'two threads'


def heap_cells(s):
    for size in s.sizes:
        for n in (1, 2):
            yield Cell('pair', f'pair {size} x{n}', 'pair', HEAPS, {'size': size, 'threads': n, 'ms': s.ms})
    for low, high, live in ((16, 1024, 10000), (1024, 65536, 1000)):
        for n in (1, 2):
            yield Cell('replace', f'replace {low}-{high} x{n}', 'replace', HEAPS,
                       {'size': low, 'size_max': high, 'live': live, 'threads': n, 'ms': s.ms})
    for size in (64, 1024):
        yield Cell('queue', f'queue {size}', 'queue', HEAPS, {'size': size, 'threads': 2, 'ms': s.ms})


def pool_cells(s):
    for size in (64, 2048):
        for n in (1, 2):
            yield Cell('partition', f'partition {size} x{n}', 'pair', POOLS,
                       {'size': size, 'threads': n, 'ms': s.ms})
        yield Cell('partition', f'partition queue {size}', 'queue', POOLS,
                   {'size': size, 'threads': 2, 'ms': s.ms})


def latency_cells(s, rt):
    """One thread: with two CPUs, the other one is for the disturbance.

    One call in 10,000 is about as many as a machine interrupts, and it does so in bursts of seconds: so which of
    two calls of the same length has the larger p99.99 is luck in any one process. Hence several turns in a round.
    """
    heap = {'size': 16, 'size_max': 1024, 'live': 10000, 'ms': s.latency_ms, 'rt': int(rt)}
    pool = {'size': 64, 'live': 1000, 'ms': s.latency_ms, 'rt': int(rt)}
    for disturbed in (False, True):
        how = 'disturbed' if disturbed else 'quiet'
        yield Cell('latency', f'latency heap {how}', 'latency', (*HEAPS, MACHINE), heap, disturbed, s.latency_turns)
        yield Cell('latency', f'latency partition {how}', 'latency', (*POOLS, MACHINE), pool, disturbed,
                   s.latency_turns)


def daemon_cells(s, rt):
    for name in s.daemon:
        if name == 'handoff' and not rt:
            continue
        yield Cell('daemon', name, name, (), needs=6 * GIB if name == 'commit' else 0)


def growth_cells(s):
    for heap in s.grow_heap:
        yield Cell('growth', f'heap of {human(heap)}', 'pair', ('rt_heap',), {'size': 64, 'heap': heap, 'ms': s.ms},
                   grows='heap', needs=heap + 2 * GIB if heap >= GIB else 0)
    for live in s.grow_live:
        yield Cell('growth', f'{live} live blocks', 'replace', ('rt_heap',),
                   {'size': 16, 'size_max': 1024, 'live': live, 'ms': s.ms}, grows='live',
                   needs=live * 1024 + 2 * GIB if live >= 100000 else 0)
    for heaps in s.grow_heaps:
        yield Cell('growth', f'{heaps} heaps', 'pair', ('rt_heaps',),
                   {'size': 64, 'heap': 4096, 'heaps': heaps, 'ms': s.ms}, grows='heaps')


def cells(scale, rt=True):
    """All cells of a scale. rt: SCHED_FIFO is permitted and wanted."""
    return [*heap_cells(scale), *pool_cells(scale), *latency_cells(scale, rt), *daemon_cells(scale, rt),
            *growth_cells(scale)]


GROUPS = ('pair', 'replace', 'queue', 'partition', 'latency', 'daemon', 'growth')
