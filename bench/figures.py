"""figures.py: from what processes printed to figures: medians, percentiles, ratios, flatness, and the bars

A sample is the JSON object of one process. Samples of a (cell, store) come round by round; a ratio is the median
of the ratios round by round, so that a machine whose speed drifts does not decide.

Not here: any file or process.
"""
from statistics import median

PERCENTILES = ('p50', 'p99', 'p99.9', 'p99.99', 'max')


def percentile(histogram, name):
    """histogram: {'count', 'max_ns', 'bins': [[top of bin in ns, count]...]} in rising order. In nanoseconds."""
    if name == 'max':
        return histogram['max_ns']
    wanted = histogram['count'] * float(name[1:]) / 100
    seen = 0
    for top, count in histogram['bins']:
        seen += count
        if seen >= wanted:
            return top
    return histogram['max_ns']


def value(sample, what):
    """what: 'ns', 'instructions', or 'get p99.9'. None: the sample has none."""
    if ' ' not in what:
        return sample.get(what)
    call, name = what.split()
    return percentile(sample[call], name) if call in sample else None


def middle(samples, what):
    """The median; of maxima the largest. None: nobody has one."""
    values = [v for v in (value(s, what) for s in samples) if v is not None]
    if not values:
        return None
    return max(values) if what.endswith(' max') else median(values)


def ratio(ours, peers, what, peer_what=None):
    """The median of ours / peer, round by round. None: one of them is missing."""
    pairs = [(value(a, what), value(b, peer_what or what)) for a, b in zip(ours, peers)]
    ratios = [a / b for a, b in pairs if a is not None and b]
    return median(ratios) if ratios else None


def interruptions(samples):
    """How often in a second of calls that do nothing one took more than a microsecond. None: no such calls."""
    rates = []
    for sample in samples:
        bins = [b for call in ('get', 'put') for b in sample[call]['bins']]
        ns = sum(top * n for top, n in bins if top <= 1000)
        rates.append(sum(n for top, n in bins if top > 1000) * 1e9 / ns if ns else 0)
    return median(rates) if rates else None


def flatness(values):
    """The largest to the smallest. None: fewer than two."""
    return max(values) / min(values) if len(values) > 1 and min(values) > 0 else None


class Bar:
    """One line of the table: a ratio, where it must be, where it shall be."""

    def __init__(self, what, cell, ours, peer, bar, aim, figure='ns', peer_cell=None):
        self.what, self.cell, self.ours, self.peer = what, cell, ours, peer
        self.bar, self.aim, self.figure, self.peer_cell = bar, aim, figure, peer_cell or cell

    def ratio(self, results):
        """results: {cell: {store: [sample...]}}. heap-bench's samples have their ratio in them."""
        if not self.peer:
            rows = [s['rows'][0] for s in results.get(self.cell, {}).get('heap-bench', ()) if s['rows']]
            return median(r['ratio'] for r in rows) if rows else None
        ours = results.get(self.cell, {}).get(self.ours)
        peer = results.get(self.peer_cell, {}).get(self.peer)
        return ratio(ours, peer, self.figure) if ours and peer else None


def bars():
    """The table of the issue that the bench is for, line by line."""
    yield Bar('heap, 64 B, one thread', 'pair 64 x1', 'rt_heap', 'tcmalloc', 2.0, 1.3)
    yield Bar('heap, 64 B, two threads', 'pair 64 x2', 'rt_heap', 'tcmalloc', 2.0, 1.3)
    yield Bar('heap, 64 B, two threads to one', 'pair 64 x2', 'rt_heap', 'rt_heap', 1.3, 1.3,
              peer_cell='pair 64 x1')
    for n, words in ((1, 'one thread'), (2, 'two threads')):
        yield Bar(f'heap, random 16-1024 B, {words}', f'replace 16-1024 x{n}', 'rt_heap', 'tcmalloc', 1.5, 1.0)
    yield Bar('heap, producer/consumer, 64 B', 'queue 64', 'rt_heap', 'jemalloc', 1.5, 1.0)
    for how in ('quiet', 'disturbed'):
        for call, words in (('get', 'alloc'), ('put', 'free')):
            yield Bar(f'heap, p99.99 of {words}, {how}', f'latency heap {how}', 'rt_heap', 'tcmalloc', 1.0, 0.5,
                      f'{call} p99.99')
    for size in (64, 2048):
        for n, words in ((1, 'one thread'), (2, 'two threads')):
            yield Bar(f'partition, {size} B, {words}', f'partition {size} x{n}', 'pt', 'dpdk', 1.2, 0.9)
    for size in (64, 2048):
        yield Bar(f'partition, producer/consumer, {size} B', f'partition queue {size}', 'pt', 'dpdk', 1.5, 1.0)
    yield Bar('free to waiter running, same CPU', 'handoff', None, None, 1.5, 1.2)
    yield Bar('round trip to heapd', 'roundtrip', None, None, 1.3, 1.1)
    yield Bar('bind + map 1 MiB', 'bind', None, None, 1.3, 1.1)


def growth(cells, results):
    """For each value that grows: [(value, ns, instructions or None)...], and how flat the two are."""
    found = {}
    for cell in cells:
        samples = results.get(cell.name, {}).get(cell.stores[0]) if cell.grows else None
        if samples:
            found.setdefault(cell.grows, []).append(
                (cell.values[cell.grows], middle(samples, 'ns'), middle(samples, 'instructions')))
    return {name: {'points': points, 'flat_ns': flatness([p[1] for p in points]),
                   'flat_instructions': flatness([p[2] for p in points if p[2] is not None])}
            for name, points in found.items()}


GROWTH_BAR = 1.2
