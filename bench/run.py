#!/usr/bin/env python3
"""run.py: the whole bench, in rounds (scripts/bench starts it, inside a private heapd)

Every round runs each cell, and in each cell the stores take turns, once or more; who is first changes from turn
to turn. So a machine that becomes slower becomes slower for all. What is found goes to OUTPUT/: figures.json, samples.json,
performance.md and pictures. A full run on a quiet machine puts them into docs/ as well.
"""
import argparse
import json
import os
import shutil
import sys
from pathlib import Path

import machine
from cells import FULL, GROUPS, QUICK, SMOKE, cells
from page import markdown, summary, terminal
from plots import plots
from take import Bench, Failed, Instructions, note

SCALES = {'full': FULL, 'quick': QUICK, 'smoke': SMOKE}


def arguments():
    p = argparse.ArgumentParser(prog='scripts/bench', description='Measures heapd beside its peers.')
    p.add_argument('groups', nargs='*', metavar='GROUP', help=f'only these: {" ".join(GROUPS)}')
    p.add_argument('--quick', dest='scale', action='store_const', const='quick', default='full',
                   help='less of everything, in two minutes: shows whether it works, not how fast')
    p.add_argument('--smoke', dest='scale', action='store_const', const='smoke', help='the least of everything')
    p.add_argument('--processes', type=int, help='for each figure (default: 5; quick: 2)')
    p.add_argument('--no-rt', dest='rt', action='store_false', help='nothing under SCHED_FIFO; no hand-off')
    p.add_argument('--no-count', dest='count', action='store_false', help='no instructions counted')
    p.add_argument('--build', required=True, help=argparse.SUPPRESS)
    p.add_argument('--output', required=True, help=argparse.SUPPRESS)
    a = p.parse_args()
    for group in a.groups:
        if group not in GROUPS:
            p.error(f'no such group: {group} (there are: {" ".join(GROUPS)})')
    if a.processes is not None and a.processes < 1:
        p.error('--processes: at least one')
    return a


def wanted(a, scale):
    """The cells that are asked for and that this machine has the memory for."""
    room, plan = machine.available(), []
    for cell in cells(scale, a.rt):
        if a.groups and cell.group not in a.groups:
            continue
        if cell.needs > room:
            note(f'left out, for want of memory: {cell.name}')
            continue
        plan.append(cell)
    return plan


def turns(cell, round_):
    """The stores of a round, as often as they have a turn; each turn begins with another one."""
    stores = cell.stores or ('heap-bench',)
    for turn in range(round_ * cell.turns, (round_ + 1) * cell.turns):
        at = turn % len(stores)
        yield from stores[at:] + stores[:at]


def play_round(bench, plan, round_, results, failed):
    """failed: {(cell, store): what was wrong}; what failed once is not tried again, and has no figure at all."""
    for cell in plan:
        found = results.setdefault(cell.name, {})
        for store in turns(cell, round_):
            if (cell.name, store) in failed or (cell.stores and not bench.has(store)):
                continue
            try:
                sample = bench.sample(cell, store) if cell.stores else bench.measurement(cell)
            except Failed as e:
                note(f'{cell.name}: {e}')
                failed[cell.name, store] = str(e)
                found.pop(store, None)
                continue
            if sample is not None:
                found.setdefault(store, []).append(sample)


def count(bench, plan, counter, pairs, results, failed):
    """Instructions of what grows: they do not depend on the load, so once is enough."""
    for cell in plan:
        store = cell.stores[0] if cell.grows else None
        if store not in results[cell.name]:
            continue
        try:
            n = counter.per_pair(bench.command(cell, store), pairs)
        except Failed as e:
            note(f'{cell.name}, instructions: {e}')
            failed[cell.name, 'instructions'] = str(e)
            continue
        for sample in results[cell.name][store]:
            sample['instructions'] = n


def in_order(plan, results):
    """Stores in the order of the cells, not in that of the first round."""
    for cell in plan:
        found = results.get(cell.name, {})
        results[cell.name] = {s: found[s] for s in cell.stores or ('heap-bench',) if s in found}


def write(output, s, results):
    """All of OUTPUT/. The pictures are new each time."""
    shutil.rmtree(output / 'performance', ignore_errors=True)
    drawn = plots(s, results, output / 'performance')
    drawn = [(of, f'performance/{name}', caption) for of, name, caption in drawn]
    (output / 'figures.json').write_text(json.dumps(s, indent=1) + '\n', encoding='utf-8')
    (output / 'samples.json').write_text(json.dumps(results) + '\n', encoding='utf-8')
    (output / 'performance.md').write_text(markdown(s, drawn), encoding='utf-8')


def publish(output, docs):
    """What a reader of the sources finds: the page, its pictures, its figures."""
    shutil.rmtree(docs / 'performance', ignore_errors=True)
    (docs / 'performance').mkdir()
    for picture in sorted((output / 'performance').glob('*.svg')):
        shutil.copy(picture, docs / 'performance')
    shutil.copy(output / 'figures.json', docs / 'performance')
    shutil.copy(output / 'performance.md', docs / 'performance.md')


def why_not_published(a, s, failed):
    """None: it may be."""
    if failed:
        return f'{len(failed)} failed'
    if a.scale != 'full' or a.groups or s['machine']['processes'] < FULL.processes:
        return 'only a full run is for docs/'
    if max(s['machine']['busy']) > machine.QUIET:
        return f"others kept {max(s['machine']['busy']):.2f} CPUs busy: run it again on a quiet machine"
    if not s['machine']['rt']:
        return 'without real-time priority, latencies are the scheduler\'s'
    return None


def main():
    a = arguments()
    scale = SCALES[a.scale]
    processes = a.processes or scale.processes
    source, output = Path(__file__).resolve().parent.parent, Path(a.output)
    output.mkdir(parents=True, exist_ok=True)
    bench = Bench(a.build, output, machine.other_cpu())
    facts, plan, results, failed = machine.facts(source), wanted(a, scale), {}, {}
    look = 0.05 if a.scale == 'smoke' else 2
    quiet = [machine.busy(look)]
    if quiet[0] > machine.QUIET:
        note(f'others keep {quiet[0]:.2f} CPUs busy: do not believe the figures')
    missing = sorted({s for c in plan for s in c.stores if not bench.has(s)})
    if missing:
        note(f'not here: {" ".join(missing)} (scripts/deps bench)')
    for round_ in range(processes):
        play_round(bench, plan, round_, results, failed)
        quiet.append(machine.busy(look))
        note(f'round {round_ + 1} of {processes}')
    counter = Instructions(a.count and any(c.grows for c in plan))
    if counter.how:
        count(bench, plan, counter, scale.counted, results, failed)
    in_order(plan, results)
    facts |= {'busy': [round(q, 3) for q in quiet], 'processes': processes, 'counted': counter.how,
              'rt': a.rt and all(s['rt'] for c in plan if c.work == 'latency'
                                 for samples in results[c.name].values() for s in samples)}
    s = summary(plan, results, facts, os.environ.get('BENCH_COMMAND', 'scripts/bench'))
    write(output, s, results)
    print(terminal(s))
    reason = why_not_published(a, s, failed)
    if reason is None:
        publish(output, source / 'docs')
    note(f'all of it is in {output}' + (f' ({reason})' if reason else ' and in docs/performance.md'))
    return 1 if failed else 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except Failed as e:
        sys.exit(f'bench: {e}')
    except KeyboardInterrupt:
        sys.exit('bench: interrupted')
