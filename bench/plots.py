"""plots.py: the figures as SVG, drawn by gnuplot; without gnuplot there are none

Data goes to gnuplot on its standard input, so nothing but the pictures is left behind.
"""
import shutil
import subprocess

HEAD = '''set terminal svg size 800,480 font "sans,12" background "white"
set output "{file}"
set title "{title}"
set grid
set key outside right
'''


def draw(path, title, settings, series, style):
    """series: [(name, [(x, y)...])...]. Raises OSError when gnuplot fails."""
    series = [(name, points) for name, points in series if points]
    if not series:
        return False
    script = [HEAD.format(file=path, title=title), settings]
    for i, (_, points) in enumerate(series):
        script.append(f'$d{i} << E\n' + ''.join(f'{x} {y}\n' for x, y in points) + 'E')
    script.append('plot ' + ', '.join(f'$d{i} with {style} lw 2 title "{name}" noenhanced'
                                      for i, (name, _) in enumerate(series)))
    done = subprocess.run(['gnuplot'], input='\n'.join(script) + '\n', capture_output=True, text=True, check=False)
    if done.returncode != 0 or not path.exists():
        raise OSError(f'gnuplot: {done.stderr.strip()}')
    return True


def sizes(s, threads):
    """ns against the size, a line for each store."""
    lines = {}
    for c in s['cells']:
        if c['group'] == 'pair' and c['values']['threads'] == threads:
            for store, found in c['stores'].items():
                lines.setdefault(store, []).append((c['values']['size'], found['ns']))
    return sorted(lines.items())


def tail(samples, call):
    """Points (ns, part of all calls that took longer) of all processes together."""
    bins = {}
    for sample in samples:
        for top, count in sample[call]['bins']:
            bins[top] = bins.get(top, 0) + count
    longer = total = sum(bins.values())
    points = []
    for top in sorted(bins):
        points.append((top, longer / total))
        longer -= bins[top]
    return points


def plots(s, results, folder):
    """Draws all into folder/. [(title of the table it belongs to, file name, caption)...]"""
    if not shutil.which('gnuplot'):
        return []
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []

    def one(of, name, caption, settings, series, style='linespoints'):
        if draw(folder / name, caption, settings, series, style):
            drawn.append((of, name, caption))

    for threads, words in ((1, 'one thread'), (2, 'two threads on one heap')):
        one('Heaps: a block is taken and given back', f'pair-{threads}.svg', f'alloc + free, {words}',
            'set logscale xy\nset xlabel "bytes"\nset ylabel "ns"', sizes(s, threads))
    for c in s['cells']:
        if c['group'] != 'latency':
            continue
        for call in ('get', 'put'):
            one('Latencies', f"{c['name'].replace(' ', '-')}-{call}.svg", f"{c['name']}: {call}",
                'set logscale xy\nset xlabel "ns"\nset ylabel "part of calls that took as long or longer"\n'
                'set format y "10^{%L}"',
                [(store, tail(samples, call)) for store, samples in results[c['name']].items()], 'steps')
    for name, g in s['growth'].items():
        one('Growth', f'growth-{name}.svg', f'growth by {name}', 'set logscale x\nset yrange [0:*]\nset xlabel "value"',
            [('ns', [(p[0], p[1]) for p in g['points']]),
             ('instructions', [(p[0], p[2]) for p in g['points'] if p[2] is not None])])
    return drawn
