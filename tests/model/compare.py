#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Replays the trace of role machines (tests/sim/trace.h) through the reference and compares
every action and the state after each step.

    compare.py PROGRAM [ARGUMENT...]    the trace is what it prints
    compare.py -                        the trace comes from standard input

The first step of a machine that differs is shown with what came before it, and the rest of
that machine is not looked at. Exit status 1: something differs, or nothing was compared.
"""
import collections
import json
import os
import subprocess
import sys
import time

from role import Register, Role

SHOWN = 8           # differences told in full
BEFORE = 12         # steps shown before each
DIGEST = ('state', 'known', 'lost', 'duplicate', 'term', 'max_rev', 'rev', 'index',
          'hold_until', 'wait_until', 'leaving', 'vip_maybe', 'calm', 'failsafe',
          'n_binding', 'moves')


def ordered(actions):
    """The order of unlike actions in a step, and of a record's members, is free."""
    for action in actions:
        if action[0] == 'WRITE' and action[-1]:
            action[-1] = dict(action[-1], members=sorted(action[-1]['members']))
    return sorted(actions, key=lambda a: a[0])


def draw_of(actions):
    """The random number that the program drew: the end of its write id."""
    for action in actions:
        if action[0] == 'WRITE':
            return action[4].rsplit('.', 1)[1]
    return '0' * 16


class Machine:
    def __init__(self, params, boot, raw):
        self.role = Role(params, boot, raw)
        self.steps = collections.deque(maxlen=BEFORE)
        self.differs = False

    def step(self, boot, raw, event, actions, digest):
        """None, or what differs."""
        told = event
        if event[0] == 'REGISTER':
            told = event[:3] + [Register(*event[3]) if event[3] else None]
        try:
            mine = self.role.step(told, boot, raw, lambda: draw_of(actions))
        except Exception as error:
            return ['the reference failed: %s: %s' % (type(error).__name__, error)]
        state = self.role.digest()
        self.steps.append((boot, event, actions, digest))
        if mine == actions and state == digest:
            return None
        mine, actions = ordered(mine), ordered(actions)
        found = ['program   %s' % json.dumps(a) for a in actions if a not in mine]
        found += ['reference %s' % json.dumps(a) for a in mine if a not in actions]
        if not found and len(mine) != len(actions):
            found = ['one of them acts twice']
        found += ['%s: program %s, reference %s' % (name, json.dumps(a), json.dumps(b))
                  for name, a, b in zip(DIGEST, digest, state) if a != b]
        return found or None


def signature(found):
    """What differences of one kind have in common."""
    return '; '.join(' '.join(line.split()[:2]) for line in found)


class Comparison:
    def __init__(self):
        self.machines = {}
        self.steps = self.shown = 0
        self.kinds = collections.Counter()

    def take(self, line):
        kind, who, *rest = json.loads(line)
        if kind == 'start':
            boot, raw, params = rest
            self.machines[who] = Machine(params, boot, raw)
        elif kind == 'params':
            self.machines[who].role.set_params(*rest)
        elif kind == 'end':
            del self.machines[who]
        elif not self.machines[who].differs:
            self.steps += 1
            found = self.machines[who].step(*rest)
            if found:
                self.machines[who].differs = True
                self.tell(who, found)

    def tell(self, who, found):
        machine = self.machines[who]
        kind = signature(found)
        self.kinds[kind] += 1
        if self.kinds[kind] > 1 or self.shown == SHOWN:
            return
        self.shown += 1
        print('\nmachine %s differs:' % who)
        for boot, event, actions, digest in machine.steps:
            print('  %d %s' % (boot, json.dumps(event)))
            for action in actions:
                print('      %s' % json.dumps(action))
            print('      = %s' % json.dumps(digest))
        for line in found:
            print('  * %s' % line)


def main(arguments):
    if not arguments:
        sys.exit(__doc__.strip())
    comparison, begun, status = Comparison(), time.monotonic(), 0
    if arguments == ['-']:
        for line in sys.stdin:
            comparison.take(line)
    else:
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as program:
            for line in program.stdout:
                comparison.take(line)
        status = program.returncode
    if status:
        print('%s ended with %d' % (arguments[0], status))
    print('%s: %d steps compared in %.0f s, %d machines differ' % (
        ' '.join(os.path.basename(a) for a in arguments), comparison.steps,
        time.monotonic() - begun, sum(comparison.kinds.values())))
    for kind, count in comparison.kinds.most_common(20):
        print('%6d %s' % (count, kind))
    return 1 if status or comparison.kinds or not comparison.steps else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
