"""page.py: what a run is turned into: the table on the terminal, JSON, and the page docs/performance.md

All of them come from one value (summary) and hold no figure of their own.
"""
from cells import MACHINE, threads_of
from figures import GROWTH_BAR, PERCENTILES, bars, growth, interruptions, middle, ratio


def number(n):
    """Three digits: 3.42, 17.1, 250, 12.3k."""
    if n is None:
        return '-'
    for limit, unit in ((1e3, ''), (1e6, 'k'), (1e9, 'M')):
        if n < limit:
            n = n * 1e3 / limit
            break
    else:
        n, unit = n / 1e9, 'G'
    return f'{n:.{2 if n < 10 else 1 if n < 100 else 0}f}{unit}'


def verdict(value, bar, aim):
    """Where a ratio is. Not judged: what was not measured."""
    if value is None:
        return ''
    return 'aim' if value <= aim else 'bar' if value <= bar else 'above'


def summary(plan, results, machine, command):
    """All that was found, without the single samples."""
    found = []
    for cell in plan:
        stores = {}
        for store, samples in results.get(cell.name, {}).items():
            if store == 'heap-bench':
                stores[store] = {'rows': [
                    {**rows[0], 'ours': middle(rows, 'ours'), 'peer': middle(rows, 'peer'),
                     'ratio': middle(rows, 'ratio')} for rows in zip(*(s['rows'] for s in samples))]}
                continue
            stores[store] = {'ns': middle(samples, 'ns'), 'instructions': middle(samples, 'instructions'),
                             'library': samples[0]['library'], 'processes': len(samples),
                             'faults': max(s['faults'] for s in samples)}
            if cell.work == 'latency':
                stores[store] |= {'clock_ns': middle(samples, 'clock_ns'), 'rt': all(s['rt'] for s in samples)}
                if store == MACHINE:
                    stores[store]['interruptions'] = interruptions(samples)
                for call in ('get', 'put'):
                    stores[store][call] = {p: middle(samples, f'{call} {p}') for p in PERCENTILES}
        if stores:
            found.append({'name': cell.name, 'group': cell.group, 'work': cell.work, 'values': cell.values,
                          'disturbed': cell.disturbed, 'stores': stores})
    ratios = []
    for bar in bars():
        value = bar.ratio(results)
        ratios.append({'what': bar.what, 'ratio': value, 'bar': bar.bar, 'aim': bar.aim,
                       'beside': bar.peer or 'bare', 'is': verdict(value, bar.bar, bar.aim)})
    return {'machine': machine, 'command': command, 'cells': found, 'ratios': ratios, 'growth': growth(plan, results)}


def peers_ratio(results, cell, ours, store):
    samples = results[cell]
    return ratio(samples[ours], samples[store], 'ns') if ours in samples else None


def rows_of_ratios(s):
    """[what, ratio, bar, aim, where it is], with the growth as the last ones."""
    for r in s['ratios']:
        if r['ratio'] is not None:
            yield [f"{r['what']}, to {r['beside']}", f"{r['ratio']:.2f}", f"{r['bar']:.1f}", f"{r['aim']:.1f}", r['is']]
    for name, g in s['growth'].items():
        flat, how = (g['flat_instructions'], 'instructions') if g['flat_instructions'] else (g['flat_ns'], 'time')
        if flat is not None:
            yield [f'growth by {name}, {how}', f'{flat:.2f}', f'{GROWTH_BAR:.1f}', f'{GROWTH_BAR:.1f}',
                   verdict(flat, GROWTH_BAR, GROWTH_BAR)]


def cell_words(c):
    v = c['values']
    size = f"{v['size']}-{v['size_max']} B" if v.get('size_max') else f"{v['size']} B"
    words = [size] if c['work'] == 'queue' else [size, threads_of(v['threads'])]
    return {'pair': 'pairs', 'replace': 'random replacement', 'queue': 'producer/consumer'}[c['work']] + ', ' + \
        ', '.join(words)


def table_times(s, group):
    """Header and rows: the medians in ns of every store, a line for each cell."""
    cells = [c for c in s['cells'] if c['group'] == group]
    stores = list(dict.fromkeys(store for c in cells for store in c['stores']))
    yield ['ns', *stores]
    for c in cells:
        yield [cell_words(c), *(number(c['stores'].get(store, {}).get('ns')) for store in stores)]


def table_latency(s):
    yield ['ns', 'call', *PERCENTILES]
    for c in s['cells']:
        if c['group'] != 'latency':
            continue
        for store, found in c['stores'].items():
            how = c['name'].removeprefix('latency ') + ('' if found['rt'] else ', not real-time')
            for call in ('get', 'put'):
                yield [f'{how}: {store}', call, *(number(found[call][p]) for p in PERCENTILES)]


def words_of_latency(s):
    """What is to be known of the table."""
    cells = [c for c in s['cells'] if c['group'] == 'latency']
    processes = max(found['processes'] for c in cells for found in c['stores'].values())
    rates = [(c['name'].removeprefix('latency '), c['stores'][MACHINE]['interruptions'])
             for c in cells if MACHINE in c['stores']]
    yield ('One call, timed by itself with the processor\'s counter (its own cost is in it), while 10,000 blocks of '
           '16-1024 B (partitions: 1,000 of 64 B) are replaced at random. Disturbed: a hog on the other CPU, memory '
           'taken and given back, a file written, dropped and read. p50 to p99.99 are medians of '
           f'{processes} processes, max the largest of all.')
    if rates:
        yield (f'`{MACHINE}` is no call at all, only the two readings of the counter: what interrupts, and what a '
               'hypervisor takes without telling, do to anything that is timed so. That happened so many times in a '
               f"second of calls: {', '.join(f'{number(rate)} ({name})' for name, rate in rates)}. At 3,000 one in "
               '10,000 calls of 33 ns is interrupted. So the p99.99 of those that are somewhat longer is the length of '
               'an interruption, that of those somewhat shorter is their own: there a ratio tells of the machine.')


def table_daemon(s):
    yield ['', 'heapd', 'bare', 'unit', 'ratio', 'beside']
    for c in s['cells']:
        for row in c['stores'].get('heap-bench', {}).get('rows', ()):
            yield [row['what'], number(row['ours']), number(row['peer']), row['unit'],
                   f"{row['ratio']:.2f}" if row['ratio'] else '-', row.get('beside', '-')]


def table_growth(s):
    yield ['', 'value', 'ns', 'instructions']
    for name, g in s['growth'].items():
        for value, ns, instructions in g['points']:
            yield [name, str(value), number(ns), '-' if instructions is None else f'{instructions:.0f}']


def tables(s):
    """[(title, rows)...] of what was measured."""
    groups = {c['group'] for c in s['cells']}
    yield 'Ratios', [['ratio of ours to a peer', 'ratio', 'bar', 'aim', 'within'], *rows_of_ratios(s)]
    for group, title in (('pair', 'Heaps: a block is taken and given back'), ('replace', 'Heaps: random replacement'),
                         ('queue', 'Heaps: producer and consumer'), ('partition', 'Partitions')):
        if group in groups:
            yield title, list(table_times(s, group))
    for group, title, make in (('latency', 'Latencies', table_latency), ('daemon', 'The daemon', table_daemon),
                               ('growth', 'Growth', table_growth)):
        if group in groups:
            yield title, list(make(s))


def terminal(s):
    """All tables, as text."""
    lines = []
    for title, rows in tables(s):
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines += ['', title]
        lines += ['  '.join(t.ljust(w) if i == 0 else t.rjust(w) for i, (t, w) in enumerate(zip(row, widths))).rstrip()
                  for row in rows]
    return '\n'.join(lines)


def markdown(s, plots):
    """The page. plots: [(title of its table, file name, caption)...], relative to the page."""
    m = s['machine']
    lines = [
        '# Performance', '',
        '<!-- Written by scripts/bench. Do not edit: run it. -->', '',
        f"`{s['command']}`, {m['date']}, commit {m['commit'] or 'unknown'}, on {m['cpus']} CPUs "
        f"({m['cpu']}{', virtual' if m['virtual'] else ''}), {m['memory_gib']} GiB, {m['kernel']}, {m['libc']}.",
        f"Others kept {max(m['busy']):.2f} CPUs busy at most, looked at between the rounds.", '',
        f"Each figure is the median of {m['processes']} processes, in which the stores took turns; a ratio is the median "
        'of the ratios round by round, and below 1 ours is faster. `rt_heap` and `pt` are ours, by the shared library; '
        'malloc is called by its shared library too; `dpdk`, `ck` and `treiber` are inlined, as their users have them. A '
        'figure is what one thread sees of one pair of taking a block and giving it back.', '']
    if m['counted']:
        lines += [f"Instructions were counted by {m['counted']}."
                  + (' There are no restartable sequences under it: it is the way of machines without them.'
                     if m['counted'] == 'callgrind' else ''), '']
    for title, rows in tables(s):
        lines += [f'## {title}', '']
        if title == 'Latencies':
            for words in words_of_latency(s):
                lines += [words, '']
        lines.append('| ' + ' | '.join(rows[0]) + ' |')
        lines.append('|---|' + '---:|' * (len(rows[0]) - 1))
        lines += ['| ' + ' | '.join(row) + ' |' for row in rows[1:]]
        lines.append('')
        for of, file, caption in plots:
            if of == title:
                lines += [f'![{caption}]({file})', '']
    return '\n'.join(lines)
