# SPDX-License-Identifier: ISC
"""The failover protocol of one role on one host, as its page states it: the reference
that the program is compared with (compare.py).

Written from the page and for reading, independently of agent/failover/role*.c: where the
two disagree one of them is wrong, or the page is silent. README.md lists what was settled.

All times are whole milliseconds of CLOCK_BOOTTIME, but `raw`, CLOCK_MONOTONIC_RAW, which
must agree before a fence wait is over. Nothing here reads a clock or draws a number: both
come with the step. A register is `Register`; a fence record is the JSON object of the
page, or None, and nobody changes one that has been made. Events and actions are lists:

    ['TICK']                                    ['READ']
    ['REGISTER', sent, consistent, content]     ['WRITE', kind, base, rev, wid, holder, fence]
    ['CAS', wid, ok, index]                     ['VIP_HOLD', order, until, term, first]
    ['PEERS', [[node, ready, priority, hb]]]    ['VIP_DROP', order, term]
    ['HEALTH', 'yes' | 'no' | 'unknown']        ['PROMOTE', reason]
    ['SWITCHOVER', node]                        ['DEMOTE', reason]
    ['PAUSE', on]  ['STOP']  ['YIELD', on]      ['STATE', from, to, reason]
    ['HOOK_DONE', 'demote' | 'promote', ok]     ['ALARM']
    ['VIP_GONE', order]  ['VIP_HELD', order]    ['HEARTBEAT', phase, rev, ts, lease]
    ['HEARTBEAT', from, inst, rev, phase, ts]   ['ACK', to, inst, rev, ts, ready, known]
    ['ACK', from, inst, rev, ts, ready, known]
    ['ALONG']  ['UNREADABLE']  ['NAMESAKE', on]
"""

STANDBY, WAITING, MASTER = 'backup', 'waiting', 'master'
NEVER = -(1 << 61)
FOREVER = 1 << 61

OBJECTED_MAX = 5
BINDING_MAX = 4         # own records that may be current: no other until the index moved
GAVE_MS = 5000          # having given the role away, do not ask for it so soon
DROP_REPEAT_MS = 200    # an answer to a drop takes no longer
WAIT_NUMERATOR = 1001   # 1 + rho ...
WAIT_DENOMINATOR = 915  # ... over 1 - sigma


class Register:
    """The content of lictor/roles/<role>/register at one index."""
    __slots__ = ('index', 'rev', 'wid', 'holder', 'fence')

    def __init__(self, index, rev, wid, holder, fence):
        self.index, self.rev, self.wid = index, rev, wid
        self.holder, self.fence = holder, fence

    def fenced(self):
        """Who may have the address: a name, '' of an unknown one, None of nobody."""
        return self.fence['node'] if self.fence else None


class Cas:
    """The one write that may be outstanding."""
    __slots__ = ('kind', 'content', 'sent', 'unsure')

    def __init__(self, kind, content, sent):
        self.kind, self.content, self.sent = kind, content, sent
        self.unsure = None      # since when its result is unknown: a later read decides


def writer_of(wid):
    """(node, inst, kind) of a write id, from its end: names of nodes have dots too."""
    parts = wid.rsplit('.', 3)
    return tuple(parts[:3]) if len(parts) == 4 else (None, None, None)


class Role:
    def __init__(self, params, boot, raw):
        """params: what role.h's struct role_params has, by name."""
        self.set_params(params, True)
        self.me = params['node']
        self.inst = params['inst']              # as text
        self.boot, self.raw = boot, raw
        self.actions, self.draw = [], None
        self.state, self.reason, self.announced = STANDBY, 'none', False
        self.started = boot
        self.warm = params['warm']
        self.promoted_before = params['promoted_before']

        self.reg, self.learnt_at, self.max_rev = None, NEVER, 0
        self.known_since = boot
        self.lost = None                        # the index to base a re-creation on
        self.duplicate = self.namesake = self.unreadable = False
        self.cas, self.write_after = None, NEVER
        self.my_rev = 0
        self.read_at, self.next_read = NEVER, boot
        self.seen_rev = 0                       # the highest ever heard
        self.hb_rev, self.hb_at, self.hb_from = 0, NEVER, ''
        self.last_fenced, self.moves = None, []

        self.confirmed = NEVER                  # MASTER
        self.binding = []
        self.acked, self.last_ack, self.heard = {}, {}, {}
        self.term = 0
        self.promoted = self.leaving = self.left = False
        self.higher_since = None
        self.next_hb = boot

        self.wait_boot = self.wait_raw = 0      # WAITING

        self.suspect_since = None               # STANDBY
        self.objected, self.my_claim = 0, False
        self.gave_at = self.excluded_until = NEVER

        self.give = self.give_reason = None     # the next holder, '' for the best
        self.enter_reason = None
        self.limit_said = False

        self.vip_maybe = params['has_vips']     # an earlier instance may have left it
        self.order, self.ordered_at, self.until = 0, NEVER, None
        self.lives, self.life = {}, FOREVER

        self.peers, self.peers_known = {}, False        # node: (ready, priority, hb)
        self.ready = 'unknown'
        self.paused = self.stopping = self.yielding = False

    def set_params(self, params, first=False):
        """A new configuration; node, inst and margin stay."""
        if not first:
            params = dict(params, margin_ms=self.margin)
            if params['has_vips'] != self.has_vips or params['lease_ms'] < self.lease:
                self.life, self.lives = FOREVER, {}
            if not params['has_promote']:
                self.promoted = True
            if not params['has_demote']:
                self.left = self.leaving
        for name in ('lease', 'margin', 'confirm', 'silence', 'stagger', 'grace',
                     'heartbeat', 'member', 'calm', 'hold_alone', 'hold_peers',
                     'within', 'preempt_delay'):
            setattr(self, name, params[name + '_ms'])
        for name in ('priority', 'preempt', 'limit', 'has_vips', 'has_promote',
                     'has_demote', 'address_first', 'release_when_unwell'):
            setattr(self, name, params[name])
        self.hb = self.heartbeat > 0
        self.failsafe = self.hb and self.hold_peers > 0
        self.calm_pace = self.calm

    # ---- what follows from the state

    def is_holder(self):
        return self.reg.holder == self.me

    def is_fenced_in(self):
        return self.reg is not None and self.reg.fenced() == self.me

    def must_go(self):
        return self.stopping or self.yielding

    def lease_end(self):
        """t_conf + l, by the smallest lease of the records that may be current."""
        return self.confirmed + min(b['lease_ms'] for b in self.binding) - self.margin

    def failsafe_end(self):
        """How far the acks of every member of every record carry it (S9)."""
        end = FOREVER
        for b in self.binding:
            if not b['hold_ms']:
                return NEVER
            end = min(end, self.confirmed + b['hold_ms'] - self.margin)
            for m in b['members']:
                end = min(end, self.acked.get(m, NEVER) + b['lease_ms'] - self.margin)
        return end

    def hold_until(self):
        return max(self.lease_end(), self.failsafe_end())

    def wait_ms(self, fence):
        """S6, S7: one millisecond more, because clocks are read in whole ones."""
        z = fence['lease_ms']
        if fence['hold_ms'] and self.me not in fence['members']:
            z = max(z, fence['hold_ms'])
        return -(-z * WAIT_NUMERATOR // WAIT_DENOMINATOR) + 1

    def ready_peers(self):
        return [n for n, p in self.peers.items() if p[0] and n != self.me]

    def best_peer(self):
        return min(self.ready_peers(), key=lambda n: (-self.peers[n][1], n), default=None)

    def is_limited(self):
        """So many moves of late: no voluntary one more."""
        return self.limit > 0 and self.count_moves() >= min(self.limit, 16)

    def count_moves(self):
        return sum(1 for t in self.moves if self.boot - t < self.within)

    def is_calm(self):
        """The heartbeats alone carry it: Consul may be asked less often."""
        if not self.calm_pace or not self.hb or self.cas or self.reg is None:
            return False
        fresh = 5 * self.heartbeat      # twice 2.5 B
        if self.state == MASTER:
            return (self.lost is None and not self.unreadable and self.is_holder() and
                    self.give is None and
                    all(b['hold_ms'] and b['members'] and
                        self.boot <= self.confirmed + b['hold_ms'] - b['lease_ms'] and
                        all(2 * (self.boot - self.acked.get(m, NEVER)) <= fresh
                            for m in b['members'])
                        for b in self.binding))
        return (self.state == STANDBY and not self.is_open() and
                2 * (self.boot - self.heard.get(self.reg.holder, NEVER)) <= fresh)

    def is_open(self):
        """STANDBY: something is open or suspected."""
        return (self.cas is not None or self.is_fenced_in() or
                self.suspect_since is not None or self.hb_rev > self.max_rev)

    def pace(self):
        """The pause between two consistent reads."""
        if self.is_calm():
            return self.calm_pace * (1 if self.state == MASTER else 5)
        if self.state == STANDBY and not self.is_open():
            return 4 * self.confirm
        return self.confirm

    # ---- the step

    def step(self, event, boot, raw, draw):
        """draw() gives 64 random bits as text, for a write id."""
        self.boot, self.raw, self.draw, self.actions = boot, raw, draw, []
        self.lapse()
        getattr(self, 'on_' + event[0].lower())(*event[1:])
        self.lapse()
        self.decide()
        self.refresh_vips()
        self.read()
        self.beat()
        return self.actions

    def act(self, *action):
        self.actions.append(list(action))

    def set_state(self, to, reason):
        if to == self.state and self.announced:
            return
        self.act('STATE', self.state, to, reason)
        self.state, self.reason, self.announced = to, reason, True

    def lapse(self):
        """S2: before anything else is looked at."""
        if self.state == MASTER and self.boot >= self.hold_until():
            self.step_down('lapse')

    def step_down(self, reason):
        """MASTER no more: the addresses go first."""
        demoting = self.leaving
        if self.has_vips:
            self.vip_maybe, self.ordered_at = True, NEVER
            self.drop_vips()
        self.cas = self.suspect_since = None
        self.leaving = self.left = False
        self.next_read = self.boot
        self.set_state(STANDBY, reason)
        if self.has_demote and not demoting:
            self.demote(reason)
        self.term = 0

    def demote(self, reason):
        self.promoted_before = False
        self.act('DEMOTE', reason)

    def drop_vips(self):
        if self.boot < self.ordered_at + DROP_REPEAT_MS:
            return                              # one is on its way
        self.order += 1
        self.ordered_at = self.boot
        self.act('VIP_DROP', self.order, self.max_rev)

    # ---- events

    def on_tick(self):
        pass

    def on_health(self, ready):
        if ready != self.ready:
            self.excluded_until = NEVER
        self.ready = ready

    def on_peers(self, peers):
        self.peers_known = True
        self.peers = {node: (ready, priority, hb) for node, ready, priority, hb in peers}
        if self.reg and not self.is_holder() and self.reg.holder in self.peers and \
           not self.beats(self.reg.holder):
            self.objected = 0

    def on_switchover(self, to):
        if self.state != MASTER or self.give is not None or to == self.me:
            return
        if to in self.ready_peers() if to else self.best_peer():
            self.give_to(to, 'switchover')
        else:
            self.act('ALARM')

    def give_to(self, to, reason):
        self.give, self.give_reason = to, reason

    def on_pause(self, on):
        self.paused = on

    def on_stop(self):
        self.stopping = True

    def on_yield(self, on):
        self.yielding = on

    def on_hook_done(self, hook, ok):
        if self.state != MASTER:
            return
        if hook == 'demote':
            self.left = self.leaving
        elif ok:
            self.promoted = True
        elif self.give is None:
            self.give_to('', 'hook')

    def on_vip_gone(self, order):
        if order == self.order:                 # S15
            self.vip_maybe = False

    def on_vip_held(self, order):
        if order in self.lives:                 # of this term, and not yet answered
            self.life = self.lives[order]
            self.lives = {o: life for o, life in self.lives.items() if o > order}

    def on_namesake(self, on):
        if on and not self.namesake:
            self.act('ALARM')
        self.namesake = on

    def on_unreadable(self):
        if not self.unreadable:
            self.act('ALARM')
        self.unreadable = True

    def on_along(self):
        """A read goes out anyway."""
        due = min(self.next_read, self.read_at + self.pace())
        if self.boot >= due - self.pace() // 2:
            self.next_read = self.boot

    # ---- Consul

    def on_register(self, sent, consistent, content):
        """content: a Register, or None for a key that does not exist."""
        later = consistent and sent > self.learnt_at
        reg = self.reg
        if consistent:
            self.unreadable = False
        if consistent and self.cas and self.cas.unsure is not None and \
           sent >= self.cas.unsure and \
           not (content and content.wid == self.cas.content.wid):
            self.write_after = self.cas.sent + self.confirm
            self.cas = None                     # abandoned: its late reply is ignored
        if self.is_behind(sent, consistent, content):
            self.max_rev = max(self.max_rev, self.hb_rev)
            self.lose(content)
        elif content and reg and later and content.rev == reg.rev and content.wid != reg.wid:
            self.act('ALARM')                   # Consul was restored
            if self.state == MASTER:
                self.step_down('branch')
            self.cas = None
            self.learn(content, None)
        elif content is None or content.rev < self.max_rev:
            if later:
                self.lose(content)
        elif reg is None or content.rev > reg.rev:
            self.learn(content, sent if consistent else None)
            self.confirm_by(sent, consistent, content)
        else:
            if later:
                self.learn_again(content)
            self.confirm_by(sent, consistent, content)

    def learn_again(self, content):
        """What is known; at another index somebody has written it anew, word for word."""
        self.lost = None
        if content.index == self.reg.index:
            return
        self.reg = Register(content.index, self.reg.rev, self.reg.wid, self.reg.holder,
                            self.reg.fence)
        self.learnt_at = self.boot
        if self.state == WAITING and self.reg.fence:
            self.start_wait()

    def is_behind(self, sent, consistent, content):
        """S17: a master was heard that this register does not know."""
        if self.state == MASTER or not consistent or not content or not self.hb_from or \
           sent <= self.hb_at:
            return False
        return content.rev < self.hb_rev or \
            (content.rev == self.hb_rev and content.fenced() != self.hb_from)

    def confirm_by(self, sent, consistent, content):
        """S5: it was ours, and claimed by nobody, when the read was sent."""
        if consistent and self.state == MASTER and self.lost is None and \
           content.wid == self.reg.wid and content.rev == self.reg.rev and \
           content.holder == self.me and content.fenced() == self.me:
            self.confirmed = max(self.confirmed, sent)

    def lose(self, content):
        """10.8: the register went back or vanished."""
        if self.lost is None:
            self.act('ALARM')
        self.lost = content.index if content else 0
        self.learnt_at = self.boot
        if self.state == MASTER:
            return
        self.cas = self.reg = None
        if self.state == WAITING:
            self.set_state(STANDBY, 'branch')

    def on_cas(self, wid, ok, index):
        cas = self.cas
        if not cas or cas.content.wid != wid:
            return
        if ok:
            c = cas.content
            self.learn(Register(index, c.rev, c.wid, c.holder, c.fence), None)
        else:
            cas.unsure = self.next_read = self.boot

    def learn(self, new, shown):
        """A newer content; shown: when the consistent read that shows it was sent."""
        cas, old = self.cas, self.reg
        own = cas is not None and cas.content.wid == new.wid
        if old is None or old.holder != new.holder or old.fenced() != new.fenced():
            self.known_since, self.suspect_since = self.boot, None
        if old and self.my_claim and not own and old.holder == self.me != new.holder:
            self.objected = min(self.objected + 1, OBJECTED_MAX)
        self.my_claim = own and cas.kind == 'CLAIM'
        self.cas, self.write_after, self.lost = None, NEVER, None
        self.reg, self.learnt_at = new, self.boot
        self.max_rev = max(self.max_rev, new.rev)
        self.count_move(new.fenced())
        if own:
            self.my_rev = new.rev

        if self.state == MASTER:
            self.learn_as_master(cas if own else None)
        elif own and cas.kind == 'OWN':
            since = max(cas.sent, shown if shown is not None else NEVER)
            if self.boot < since + new.fence['lease_ms'] - self.margin:
                self.become_master(since)
        elif self.state == WAITING:
            if new.holder != self.me:
                self.set_state(STANDBY, 'superseded')
            elif new.fence:
                self.start_wait()
        elif own and cas.kind == 'CLAIM':
            self.enter_waiting()
        elif own and cas.kind == 'GIVE' and self.hb:
            self.act('HEARTBEAT', STANDBY, new.rev, self.boot, self.lease + self.margin)
        if self.state != MASTER and not self.is_fenced_in():
            self.give = None

    def count_move(self, node):
        if not node:
            return
        if self.last_fenced and node != self.last_fenced:
            self.moves = self.moves[-15:] + [self.boot]
        self.last_fenced = node

    def learn_as_master(self, own):
        if not self.is_fenced_in():
            self.step_down('superseded')
            return
        node, inst, _ = writer_of(self.reg.wid)
        if node == self.me and inst != self.inst:               # S16
            self.duplicate = True
            self.step_down('duplicate')
            self.act('ALARM')
            return
        self.binding = [self.reg.fence]         # every other write of mine is dead
        if own:
            self.confirmed = max(self.confirmed, own.sent)

    def become_master(self, since):
        self.term, self.confirmed, self.binding = self.reg.rev, since, [self.reg.fence]
        self.acked = {}
        self.last_ack = {m: self.boot for m in self.reg.fence['members']}
        self.lives, self.life = {}, FOREVER
        self.ordered_at, self.until = NEVER, None
        self.next_read = self.next_hb = self.boot
        self.higher_since = self.give = None
        self.objected = 0
        self.leaving = self.left = False
        recovered = self.promoted_before and self.enter_reason == 'recovered'
        self.promoted = recovered or not self.has_promote
        self.promoted_before = False
        self.set_state(MASTER, self.enter_reason)
        if self.has_promote:
            self.act('PROMOTE', self.enter_reason)

    def start_wait(self):
        wait = self.wait_ms(self.reg.fence)
        self.wait_boot, self.wait_raw = self.boot + wait, self.raw + wait

    def enter_waiting(self):
        self.start_wait()
        self.next_hb, self.enter_reason = self.boot, None
        self.set_state(WAITING, 'takeover' if self.reg.fence['node'] else 'elected')

    # ---- heartbeats

    def on_heartbeat(self, sender, inst, rev, phase, ts):
        if not self.hb or sender == self.me:
            return
        self.seen_rev = max(self.seen_rev, rev)
        if rev > self.max_rev:
            self.next_read = self.boot
        if phase == STANDBY:
            return                              # a nudge
        self.heard[sender] = self.boot
        if self.reg and sender == self.reg.holder:
            self.objected = 0
        if phase == MASTER and (rev > self.hb_rev or
                                (rev == self.hb_rev and sender != self.hb_from)):
            self.hb_rev, self.hb_at, self.hb_from = rev, self.boot, sender
        if self.may_ack(sender, rev):
            self.act('ACK', sender, inst, rev, ts, self.ready == 'yes', self.max_rev)
        if phase == MASTER and self.state == MASTER and \
           (rev > self.max_rev or (rev == self.max_rev and sender < self.me)):
            self.act('ALARM')
            self.step_down('superseded')

    def may_ack(self, sender, rev):
        """A promise: STANDBY now. S6b: nobody keeps a superseded master alive."""
        if self.state != STANDBY or self.duplicate or self.namesake or self.unreadable:
            return False
        reg = self.reg
        return not (reg and reg.rev >= rev and sender not in (reg.fenced(), reg.holder))

    def on_ack(self, sender, inst, rev, ts, ready, known):
        if not self.hb or sender == self.me:
            return
        self.seen_rev = max(self.seen_rev, known)
        if inst != self.inst or self.state == STANDBY or ts > self.boot:
            return
        self.last_ack[sender] = self.boot
        if self.state == MASTER:
            self.acked[sender] = max(self.acked.get(sender, NEVER), ts)

    def beat(self):
        if self.state != STANDBY and self.hb and self.boot >= self.next_hb:
            self.next_hb = (self.boot // self.heartbeat + 1) * self.heartbeat
            self.act('HEARTBEAT', self.state, self.my_rev, self.boot,
                     self.lease + self.margin)

    # ---- decisions: section 6, in its order

    def decide(self):
        if self.duplicate or self.namesake or self.unreadable:
            return
        if self.state != MASTER and (self.hb_rev > self.max_rev or self.is_starting()):
            return                              # S17
        if self.lost is not None:
            if self.state == MASTER and self.may_write():
                self.own(self.reg.fence['members'])
            return
        if self.reg is None:
            return
        if self.state == MASTER:
            self.consider_giving()
            self.leave()
        if not self.may_write():
            return
        if self.state == MASTER:
            self.decide_master()
        elif self.state == WAITING:
            self.decide_waiting()
        else:
            self.decide_standby()

    def is_starting(self):
        grace = self.silence // 2 if self.hb else 0      # 2 B, with B = D/4
        return not self.warm and self.boot < self.started + grace

    def may_write(self):
        return self.cas is None and self.boot >= self.write_after

    def gives_when_unwell(self):
        """Its own service failed: only to somebody better, unless it is released."""
        if self.paused or not self.peers_known:
            return False
        return self.release_when_unwell or \
            (self.best_peer() is not None and not self.is_limited())

    def consider_giving(self):
        if not self.is_limited():
            self.limit_said = False             # it may be said again
        if self.give is not None:
            return
        if self.stopping:
            self.give_to('', 'stop')
        elif self.yielding:
            self.give_to('', 'reload')
        elif self.ready == 'no' and not self.is_holder():
            self.give_to(self.reg.holder, 'service')
        elif self.ready == 'no' and self.gives_when_unwell():
            self.give_to('', 'service')
        else:
            self.consider_preemption()
        if self.ready == 'no' and self.give is None and not self.paused and self.best_peer():
            self.say_limited()

    def consider_preemption(self):
        best = self.best_peer() if self.preempt and not self.paused else None
        if best is None or self.peers[best][1] <= self.priority or not self.lives_on(best):
            self.higher_since = None
            return
        if self.higher_since is None:
            self.higher_since = self.boot
        if self.boot < self.higher_since + self.preempt_delay:
            return
        if self.is_limited():
            self.say_limited()
        else:
            self.give_to(best, 'preempted')

    def say_limited(self):
        if not self.limit_said:
            self.act('ALARM')
        self.limit_said = True

    def lives_on(self, node):
        """An ack proves it; without heartbeats its presence must do."""
        if not self.beats(node):
            return True
        return self.boot - self.acked.get(node, NEVER) < self.lease

    def leave(self):
        """While the demote hook runs the master confirms, beats and holds."""
        if self.give is None:
            return
        if not self.leaving:
            self.leaving = True
            if self.has_demote:
                self.demote(self.give_reason)
            else:
                self.left = True
        if self.left:
            self.step_down(self.give_reason)

    def decide_master(self):
        fence = self.reg.fence
        if not self.is_holder():
            if not self.leaving:
                self.own(fence['members'])      # object
            return
        members = self.members_now(fence['members'])
        if len(self.binding) > 1:               # one that was given up may be applied still
            self.own(members)
            return
        if self.keeps_hold(members):
            return
        if (set(members) != set(fence['members']) or
                self.lease_to_publish() != fence['lease_ms'] or
                self.hold_of(members) != fence['hold_ms'] or self.hb != fence['hb']):
            self.own(members)

    def members_now(self, members):
        if not self.failsafe:
            return []
        stay = [m for m in members if self.boot - self.last_ack.get(m, NEVER) <= self.member]
        come = [m for m, ts in self.acked.items()
                if m not in members and self.boot - ts < self.lease]
        return sorted(stay + come)

    def hold_of(self, members):
        if not self.failsafe:
            return 0
        hold = self.hold_peers if members else self.hold_alone
        return hold + self.margin if hold else 0

    def keeps_hold(self, members):
        """A smaller hold is published only where it takes nothing away."""
        return self.state == MASTER and not self.is_just_confirmed() and \
            self.hold_of(members) < self.reg.fence['hold_ms']

    def is_just_confirmed(self):
        """What binds from the moment it is sent takes nothing away then."""
        return self.boot - self.confirmed < min(
            [self.lease] + [b['lease_ms'] - self.margin for b in self.binding]) // 2

    def decide_waiting(self):
        reg, fence = self.reg, self.reg.fence
        if self.must_go() or self.ready == 'no':
            self.stop_waiting('stop' if self.stopping else
                              'reload' if self.yielding else 'service')
        elif self.is_stranger(fence) and reg.fenced() != self.me and \
                any(n in fence['members'] and n != fence['node'] for n in self.ready_peers()):
            self.stop_waiting('superseded')     # a member need not wait so long
        elif fence is None:
            self.enter_free()
        elif self.is_fenced_in():
            if self.enter_reason is None:       # an earlier life's OWN arrived
                self.enter_reason = 'recovered'
            self.own()                          # once more: its own came too late to count
        elif self.boot >= self.wait_boot and self.raw >= self.wait_raw:
            self.enter('takeover' if fence['node'] else 'elected')

    def stop_waiting(self, reason):
        self.set_state(STANDBY, reason)
        if self.is_fenced_in():
            self.decide_in_doubt()
        else:
            self.write('ABANDON', '', self.reg.fence)

    def is_stranger(self, fence):
        """A taker that would have to wait for the hold."""
        return fence is not None and fence['hold_ms'] != 0 and self.me not in fence['members']

    def decide_standby(self):
        if self.is_fenced_in():
            self.decide_in_doubt()
            return
        if not self.announced:
            self.set_state(STANDBY, 'start')
            if self.has_demote:
                self.demote('start')            # an earlier instance may have died as master
        if self.vip_maybe:
            self.drop_vips()                    # left behind
        if self.is_holder():
            self.decide_as_holder()
        else:
            self.contend()

    def decide_in_doubt(self):
        """The addresses may be here: take the role up again, or give it."""
        fit = self.ready == 'yes' or (self.is_holder() and (
            self.ready == 'unknown' or not self.gives_when_unwell()))
        if self.give is None and not self.must_go() and fit:
            self.enter('recovered')
        elif self.vip_maybe:
            self.drop_vips()
        else:
            self.gave_at = self.boot
            if self.give is not None and self.give_reason == 'hook':
                self.excluded_until = self.boot + GAVE_MS
            self.write('GIVE', self.next_holder(), None)

    def next_holder(self):
        if self.give and self.give in self.ready_peers():
            return self.give
        if not self.is_holder() and self.reg.holder:
            return self.reg.holder
        if self.paused and not (self.give is not None and self.give_reason == 'switchover'):
            return ''
        return self.best_peer() or ''

    def decide_as_holder(self):
        if self.must_go() or self.ready == 'no' or self.boot < self.excluded_until:
            self.write('ABANDON', '', self.reg.fence)
        elif self.ready == 'unknown':
            return
        elif self.reg.fence is None:
            self.enter_free()
        else:
            self.enter_waiting()

    # ---- contending

    def beats(self, node):
        """Are its heartbeats to be heard, if it has the role?"""
        if not self.hb:
            return False
        if self.reg and self.reg.fenced() == node:
            return self.reg.fence['hb']
        return self.peers[node][2] if node in self.peers else True

    def is_quiet(self, node, d):
        return self.boot - max(self.heard.get(node, NEVER), self.known_since,
                               self.started) >= d

    def contend(self):
        d = self.silence_asked()
        nodes = [n for n in (self.reg.holder, self.reg.fenced()) if n]
        if not self.may_contend() or not all(self.is_gone(n, d) for n in nodes):
            self.suspect_since = None
            return
        if self.suspect_since is None:
            self.suspect_since = self.boot
        due = self.suspect_since + self.rank() * self.stagger
        if not all(self.beats(n) for n in nodes):
            due += d                            # so long its presence must be gone
        if self.boot < due:
            return
        if self.reg.fence is None:
            self.enter_free()
        else:
            self.write('CLAIM', self.me, self.reg.fence)

    def may_contend(self):
        if self.ready != 'yes' or self.paused or self.must_go() or not self.peers_known:
            return False
        if self.reg.holder and self.boot < self.gave_at + GAVE_MS:
            return False
        return self.boot >= max(self.started + self.grace, self.excluded_until)

    def silence_asked(self):
        if not self.reg.holder:
            return self.silence
        if self.is_stranger(self.reg.fence):
            return max(self.silence, self.member)
        return max(self.silence, min(self.silence << self.objected, self.member))

    def is_gone(self, node, d):
        return self.is_quiet(node, d) if self.beats(node) else node not in self.peers

    def rank(self):
        """How many ready peers come before: by membership, priority, name."""
        members = self.reg.fence['members'] if self.reg.fence else ()
        mine = (self.me not in members, -self.priority, self.me)
        return sum(1 for n in self.ready_peers()
                   if n not in (self.reg.holder, self.reg.fenced()) and
                   (n not in members, -self.peers[n][1], n) < mine)

    # ---- writes

    def write(self, kind, holder, fence):
        """S12: revision and write id are new each time."""
        rev = max(self.max_rev, self.seen_rev if self.lost is not None else 0) + 1
        wid = '%s.%s.%s.%s' % (self.me, self.inst, kind, self.draw())
        base = self.reg.index if self.lost is None else self.lost
        self.cas = Cas(kind, Register(0, rev, wid, holder, fence), self.boot)
        self.act('WRITE', kind, base, rev, wid, holder, fence)

    def own(self, members=None):
        if members is None:
            members = [n for n, p in self.peers.items() if n != self.me and p[2]]
        if not self.failsafe:
            members = []
        fence = {'node': self.me, 'lease_ms': self.lease_to_publish(),
                 'hold_ms': self.reg.fence['hold_ms'] if self.keeps_hold(members)
                 else self.hold_of(members), 'members': sorted(members),
                 'hb': self.hb}
        if self.state == MASTER and not any(self.binds_alike(fence, b) for b in self.binding):
            if len(self.binding) == BINDING_MAX:                # the newest moves the index, too
                fence = dict(self.binding[-1], hb=self.hb)
            else:
                self.binding = self.binding + [fence]           # S9: from the moment it is sent
        self.write('OWN', self.me, fence)

    @staticmethod
    def binds_alike(a, b):
        return a['lease_ms'] == b['lease_ms'] and a['hold_ms'] == b['hold_ms'] and \
            set(a['members']) == set(b['members'])

    def lease_to_publish(self):
        """S14: no less than my record says while a longer deadline may run."""
        want = self.lease + self.margin
        if not self.is_fenced_in() or want >= self.reg.fence['lease_ms']:
            return want
        if self.state == MASTER and self.is_just_confirmed() and \
           (not self.has_vips or max([self.life, *self.lives.values()]) <= self.lease):
            return want
        return self.reg.fence['lease_ms']

    def enter(self, reason):
        self.enter_reason = reason
        self.own()

    def enter_free(self):
        reasons = {'GIVE': 'handed-over', 'FORCE': 'switchover'}
        kind = writer_of(self.reg.wid)[2] if self.is_holder() else None
        self.enter(reasons.get(kind, 'elected'))

    # ---- what is due by itself

    def refresh_vips(self):
        """S1: until the hold ends, and never longer than the smallest lease."""
        if self.state != MASTER or not self.has_vips or \
           not (self.promoted or self.address_first):
            return
        hold = self.hold_until()
        if self.boot >= hold:
            return
        life = min([hold - self.boot, self.lease] +
                   [b['lease_ms'] - self.margin for b in self.binding])
        until = self.boot + life
        if self.until is not None and self.boot < self.ordered_at + self.confirm and \
           until < self.until + self.confirm:
            return
        self.order += 1
        self.act('VIP_HOLD', self.order, until, self.term, self.until is None)
        self.lives[self.order] = life
        self.until, self.ordered_at, self.vip_maybe = until, self.boot, True

    def read(self):
        if self.boot >= min(self.next_read, self.read_at + self.pace()):
            self.read_at, self.next_read = self.boot, FOREVER
            self.act('READ')

    # ---- for the comparison

    def digest(self):
        master, reg = self.state == MASTER, self.reg
        return [self.state, reg is not None, self.lost is not None, self.duplicate,
                self.term, self.max_rev, reg.rev if reg else 0, reg.index if reg else 0,
                self.hold_until() if master else 0,
                self.wait_boot if self.state == WAITING else 0,
                self.leaving, self.vip_maybe, self.is_calm(),
                master and self.boot >= self.lease_end(),
                len(self.binding) if master else 0, self.count_moves()]
