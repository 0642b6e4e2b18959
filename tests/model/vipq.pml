/* SPDX-License-Identifier: ISC */
/*
 * vipq.pml -- the same model with extension E1 (majority acks, supporters); N = 3.
 * Derived from vip.pml.
 *  - rs[i]: set of member lists that bind MASTER i (bit number = member mask); failsafe
 *    must be satisfied under each of them
 *  - a member list of two needs ONE ack (need = 1); a taker may use the short wait only
 *    when fewer than need members can still acknowledge the old master: it is itself a
 *    member and/or other members have acknowledged its claim (support)
 *  - ref[m]: agents whose heartbeats m refuses, because it has supported a later claim;
 *    sil[m]: silence after a restart
 *
 * vip.pml -- safety model of the failover protocol v2
 *
 * One register in Consul {holder rH, fence {node rF, members rM}}, written only by
 * compare-and-set.
 * Discrete time. One process; every event is one d_step, so every interleaving of events
 * is explored. No event is ever forced: an agent that does nothing = paused process, lost
 * or late message, Consul outage or partition. Only time itself and the kernel's address
 * lifetime (vip) are driven by tick.
 *
 * Abstractions (exact, or over-approximations of the behaviours that matter for safety):
 *  - ra[i]: age of the freshest read of the register that could have returned "(i,i)" and
 *    whose reply may still be in flight; 0 while the register is (i,i). A confirm may be
 *    taken at any later time: lease = L - ra.
 *  - aa[i][m]: age of the freshest heartbeat of i that m can have acknowledged (the ack
 *    may be in flight).
 *  - fly[i]: the writes of agent i that are in flight AND based on the register's current
 *    index. They survive the death of the agent (orphans) and may be applied at any later
 *    time in any order. A write that is applied kills all others. An issue is allowed
 *    whenever the agent could just have read the register ("read, then issue" is one
 *    event).
 *  - won[i]: an OWN write of i was applied, its reply is in flight, and the agent still
 *    waits for it.
 */
#ifndef NEED
#define NEED 1
#endif
#ifndef N
#define N 3
#endif
#define NONE N
#ifndef L
#define L 2              /* lease, ticks */
#endif
#ifndef G
/* kernel removes the address at most G after the lifetime it was given */
#define G 1
#endif
#ifndef H
#define H 4              /* longest hold without a confirmation (failsafe) */
#endif
#ifndef W
#define W (L+G)          /* fence wait of a member */
#endif
#ifndef WN
#define WN (H+G)         /* fence wait of a non-member */
#endif
#define S 0              /* STANDBY */
#define F 1              /* WAITING (fence wait) */
#define M 2              /* MASTER */

/* in-flight writes: bits 0..7 OWN(members = bit number), bit 8 CLAIM, bit 9 GIVE, bit 10
 * ABANDON */
#define CLM 256
#define GIV 512
#define ABN 1024

typedef AG {
  unsigned st : 2;
  unsigned vip : 4;     /* remaining kernel lifetime of the address; >0 = configured */
  unsigned lease : 3;   /* hold by confirm, remaining */
  unsigned lastc : 4;   /* failsafe limit since the last confirm, remaining */
  unsigned rs : 8;      /* member lists that bind me, as a set of masks */
  unsigned ref : 3;     /* agents whose heartbeats I refuse */
  unsigned sil : 4;     /* silence after the start, remaining */
  unsigned rv : 2;      /* rank of my latest write */
  unsigned pu0 : 3;  unsigned pu1 : 3;  unsigned pu2 : 3;
  unsigned aa0 : 3;  unsigned aa1 : 3;  unsigned aa2 : 3;
  unsigned ra : 3;
  unsigned fw : 4;      /* fence wait, remaining */
  unsigned won : 1;
  unsigned wr : 1;      /* the living process still waits for the reply of an OWN it sent */
  unsigned fly : 11
#ifdef LATEREFRESH
  ; unsigned pr : 4
#endif
#ifdef DRIFT
  /* ticks until this host's clock may skip a tick again (slow clock) */
  ; unsigned dr : 3
#endif
};
AG a[N];
unsigned rH : 2 = NONE;
unsigned rF : 2 = NONE;
unsigned rM : 3 = 0;
bit rX = 1;               /* the register exists */
#ifdef WIPE
bit wiped = 0;
#endif
#ifdef STALEREAD
unsigned oM : 3 = 0;
#endif

#define MIN(x,y) ((x) < (y) -> (x) : (y))
#define MAX(x,y) ((x) > (y) -> (x) : (y))
#define B1(i,b,e) (((a[i].rs >> b) & 1) -> (e) : 15)
#if NEED == 2
#define TWO(x,y) MIN(x,y)
#else
#define TWO(x,y) MAX(x,y)
#endif
#define FS(i) \
	MIN(a[i].lastc, MIN(B1(i,1,a[i].pu0), MIN(B1(i,2,a[i].pu1), MIN(B1(i,4,a[i].pu2), \
	MIN(B1(i,3,TWO(a[i].pu0,a[i].pu1)), MIN(B1(i,5,TWO(a[i].pu0,a[i].pu2)), \
	B1(i,6,TWO(a[i].pu1,a[i].pu2))))))))
#define HOLD(i) MAX(a[i].lease, FS(i))
#ifdef LONGLIFE        /* mutation: kernel lifetime up to the hold's end, however far */
#define LIFE(i) (HOLD(i) + G)
#else
#define LIFE(i) (MIN(HOLD(i), L) + G)
#endif
#define MINE(i) (rX && rH == i && rF == i)

#if N == 2
#define ALONE(i) (a[1-i].vip == 0)
#else
#define ALONE(i) (a[(i+1)%3].vip == 0 && a[(i+2)%3].vip == 0)
#endif
/* the agent computes the lifetime, and hands it to the kernel some time later */
#ifdef LATEREFRESH
#define RAISE(i) a[i].pr = LIFE(i)
/* the process is stuck between computing the lifetime and the call */
#define RUN(i) (a[i].pr == 0)
#else
#define RAISE(i) a[i].vip = MAX(a[i].vip, LIFE(i)); assert(ALONE(i))
#define RUN(i) 1
#endif

#ifdef NOPROMISE       /* mutation: a waiting taker goes on acknowledging */
#define ACKS(i,m) (a[m].st != M && a[m].sil == 0 && !((a[m].ref >> i) & 1))
#else
#define ACKS(i,m) (a[m].st == S && a[m].sil == 0 && !((a[m].ref >> i) & 1))
#endif
/* enough support from the start: I am the only member (need 1), or any member when need =
 * all */
#if NEED == 2
#define ENOUGH(i) ((rM >> i) & 1)
#else
/* mutation: a member takes over with the short wait by itself, although one ack of two is
   enough for the master */
#ifdef NOSUPPORT
#define ENOUGH(i) ((rM >> i) & 1)
#else
#define ENOUGH(i) (rM == (1 << i))
#endif
#endif
#define FW(i) (ENOUGH(i) -> W : WN)

/* ---- normal form: variables that cannot matter are reset (exact); ages restart where
 * acks/confirms are possible ---- */
#define TOS(i) a[i].st = S; a[i].wr = 0; a[i].lease = 0; a[i].lastc = 0; a[i].rs = 0; \
	a[i].fw = 0
#define NZ(i) \
	if :: !(a[i].fly & 255) -> a[i].wr = 0 :: else fi; \
	if :: MINE(i) -> a[i].ra = 0 :: !MINE(i) && a[i].st != M && !a[i].won -> \
	a[i].ra = L :: else fi; \
	if :: a[i].st != M -> a[i].pu0 = 0; a[i].pu1 = 0; a[i].pu2 = 0; a[i].aa0 = 0; \
	a[i].aa1 = 0; a[i].aa2 = 0 \
	:: else -> \
	if :: !(a[i].rs & 42) -> a[i].pu0 = 0 :: else fi; if :: ACKS(i,0) -> a[i].aa0 = 0 \
	:: else fi; \
	if :: !(a[i].rs & 76) -> a[i].pu1 = 0 :: else fi; if :: ACKS(i,1) -> a[i].aa1 = 0 \
	:: else fi; \
	NZ2(i); LAPSED(i) \
	fi
#if N == 2
#define NZ2(i) skip
#else
#define NZ2(i) if :: !(a[i].rs & 112) -> a[i].pu2 = 0 :: else fi; if :: ACKS(i,2) -> \
	a[i].aa2 = 0 :: else fi
#endif
#ifdef RESURRECT
#define LAPSED(i) skip
#else
#define LAPSED(i) if :: HOLD(i) == 0 -> a[i].lease = 0; a[i].lastc = 0; a[i].rs = 0; \
	a[i].pu0 = 0; a[i].pu1 = 0; a[i].pu2 = 0; \
	a[i].aa0 = 0; a[i].aa1 = 0; a[i].aa2 = 0; a[i].ra = (MINE(i) -> 0 : L); \
	a[i].won = 0 :: else fi
#endif
#ifdef SYM
c_decl { void canon(void); }
#define END c_code { canon(); }
#else
#define END skip
#endif
#if N == 2
#define Z NZ(0); NZ(1)
#else
#define Z NZ(0); NZ(1); NZ(2); END
#endif

/* ---- an agent learns the register's content (any read; also any reply) ---- */
/* own OWN writes still in flight stay required; masks 0..6 */
#define INFL(i) (a[i].fly & 127)
#define READM(i) d_step { RUN(i) && a[i].st == M && HOLD(i) > 0 && rX && rF == i && \
	a[i].rs != ((1 << rM) | INFL(i)) -> printf("EV READ %d\n", i); \
	a[i].rs = (1 << rM) | INFL(i); Z }
#define READD(i) d_step { RUN(i) && a[i].st == M && rX && rF != i -> \
	printf("EV READ_DROP %d\n", i); a[i].vip = 0; a[i].won = 0; TOS(i); Z }
#define READF(i) d_step { RUN(i) && a[i].st == F && (!rX || rH != i) -> \
	printf("EV READ_LOST %d\n", i); TOS(i); Z }
#ifdef READADOPT   /* mutation: become MASTER on a read alone */
#define ADOPT(i) d_step { RUN(i) && a[i].st == S && MINE(i) -> \
	printf("EV ADOPT %d\n", i); a[i].st = M; a[i].won = 0; a[i].lease = L; \
	a[i].lastc = H; a[i].rs = 1 << rM; RAISE(i); Z }
#endif

/* CLAIM: unclean take-over; only the holder changes, the fence record stays. The wait
 * starts when the claimant KNOWS it is holder */
#ifdef TSEND       /* mutation: it starts when the claim is sent */
#define CLAIM(i) d_step { RUN(i) && a[i].st == S && rX && rF != NONE && rF != i && \
	rH != i && !(a[i].fly & CLM) -> printf("EV CLAIM %d\n", i); \
	a[i].fly = a[i].fly | CLM; a[i].fw = FW(i); Z }
#define ENTERF(i) d_step { RUN(i) && a[i].st == S && rX && rH == i && rF != i && \
	rF != NONE -> printf("EV WAIT %d\n", i); a[i].st = F; a[i].won = 0; a[i].wr = 0; \
	Z }
#else
#define CLAIM(i) d_step { RUN(i) && a[i].st == S && rX && rF != NONE && rF != i && \
	rH != i && !(a[i].fly & CLM) -> printf("EV CLAIM %d\n", i); \
	a[i].fly = a[i].fly | CLM; Z }
#define ENTERF(i) d_step { RUN(i) && a[i].st == S && rX && rH == i && rF != i && \
	rF != NONE -> printf("EV WAIT %d\n", i); a[i].st = F; a[i].fw = FW(i); \
	a[i].won = 0; a[i].wr = 0; Z }
#endif

/* OWN: holder = fence.node = me.  (1) STANDBY: nobody, or only I, may have the address
 * (free / handed over / taking back)
   (2) end of the fence wait   (3) MASTER: change members, or object to a claim   (4)
   MASTER: re-create a vanished register */
#define OWN(i,mask) d_step { RUN(i) && !(a[i].fly & (1<<mask)) && \
	((a[i].st == S && rX && (rF == NONE || rF == i)) || \
	(a[i].st == F && rX && rH == i && (a[i].fw == 0 || rF == NONE || rF == i))) -> \
	printf("EV OWN %d %d\n", i, mask); \
	a[i].fly = a[i].fly | (1<<mask); a[i].won = 0; a[i].wr = 1; Z }
#ifdef GROWLATE
#define GROW(i,mask) skip
#else
#define GROW(i,mask) \
   if :: (mask & 1) && !(a[i].rs & 42) -> a[i].pu0 = L - a[i].aa0 :: else fi; \
   if :: (mask & 2) && !(a[i].rs & 76) -> a[i].pu1 = L - a[i].aa1 :: else fi; \
   if :: (mask & 4) && !(a[i].rs & 112) -> a[i].pu2 = L - a[i].aa2 :: else fi; \
   a[i].rs = a[i].rs | (1 << mask)
#endif
#ifdef WIPE
#define OWNMG(i,mask) ((rX && rF == i && (rH != i || rM != mask)) || !rX)
#else
#define OWNMG(i,mask) (rF == i && (rH != i || rM != mask))
#endif
#define OWNM(i,mask) d_step { RUN(i) && !(a[i].fly & (1<<mask)) && a[i].st == M && \
	HOLD(i) > 0 && OWNMG(i,mask) -> printf("EV OWNM %d %d\n", i, mask); \
	a[i].fly = a[i].fly | (1<<mask); a[i].won = 0; GROW(i,mask); Z }

/* GIVE: fence := none, only when the address has been deleted here.  From STANDBY only (a
 * MASTER steps down first).
   It is also the "clear" of a fenced node that is not holder any more.  ABANDON: a waiting holder withdraws;
   	the fence stays. */
/* mutation: the late reply of an older OWN is still believed after the GIVE was sent */
#ifdef LATEREPLY
#define WON0(i) skip
#else
#define WON0(i) a[i].won = 0; a[i].wr = 0
#endif
#define GIVE(i) d_step { RUN(i) && a[i].st == S && rX && rF == i && !(a[i].fly & GIV) -> \
	printf("EV GIVE %d\n", i); a[i].vip = 0; WON0(i); a[i].fly = a[i].fly | GIV; Z }
#define GIVEW(i) d_step { RUN(i) && a[i].st == F && rX && rH == i && !(a[i].fly & GIV) -> \
	printf("EV GIVEW %d\n", i); a[i].fly = a[i].fly | GIV; Z }
#define ABANDON(i) d_step { RUN(i) && a[i].st == F && rX && rH == i -> \
	printf("EV ABANDON %d\n", i); a[i].fly = a[i].fly | ABN; TOS(i); Z }

/* ---- Consul applies a write; every other write in flight is now stale ---- */
#if N == 2
#define KILL a[0].fly = 0; a[1].fly = 0
#else
#define KILL a[0].fly = 0; a[1].fly = 0; a[2].fly = 0
#endif
#define DN(j,r) if :: a[j].rv > r -> a[j].rv = a[j].rv - 1 :: else fi
#define TOP(i) if :: i != 0 -> DN(0, a[i].rv) :: else fi; if :: i != 1 -> DN(1, a[i].rv) \
	:: else fi; if :: i != 2 -> DN(2, a[i].rv) :: else fi; a[i].rv = 2; \
	a[0].ref = a[0].ref & ~(1 << i); a[1].ref = a[1].ref & ~(1 << i); \
	a[2].ref = a[2].ref & ~(1 << i)
/* m acknowledges the heartbeat of the claimant x: a promise not to acknowledge anybody with
 * an older write */
#define LOWER(m,i,x) ((m != i && a[i].rv < a[x].rv) -> (1 << i) : 0)
#ifdef NOREF   /* mutation: support does not bind */
#define PROM(m,x) skip
#else
#define PROM(m,x) a[m].ref = a[m].ref | LOWER(m,0,x) | LOWER(m,1,x) | LOWER(m,2,x)
#endif
#define SUP(x,m) d_step { a[x].st == F && rX && rH == x && rF != NONE && rF != m && \
	a[x].fw > W && ((rM >> m) & 1) && ACKS(x,m) -> \
	printf("EV SUPPORT %d by %d\n", x, m); \
	PROM(m,x); a[x].fw = W; Z }
/* mutation: the taker writes a new member list (everybody) while its predecessor is still
   in doubt */
#ifdef CHAIN
#define ACLAIM(i) d_step { (a[i].fly & CLM) -> printf("EV ACLAIM %d\n", i); KILL; TOP(i); \
	rH = i; rM = 7; Z }
#else
#define ACLAIM(i) d_step { (a[i].fly & CLM) -> printf("EV ACLAIM %d\n", i); KILL; TOP(i); \
	rH = i; Z }
#endif
/* mutation: a write of an identical value does not advance the index (Consul really does
   this) */
#ifdef SAMEVAL
#define AKILL(i,mask) if :: rX && rH == i && rF == i && rM == mask -> \
	a[i].fly = a[i].fly & ~(1<<mask) :: else -> KILL fi
#else
#define AKILL(i,mask) KILL
#endif
/* mutation: a delayed reply showing an older content (older member list) of my own term is
   believed */
#ifdef STALEREAD
#define OLDM(i,mask) if :: rF == i -> oM = rM :: else -> oM = mask fi
#define READOLD(i) d_step { a[i].st == M && HOLD(i) > 0 && MINE(i) && a[i].req != oM -> \
	printf("EV READ_OLD %d\n", i); a[i].req = oM; Z }
#else
#define OLDM(i,mask) skip
#endif
#define AOWN(i,mask) d_step { (a[i].fly & (1<<mask)) -> \
	printf("EV AOWN %d %d\n", i, mask); AKILL(i,mask); TOP(i); rX = 1; rH = i; rF = i; \
	rM = mask; \
	if :: a[i].st != M && a[i].wr -> a[i].won = 1 :: else fi; a[i].wr = 0; Z }
#define AGIVE(i,next) d_step { (a[i].fly & GIV) -> printf("EV AGIVE %d %d\n", i, next); \
	KILL; rF = NONE; rM = 0; rH = next; Z }
#define AABN(i) d_step { (a[i].fly & ABN) -> printf("EV AABN %d\n", i); KILL; rH = NONE; Z }

/* ---- the reply of a successful OWN arrives (possibly late) ---- */
#define USES(m) (m == 0 -> 42 : (m == 1 -> 76 : 112))
#define AAS0(i) if :: !ACKS(i,0) -> a[i].aa0 = L :: else fi
#define AAS1(i) if :: !ACKS(i,1) -> a[i].aa1 = L :: else fi
#if N == 2
#define AAINIT(i) AAS0(i); AAS1(i)
#else
#define AAS2(i) if :: !ACKS(i,2) -> a[i].aa2 = L :: else fi
#define AAINIT(i) AAS0(i); AAS1(i); AAS2(i)
#endif
#define ENTERM(i) d_step { RUN(i) && a[i].won && a[i].st != M && a[i].ra < L -> \
	printf("EV MASTER %d\n", i); a[i].st = M; a[i].won = 0; \
	a[i].fw = 0; a[i].lease = L - a[i].ra; a[i].lastc = H - a[i].ra; \
	a[i].rs = 1 << rM; AAINIT(i); RAISE(i); Z }

/* ---- MASTER extends its hold ---- */
#define CONFIRM(i) d_step { RUN(i) && a[i].st == M && HOLD(i) > 0 && a[i].ra < L && \
	(a[i].lease < L - a[i].ra || a[i].lastc < H - a[i].ra) -> \
	printf("EV CONFIRM %d\n", i); a[i].lease = MAX(a[i].lease, L - a[i].ra); \
	a[i].lastc = MAX(a[i].lastc, H - a[i].ra); RAISE(i); Z }
#ifdef RESURRECT   /* mutation: acks count again after the hold has lapsed */
#define ACKG(i) 1
#else
#define ACKG(i) (HOLD(i) > 0)
#endif
#define ACK(i,m,PU,AA) d_step { RUN(i) && a[i].st == M && ACKG(i) && \
	(a[i].rs & USES(m)) && a[i].AA < L && a[i].PU < L - a[i].AA -> \
	printf("EV ACK %d %d\n", i, m); a[i].PU = L - a[i].AA; if :: HOLD(i) > 0 -> \
	RAISE(i) :: else fi; Z }
#define REFRESH(i) d_step { RUN(i) && a[i].st == M && HOLD(i) > 0 && a[i].vip < LIFE(i) \
	-> printf("EV REFRESH %d\n", i); RAISE(i); Z }

/* self-fence, or step down voluntarily (at any time) */
#ifdef RESURRECT
#define DROP(i) d_step { RUN(i) && a[i].st == M && HOLD(i) == 0 && a[i].vip > 0 -> \
	printf("EV DROP %d\n", i); a[i].vip = 0; Z }
#else
#define DROP(i) d_step { RUN(i) && a[i].st == M -> printf("EV DROP %d\n", i); \
	a[i].vip = 0; a[i].won = 0; TOS(i); Z }
#endif
/* the process dies and (some time later) starts again with no memory; the address stays to
 * its kernel lifetime */
#ifdef LATEREFRESH
#define CRASH(i) d_step { a[i].st != S || a[i].won || a[i].wr -> \
	printf("EV CRASH %d\n", i); a[i].won = 0; a[i].pr = 0; TOS(i); Z }
#define ACT(i) d_step { a[i].pr > 0 -> printf("EV ACT %d\n", i); a[i].vip = a[i].pr; \
	a[i].pr = 0; assert(ALONE(i)); Z }
#else
#ifdef PERSIST   /* the refused revision is kept in a file that survives the process */
#define FORGET(i) skip
#else
/* mutation: a restarted agent forgets its promise and acknowledges at once */
#ifdef NOSIL
#define FORGET(i) a[i].ref = 0
#else
#define FORGET(i) a[i].ref = 0; a[i].sil = W
#endif
#endif
#define CRASH(i) d_step { a[i].st != S || a[i].won || a[i].wr || a[i].ref -> \
	printf("EV CRASH %d\n", i); a[i].won = 0; TOS(i); FORGET(i); Z }
#endif

#define DEC(x) if :: x > 0 -> x = x - 1 :: else fi
#ifdef NODEADMAN    /* mutation: no kernel lifetime: a paused process's address stays */
#define DECVIP(i) if :: a[i].st != M -> DEC(a[i].vip) :: else fi
#else
/* mutation: a restarted agent keeps the address it finds, without asking Consul */
#ifdef RESTARTKEEP
#define DECVIP(i) if :: a[i].st == S && a[i].vip > 0 -> skip :: else -> DEC(a[i].vip) fi
#else
#define DECVIP(i) DEC(a[i].vip)
#endif
#endif
#ifdef CLAIMCONFIRM /* mutation: a confirm still counts while somebody else claims */
#define RAMINE(i) (rX && rF == i)
#else
#define RAMINE(i) MINE(i)
#endif
#define AGE0(i) if :: a[i].st == M && !ACKS(i,0) && a[i].aa0 < L -> \
	a[i].aa0 = a[i].aa0 + 1 :: else fi
#define AGE1(i) if :: a[i].st == M && !ACKS(i,1) && a[i].aa1 < L -> \
	a[i].aa1 = a[i].aa1 + 1 :: else fi
#define AGE2(i) if :: a[i].st == M && !ACKS(i,2) && a[i].aa2 < L -> \
	a[i].aa2 = a[i].aa2 + 1 :: else fi
/* the kernel kills the process when its hold ends (absolute timer), so a late refresh is
   bounded */
#ifdef KILLTIMER
#define KT(i) if :: a[i].st == M && HOLD(i) == 0 -> a[i].pr = 0; a[i].won = 0; TOS(i) \
	:: else fi
#else
#define KT(i) skip
#endif
#define TICKC(i) DEC(a[i].lease); DEC(a[i].lastc); DEC(a[i].pu0); DEC(a[i].pu1); \
	DEC(a[i].pu2); DECVIP(i); DEC(a[i].fw); DEC(a[i].sil); \
	if :: !RAMINE(i) && a[i].ra < L -> a[i].ra = a[i].ra + 1 :: else fi; \
	if :: a[i].st != M && a[i].ra == L -> a[i].won = 0 :: else fi; KT(i)
#if N == 2
#define AGE2N(i) skip
#else
#define AGE2N(i) AGE2(i)
#endif
#define T0(x) TICKC(0); AGE1(0); AGE2N(0)
#define T1(x) TICKC(1); AGE0(1); AGE2N(1)
#define T2(x) TICKC(2); AGE0(2); AGE1(2)
#ifdef DRIFT      /* each host's clock may skip one tick in every DRIFT ticks */
#define K0(i) DEC(a[i].dr)
#define K1(i) a[i].dr = DRIFT - 1
#define SK(i) (a[i].dr == 0)
#if N == 2
#define TICKS :: d_step { true -> printf("TICK\n"); T0(0); T1(0); K0(0); K0(1); Z } \
  :: d_step { SK(0) -> printf("TICK skip0\n"); T1(0); K1(0); K0(1); Z } \
  :: d_step { SK(1) -> printf("TICK skip1\n"); T0(0); K1(1); K0(0); Z }
#else
#define TICKS :: d_step { true -> printf("TICK\n"); T0(0); T1(0); T2(0); K0(0); K0(1); \
	K0(2); Z } \
	:: d_step { SK(0) -> printf("TICK skip0\n"); T1(0); T2(0); K1(0); K0(1); K0(2); \
		Z } \
	:: d_step { SK(1) -> printf("TICK skip1\n"); T0(0); T2(0); K1(1); K0(0); K0(2); \
		Z } \
	:: d_step { SK(2) -> printf("TICK skip2\n"); T0(0); T1(0); K1(2); K0(0); K0(1); Z }
#endif
#else
#if N == 2
#define TICKS :: d_step { true -> printf("TICK\n"); T0(0); T1(0); Z }
#else
#define TICKS :: d_step { true -> printf("TICK\n"); T0(0); T1(0); T2(0); Z }
#endif
#endif

#define COMMON(i) \
  :: READM(i) :: READD(i) :: READF(i) \
  :: CLAIM(i) :: ENTERF(i) :: ACLAIM(i) \
  :: GIVE(i) :: AGIVE(i,NONE) \
  :: ENTERM(i) :: CONFIRM(i) :: REFRESH(i) \
  :: DROP(i) :: CRASH(i)
#define ABNS(i) :: ABANDON(i) :: AABN(i)
#define OWNS(i,mask) :: OWN(i,mask) :: OWNM(i,mask) :: AOWN(i,mask)

#ifndef LIVE
active proctype world() {
  a[0].rv = 0; a[1].rv = 1; a[2].rv = 2;
  do
  TICKS
  COMMON(0) COMMON(1)
  OWNS(0,0) OWNS(1,0)
  OWNS(0,2) OWNS(1,1)
  :: AGIVE(0,1) :: AGIVE(1,0)
  :: ACK(0,1,pu1,aa1) :: ACK(1,0,pu0,aa0)
#ifndef NOABN
  ABNS(0) ABNS(1)
#endif
#if N == 3
  COMMON(2)
  OWNS(2,0)
#ifndef FEWMASKS
  OWNS(0,4) OWNS(1,4)
  OWNS(2,1) OWNS(2,2)
#endif
  OWNS(0,6) OWNS(1,5) OWNS(2,3)
  :: ACK(0,2,pu2,aa2) :: ACK(1,2,pu2,aa2) :: ACK(2,0,pu0,aa0) :: ACK(2,1,pu1,aa1)
  :: AGIVE(0,2) :: AGIVE(1,2) :: AGIVE(2,0) :: AGIVE(2,1)
#ifndef NOABN
  ABNS(2)
#endif
#endif
  :: SUP(0,1) :: SUP(0,2) :: SUP(1,0) :: SUP(1,2) :: SUP(2,0) :: SUP(2,1)
#ifdef GIVEWAIT
  :: GIVEW(0) :: GIVEW(1)
#if N == 3
  :: GIVEW(2)
#endif
#endif
#ifdef READADOPT
  :: ADOPT(0) :: ADOPT(1)
#if N == 3
  :: ADOPT(2)
#endif
#endif
#ifdef LATEREFRESH
  :: ACT(0) :: ACT(1)
#endif
#ifdef STALEREAD
  :: READOLD(0) :: READOLD(1)
#endif
#ifdef WIPE
  :: d_step { rX && !wiped -> printf("EV WIPE\n"); wiped = 1; KILL; rX = 0; rH = NONE;
  	rF = NONE; rM = 0; Z }
#endif
  od
}
#endif
