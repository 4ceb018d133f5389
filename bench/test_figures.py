#!/usr/bin/env python3
"""test_figures.py: what is made of samples, against figures counted by hand"""
import unittest

from cells import FULL, GROUPS, QUICK, SMOKE, cells, human
from figures import Bar, bars, flatness, growth, interruptions, middle, percentile, ratio
from page import number, terminal, summary, verdict
from plots import tail
from run import play_round, turns
from take import Failed, output

HISTOGRAM = {'count': 1000, 'max_ns': 950.0, 'bins': [[10.0, 500], [20.0, 490], [100.0, 9], [950.0, 1]]}


def samples(*ns):
    return [{'ns': n, 'library': 'l', 'faults': 0} for n in ns]


class Figures(unittest.TestCase):
    def test_percentiles(self):
        for name, ns in (('p50', 10.0), ('p99', 20.0), ('p99.9', 100.0), ('p99.99', 950.0), ('max', 950.0)):
            self.assertEqual(percentile(HISTOGRAM, name), ns, name)

    def test_middle(self):
        self.assertEqual(middle(samples(5, 1, 3), 'ns'), 3)
        self.assertIsNone(middle(samples(5), 'instructions'))
        several = [{'get': {**HISTOGRAM, 'max_ns': n}} for n in (7, 900, 8)]
        self.assertEqual(middle(several, 'get max'), 900)

    def test_ratio_is_of_each_round(self):
        # the machine is ten times slower in the second round, for both
        self.assertEqual(ratio(samples(2, 20, 2), samples(1, 10, 1), 'ns'), 2)
        # medians alone would say 20 / 10
        self.assertEqual(ratio(samples(20, 30, 1), samples(10, 5, 10), 'ns'), 2)
        self.assertIsNone(ratio(samples(1), [{'get': HISTOGRAM}], 'ns'))

    def test_interruptions(self):
        # two million calls of 20 ns are 40 ms of calls
        sample = {'get': {'bins': [[20.0, 1000000], [5000.0, 59], [90000.0, 1]]},
                  'put': {'bins': [[20.0, 1000000], [1000.0, 0], [1500.0, 60]]}}
        calm = {'get': {'bins': [[20.0, 1000000]]}, 'put': {'bins': [[20.0, 1000000]]}}
        self.assertEqual(interruptions([sample]), 3000)
        self.assertEqual(interruptions([sample, calm, calm]), 0)
        self.assertIsNone(interruptions([]))

    def test_flatness(self):
        self.assertEqual(flatness([10, 12, 11]), 1.2)
        self.assertIsNone(flatness([10]))

    def test_verdict(self):
        self.assertEqual([verdict(v, 2.0, 1.3) for v in (1.3, 1.31, 2.0, 2.01, None)],
                         ['aim', 'bar', 'bar', 'above', ''])

    def test_number(self):
        self.assertEqual([number(n) for n in (0, 3.417, 17.12, 250.4, 999.4, 12345, 2.5e6, 7e9, None)],
                         ['0.00', '3.42', '17.1', '250', '999', '12.3k', '2.50M', '7.00G', '-'])

    def test_human(self):
        self.assertEqual([human(n) for n in (16, 1500, 64 << 10, 8 << 30)], ['16 B', '1500 B', '64 KiB', '8 GiB'])

    def test_tail(self):
        self.assertEqual(tail([{'get': HISTOGRAM}, {'get': HISTOGRAM}], 'get'),
                         [(10.0, 1.0), (20.0, 0.5), (100.0, 0.01), (950.0, 0.001)])


class Plans(unittest.TestCase):
    def test_cells_are_unique_and_in_groups(self):
        for scale in (FULL, QUICK, SMOKE):
            plan = cells(scale)
            self.assertEqual(len({c.name for c in plan}), len(plan))
            self.assertEqual({c.group for c in plan}, set(GROUPS))

    def test_every_bar_has_its_cell(self):
        for scale in (FULL, QUICK):
            named = {c.name: c for c in cells(scale)}
            for bar in bars():
                self.assertIn(bar.cell, named)
                self.assertIn(bar.peer_cell, named)
                if bar.peer:
                    self.assertIn(bar.ours, named[bar.cell].stores)
                    self.assertIn(bar.peer, named[bar.peer_cell].stores)
                self.assertLessEqual(bar.aim, bar.bar)

    def test_full_is_what_is_promised(self):
        self.assertGreaterEqual(FULL.processes, 5)
        self.assertEqual((FULL.sizes[0], FULL.sizes[-1]), (16, 64 << 10))
        self.assertEqual((FULL.grow_heap[0], FULL.grow_heap[-1]), (64 << 10, 8 << 30))
        self.assertEqual((FULL.grow_live[0], FULL.grow_live[-1]), (10, 1000000))
        self.assertEqual((FULL.grow_heaps[0], FULL.grow_heaps[-1]), (1, 10000))

    def test_no_handoff_without_real_time(self):
        self.assertIn('handoff', [c.name for c in cells(FULL)])
        self.assertNotIn('handoff', [c.name for c in cells(FULL, rt=False)])


class Summaries(unittest.TestCase):
    def test_bars(self):
        results = {'pair 64 x1': {'rt_heap': samples(3, 3), 'tcmalloc': samples(2, 2)},
                   'roundtrip': {'heap-bench': [{'rows': [{'ratio': r}]} for r in (1.1, 1.5, 1.2)]}}
        self.assertEqual(Bar('', 'pair 64 x1', 'rt_heap', 'tcmalloc', 2, 1).ratio(results), 1.5)
        self.assertEqual(Bar('', 'roundtrip', None, None, 2, 1).ratio(results), 1.2)
        self.assertIsNone(Bar('', 'pair 64 x2', 'rt_heap', 'tcmalloc', 2, 1).ratio(results))

    def test_growth_counts_instructions(self):
        plan = [c for c in cells(SMOKE) if c.grows == 'heap']
        results = {c.name: {'rt_heap': [{'ns': ns, 'instructions': n}]}
                   for c, ns, n in zip(plan, (10, 30), (100, 110))}
        g = growth(plan, results)['heap']
        self.assertEqual((g['flat_ns'], g['flat_instructions']), (3, 1.1))

    def test_what_was_not_measured_is_not_shown(self):
        plan = [c for c in cells(SMOKE) if c.name == 'pair 64 x1']
        s = summary(plan, {'pair 64 x1': {'glibc': samples(7.5)}}, {}, 'c')
        text = terminal(s)
        self.assertIn('7.50', text)
        self.assertNotIn('tcmalloc', text)


class Broken:
    """A bench whose tcmalloc works once."""

    def __init__(self):
        self.asked = []

    def has(self, store):
        return store != 'boost'

    def sample(self, cell, store):
        self.asked.append(store)
        if store == 'tcmalloc' and self.asked.count(store) > 1:
            raise Failed('oh no')
        return samples(len(self.asked))[0]


class Rounds(unittest.TestCase):
    def test_stores_take_turns(self):
        plan, bench, results = [c for c in cells(SMOKE) if c.name == 'pair 64 x1'], Broken(), {}
        for round_ in range(2):
            play_round(bench, plan, round_, results, {('pair 64 x1', 'tcmalloc'): 'no'})
        self.assertEqual(bench.asked, ['rt_heap', 'glibc', 'jemalloc', 'mimalloc',
                                       'glibc', 'jemalloc', 'mimalloc', 'rt_heap'])

    def test_turns_of_a_round(self):
        cell = next(c for c in cells(SMOKE) if c.work == 'latency')
        self.assertGreater(cell.turns, 1)
        found = [s for round_ in range(2) for s in turns(cell, round_)]
        n = len(cell.stores)
        firsts = [found[i * n] for i in range(2 * cell.turns)]
        self.assertEqual(firsts, [cell.stores[i % n] for i in range(2 * cell.turns)])
        for i in range(2 * cell.turns):
            self.assertEqual(set(found[i * n:(i + 1) * n]), set(cell.stores))

    def test_what_failed_has_no_figure(self):
        plan, bench, results, failed = [c for c in cells(SMOKE) if c.name == 'pair 64 x1'], Broken(), {}, {}
        for round_ in range(3):
            play_round(bench, plan, round_, results, failed)
        self.assertEqual(failed, {('pair 64 x1', 'tcmalloc'): 'oh no'})
        self.assertEqual({s: len(v) for s, v in results['pair 64 x1'].items()},
                         {'rt_heap': 3, 'glibc': 3, 'jemalloc': 3, 'mimalloc': 3})
        self.assertEqual(bench.asked.count('tcmalloc'), 2)


class Processes(unittest.TestCase):
    def test_a_failure_is_no_figure(self):
        with self.assertRaisesRegex(Failed, 'oh no'):
            output(['sh', '-c', 'echo "{}"; echo oh no >&2; exit 1'])
        with self.assertRaises(Failed):
            output(['/nonexistent/program'])
        self.assertIsNone(output(['sh', '-c', 'exit 77']))
        self.assertEqual(output(['echo', '{}']), '{}\n')


if __name__ == '__main__':
    unittest.main()
