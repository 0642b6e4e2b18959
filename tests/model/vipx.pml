/* SPDX-License-Identifier: ISC */
/*
 * vipx.pml -- what the assumptions of vip.pml exclude, and what the rules S6b, S10, S16 and
 * S17 make of it: a register that goes back to an older content (RESTORE), two Consul
 * clusters that each have one (SPLIT), two agents of one name (NAMESAKE), a guest whose
 * clock stood still while another took over (THAW). No protocol can exclude two holders
 * then; these rules end it soon.
 *
 * Two agents, and time in ticks. Other than in vip.pml everything is prompt: between two
 * ticks each living agent has one turn (it reads, decides, and its write is applied and
 * answered), in any order, and with each tick every MASTER is heard by the other where the
 * link is up. So a number of ticks bounds how long two have the address.
 *  - R[c]: the register of cluster c; w is the instance that wrote it (the wid). An agent
 *    uses cluster cl.
 *  - rev: newest known, over all that was ever learnt (max_rev). kw: who wrote it. my: of
 *    the newest own write. hr, hf: highest revision in a MASTER's heartbeat, and its sender.
 *  - t: ticks that the lease still runs. ack: ticks that the other's newest ack still
 *    counts; the failsafe part of a hold, without a limit of its own.
 *  - q: ticks since a MASTER was heard, while another's record is in the register.
 */
#ifndef L
#define L 2		/* lease */
#endif
#define W (L + 1)	/* fence wait */
#define D 2		/* silence */
#define NONE 3
#define THIRD 2		/* a third node, which needs no turn: it only has the address */
#define S 0
#define F 1
#define M 2
#define RMAX 12		/* revisions beyond it are not looked at */

typedef REG { byte rev; byte h; byte f; byte w };
typedef AG {
	byte st; byte rev; byte kw; byte my; byte hr; byte hf; byte t; byte ack; byte fw;
	byte q; byte inst;
	bit lost; bit dup; bit done; bit fresh; bit cl; bit consul
};
REG R[2];
REG old;		/* the snapshot */
AG a[2];
bit linked = 1;		/* heartbeats pass */
bit faulted = 0;	/* the fault has happened */
bit over = 0;		/* the bound counts from now on */
bit frozen = 0;		/* agent 0's guest stands still */
byte dual = 0;		/* ticks with two holders since then */
byte next_inst = 2;

#ifdef NAMESAKE
#define NODE(i) 0
#else
#define NODE(i) i
#endif
#define C(i) R[a[i].cl]
#define HAS(i) (a[i].st == M && (a[i].t > 0 || a[i].ack > 0))
#define STEPDOWN(i) a[i].st = S; a[i].t = 0; a[i].ack = 0; a[i].fw = 0
/* an own write, applied and answered */
#define WRITE(i,kind_h,kind_f) \
	C(i).rev = (a[i].rev > C(i).rev -> a[i].rev : C(i).rev) + 1; \
	C(i).h = kind_h; C(i).f = kind_f; C(i).w = a[i].inst; \
	a[i].rev = C(i).rev; a[i].kw = a[i].inst; a[i].my = C(i).rev
#define OWN(i) WRITE(i, NODE(i), NODE(i)); a[i].st = M; a[i].t = L; a[i].ack = 0; \
	a[i].fw = 0; a[i].lost = 0

#ifdef NOHBREV		/* mutation: what a heartbeat says of the revision is not looked at */
#define AHEAD(i) 0
#define BEHIND(i) 0
#else
#define AHEAD(i) (a[i].hr > a[i].rev)
#define BEHIND(i) (C(i).rev < a[i].hr || \
	(C(i).rev == a[i].hr && a[i].hf != NONE && C(i).f != a[i].hf))
#endif
#ifdef NOGRACE2B	/* mutation: decisions before a heartbeat could be heard */
#define LISTENED(i) 1
#else
#define LISTENED(i) (!a[i].fresh)
#endif
#ifdef NODUP		/* mutation: the instance in the wid is not looked at */
#define NAMESAKES(i) 0
#else
#define NAMESAKES(i) (C(i).f == NODE(i) && C(i).w != a[i].inst && C(i).rev > a[i].rev && \
	a[i].st == M)
#endif
#define BRANCHED(i) (C(i).rev == a[i].rev && C(i).w != a[i].kw && a[i].kw != NONE)

/* what a read shows */
#define LEARN(i) \
	if \
	:: NAMESAKES(i) -> a[i].dup = 1; STEPDOWN(i) \
	:: !NAMESAKES(i) && BRANCHED(i) -> STEPDOWN(i); a[i].kw = C(i).w \
	:: !NAMESAKES(i) && !BRANCHED(i) && a[i].st != M && BEHIND(i) -> \
		a[i].lost = 1; STEPDOWN(i); \
		a[i].rev = (a[i].hr > a[i].rev -> a[i].hr : a[i].rev) \
	:: !NAMESAKES(i) && !BRANCHED(i) && !(a[i].st != M && BEHIND(i)) && \
	    C(i).rev < a[i].rev -> \
		a[i].lost = 1; if :: a[i].st == F -> STEPDOWN(i) :: else fi \
	:: else -> \
		if :: a[i].st == S && C(i).f != NODE(i) && C(i).rev > a[i].rev -> \
			a[i].q = 0 :: else fi; \
		a[i].rev = C(i).rev; a[i].kw = C(i).w; a[i].lost = 0; \
		if \
		:: a[i].st == M && C(i).f != NODE(i) -> STEPDOWN(i) \
		:: a[i].st == M && C(i).f == NODE(i) && C(i).h == NODE(i) -> a[i].t = L \
		:: a[i].st == F && C(i).h != NODE(i) -> STEPDOWN(i) \
		:: else \
		fi \
	fi
#define DECIDE(i) \
	if \
	:: a[i].dup || C(i).rev >= RMAX -> skip \
	:: !a[i].dup && C(i).rev < RMAX && a[i].lost && a[i].st == M -> OWN(i) \
	:: !a[i].dup && C(i).rev < RMAX && !a[i].lost && a[i].st == M && C(i).h != NODE(i) -> \
		OWN(i) \
	:: !a[i].dup && C(i).rev < RMAX && !a[i].lost && a[i].st == F && a[i].fw == 0 -> \
		OWN(i) \
	:: !a[i].dup && C(i).rev < RMAX && !a[i].lost && a[i].st == S && LISTENED(i) && \
	    !AHEAD(i) && (C(i).f == NODE(i) || C(i).f == NONE) -> OWN(i) \
	:: !a[i].dup && C(i).rev < RMAX && !a[i].lost && a[i].st == S && LISTENED(i) && \
	    !AHEAD(i) && C(i).f != NODE(i) && C(i).f != NONE && a[i].q >= D -> \
		WRITE(i, NODE(i), C(i).f); a[i].st = F; a[i].fw = W \
	:: else \
	fi
/* a lapse comes first; where Consul is not reached there is nothing to read */
#define TURN(i) :: d_step { !a[i].done && !(i == 0 && frozen) -> \
	printf("EV TURN %d\n", i); a[i].done = 1; \
	if :: a[i].st == M && !HAS(i) -> STEPDOWN(i) :: else fi; \
	if :: a[i].consul -> LEARN(i); DECIDE(i) :: else fi }

/* S6b: a STANDBY does not ack whom it knows to be superseded */
#ifdef REVIVE		/* mutation: it does */
#define SUPERSEDED(m,i) 0
#else
#define SUPERSEDED(m,i) (a[m].rev >= a[i].my && C(m).f != NODE(i) && C(m).h != NODE(i))
#endif
/* the heartbeat of MASTER i reaches m; both MASTER: the older gives way, of equals the
   greater name */
#ifdef EQUALREV		/* mutation: equal revisions are let be */
#define GIVESWAY(m,i) (a[i].my > a[m].rev)
#else
#ifdef HIGHERREV	/* mutation: higher ones too */
#define GIVESWAY(m,i) (a[i].my == a[m].rev && m > i)
#else
#define GIVESWAY(m,i) (a[i].my > a[m].rev || (a[i].my == a[m].rev && m > i))
#endif
#endif
#define HEAR(m,i) \
	if \
	:: linked && HAS(i) && !(i == 0 && frozen) && !(m == 0 && frozen) -> \
		a[m].q = 0; \
		if :: a[i].my >= a[m].hr -> a[m].hr = a[i].my; a[m].hf = NODE(i) :: else fi; \
		if \
		:: a[m].st == S && !a[m].dup && !SUPERSEDED(m,i) -> a[i].ack = L \
		:: a[m].st == M && GIVESWAY(m,i) -> STEPDOWN(m) \
		:: else \
		fi \
	:: else -> if :: a[m].q < D -> a[m].q++ :: else fi \
	fi
#ifdef NAMESAKE		/* 10.10 is blind: nothing but the register tells */
#define HEARING skip
#else
#define HEARING HEAR(0, 1); HEAR(1, 0)
#endif
#define DEC(x) if :: x > 0 -> x-- :: else fi
#define AGE(i) if :: !(i == 0 && frozen) -> DEC(a[i].t); DEC(a[i].ack); DEC(a[i].fw) \
	:: else fi; a[i].done = 0; a[i].fresh = 0
#ifdef THAW
#define HOLDERS (HAS(0) && !frozen && (HAS(1) || R[0].f == THIRD))
#else
#define HOLDERS (HAS(0) && HAS(1))
#endif
#ifndef BOUND
#define BOUND 0
#endif
#define TICK :: d_step { (a[0].done || frozen) && a[1].done -> printf("TICK\n"); \
	if :: over && HOLDERS -> dual++ :: else fi; assert(dual <= BOUND); \
	HEARING; AGE(0); AGE(1) }

/* it forgets everything; its address lives on its deadline, which no rule here needs */
#define RESTART(i) :: d_step { faulted && next_inst < 5 -> printf("EV RESTART %d\n", i); \
	STEPDOWN(i); a[i].rev = 0; a[i].kw = NONE; a[i].my = 0; a[i].hr = 0; \
	a[i].hf = NONE; a[i].q = 0; a[i].lost = 0; a[i].fresh = 1; a[i].done = 0; \
	a[i].inst = next_inst; next_inst++ }
#define COPY(to,from) to.rev = from.rev; to.h = from.h; to.f = from.f; to.w = from.w

init {
	d_step {
		R[0].rev = 1; R[0].h = NONE; R[0].f = NONE; R[0].w = 9;
		COPY(old, R[0]);
		a[0].kw = NONE; a[1].kw = NONE; a[0].hf = NONE; a[1].hf = NONE;
		a[0].consul = 1; a[1].consul = 1; a[0].inst = 0; a[1].inst = 1;
		a[0].fresh = 1; a[1].fresh = 1;
#ifdef NAMESAKE
		over = 1;
#endif
	}
	do
	TICK TURN(0) TURN(1)
	/* a planned handover: the master gives the role to the other */
#ifndef NAMESAKE
	:: d_step { !faulted && HAS(0) && !a[0].lost && a[0].consul && !frozen && R[0].rev < 6 && R[0].f == 0 -> \
		printf("EV GIVE 0\n"); STEPDOWN(0); WRITE(0, 1, NONE); a[0].done = 1 }
	:: d_step { !faulted && HAS(1) && !a[1].lost && R[0].rev < 6 && R[0].f == 1 && a[1].consul -> \
		printf("EV GIVE 1\n"); STEPDOWN(1); WRITE(1, 0, NONE); a[1].done = 1 }
#endif
#ifdef RESTORE
	:: d_step { !faulted -> printf("EV SNAPSHOT\n"); COPY(old, R[0]) }
	/* the index goes on, so writes of before are void; there are none in flight here */
	/* whoever lives has heard of the newest revision: before, one tick is lost */
	:: d_step { !faulted && old.rev < R[0].rev && \
	    (a[0].hr >= R[0].rev || a[1].hr >= R[0].rev) -> printf("EV RESTORE\n"); \
		faulted = 1; over = 1; COPY(R[0], old) }
	RESTART(0) RESTART(1)
#endif
#ifdef SPLIT
	:: d_step { !faulted -> printf("EV SPLIT\n"); faulted = 1; linked = 0; a[1].cl = 1; \
		COPY(R[1], R[0]) }
	:: d_step { faulted && !linked -> printf("EV LINK HEALED\n"); linked = 1; over = 1 }
#endif
#ifdef THAW
	:: d_step { !faulted && HAS(0) && a[0].done -> printf("EV FREEZE\n"); faulted = 1; \
		frozen = 1; linked = 0 }
	:: d_step { frozen && HAS(1) -> printf("EV HANDED ON\n"); STEPDOWN(1); \
		WRITE(1, THIRD, THIRD); a[1].done = 1 }
	:: d_step { frozen && R[0].f == THIRD && a[1].rev == R[0].rev -> printf("EV THAW\n"); \
		frozen = 0; linked = 1; a[0].consul = 0; over = 1; a[0].done = 0 }
#endif
	od
}
