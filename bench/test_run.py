#!/usr/bin/env python3
"""test_run.py BUILD: the least of the whole bench runs, and what it writes is whole

Nothing here is about speed. Started inside a private heapd (heapctl run).
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest
import xml.dom.minidom
from pathlib import Path
from shutil import which

from cells import SMOKE, cells

HERE = Path(__file__).resolve().parent
BUILD = Path(sys.argv.pop())


def run(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)


class Run(unittest.TestCase):
    def test_everything_runs_and_is_written(self):
        page = HERE.parent / 'docs/performance.md'
        before = page.read_bytes() if page.exists() else None
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            done = run(sys.executable, '-B', HERE / 'run.py', '--smoke', '--no-rt', '--no-count', '--build', BUILD,
                       '--output', out)
            self.assertEqual(done.returncode, 0, done.stderr)
            figures = json.loads((out / 'figures.json').read_text())
            raw = json.loads((out / 'samples.json').read_text())
            text = (out / 'performance.md').read_text()
            self.check_cells(figures, raw)
            self.check_pictures(out, text)
            self.assertIn('| growth by heaps, time |', text)
        self.assertEqual(before, page.read_bytes() if page.exists() else None)

    def check_cells(self, figures, raw):
        found = {c['name']: c['stores'] for c in figures['cells']}
        plan = cells(SMOKE, rt=False)
        self.assertEqual(set(found), {c.name for c in plan})
        for c in plan:
            built = {s for s in c.stores if (BUILD / f'bench-{s}').exists()} or {'heap-bench'}
            self.assertEqual(set(found[c.name]), built, c.name)
            for store in built - {'heap-bench'}:
                self.assertGreater(found[c.name][store]['ns'], 0)
                self.assertEqual(len(raw[c.name][store]), SMOKE.processes * c.turns)
                for call in ('get', 'put') if c.work == 'latency' else ():
                    histograms = [sample[call] for sample in raw[c.name][store]]
                    for h in histograms:
                        self.assertEqual(h['count'], sum(n for _, n in h['bins']))
                    self.assertLessEqual(found[c.name][store][call]['p99'], max(h['max_ns'] for h in histograms))

    def check_pictures(self, out, text):
        if not which('gnuplot'):
            return
        pictures = sorted((out / 'performance').glob('*.svg'))
        self.assertGreaterEqual(len(pictures), 13)
        for picture in pictures:
            xml.dom.minidom.parse(str(picture))
            self.assertIn(f'(performance/{picture.name})', text)

    def test_bad_arguments(self):
        self.assertEqual(run(sys.executable, '-B', HERE / 'run.py', '--build', BUILD, '--output', '/nonexistent',
                             'nonsense').returncode, 2)
        for words in ((), ('nonsense',), ('pair', 'size=x'), ('pair', 'size=1e9'), ('pair', 'siz=64'), ('pair', 'size'),
                      ('pair', 'threads=3'), ('replace', 'size=64', 'size_max=32')):
            self.assertEqual(run(BUILD / 'bench-glibc', *words).returncode, 2, words)

    def test_a_store_that_cannot_says_so(self):
        self.assertEqual(run(BUILD / 'bench-pt', 'replace', 'size=16', 'size_max=32', 'live=10').returncode, 77)

    def test_each_thread_has_its_cpu(self):
        mine = min(2, len(os.sched_getaffinity(0)))
        for store in ('rt_heap', 'pt', 'glibc', 'treiber', 'jemalloc', 'mimalloc', 'tcmalloc', 'boost', 'dpdk', 'ck'):
            for work in ('pair', 'queue') if (BUILD / f'bench-{store}').exists() else ():
                done = run(BUILD / f'bench-{store}', work, 'threads=2', 'ms=1')
                self.assertEqual(json.loads(done.stdout)['cpus'], mine, (store, work, done.stderr))

    def test_as_many_pairs_as_asked(self):
        for n in (1, 999, 1000, 1001, 5500):
            done = run(BUILD / 'bench-glibc', 'pair', f'pairs={n}')
            self.assertEqual(json.loads(done.stdout)['done'], n)


if __name__ == '__main__':
    unittest.main()
