/* SPDX-License-Identifier: ISC */
/*
 * vipw.pml -- safety model of the failover protocol with a warden behind a queue (S15),
 * leases that change (S14) and demote hooks.
 *
 * Two agents. Time, Consul, orphaned writes and acks as in vip.pml (read that first):
 * every event is one d_step, none is ever forced, only time and the kernel's deadline run
 * by themselves. What is new:
 *  - q0..q2: the orders of the living agent that the warden has not read, oldest first: 0
 *    none, 1 drop, 1+t hold, t ticks before its deadline (absolute: ages in the queue). A
 *    hold whose deadline has passed is refused = vanishes. The agent never touches vip.
 *  - ot: the latest deadline among the unread holds of dead agents of this host. They may
 *    be executed at any time until the warden reads the first order of a living one,
 *    which closes the old queues. (Sound: an earlier deadline or a drop from there only
 *    makes vip smaller, and nobody gets the answer.)
 *  - vip: until the deadline in the kernel plus G. Executing a hold replaces it, also by
 *    a smaller one.
 *  - gn: what the agent knows of the newest order: 0 nothing that counts, 1 it is a drop
 *    sent since MASTER was left, 2 and it is executed (VIP_GONE).
 *  - numbers of orders: exact, as only "is it the newest" and "sent since" are ever
 *    asked. The answer is taken at once or, gn staying 2, any time later.
 *  - leases: two values LA < LB. The configured one is not a variable: every event takes
 *    whichever it likes (reload at any time, any number). rL, bl: lease in the register,
 *    smallest of the binding records. tc, ak: age of the newest confirm, of the other's
 *    newest ack.
 *  - lk: the warden has confirmed, in this MASTER term, a deadline at most LA ahead, and
 *    no longer hold was sent since. With LITERALS14 (an earlier wording of S14, and
 *    role.py): a longer hold resets lk only when its own VIP_HELD comes.
 *  - lv: leaving: demote hooks run. MASTER goes on confirming, holding; does not object;
 *    leaves by DROP at any time (hooks end, time out, lapse).
 */
#define N 2
#define NONE N
#ifndef LA
#define LA 1
#endif
#ifndef LB
#define LB 2
#endif
#ifndef G
#define G 1
#endif
#ifndef H
#define H 4              /* longest hold without a confirmation (failsafe), at least LB */
#endif
#ifndef WG
#define WG G             /* fence wait of a member: published lease + WG */
#endif
#ifndef WNX
#define WNX (H+G)        /* of a non-member */
#endif
#ifndef QN
#define QN 3             /* orders in the queue: 2 or 3 */
#endif
#define S 0
#define F 1
#define M 2
/* in-flight writes: bits 0..3 OWN(other is a member + 2 * long lease) */
#define CLM 16
#define GIV 32
#define ABN 64

typedef AG {
  unsigned st : 2;
  unsigned vip : 4;
  unsigned tc : 4;      /* age of the newest confirm, up to H */
  unsigned ak : 3;      /* age of the other's newest ack, up to LB */
  unsigned aa : 3;      /* age of the newest heartbeat that the other can have acked */
  unsigned ra : 3;      /* age of the newest read that can have shown (i,i) */
  unsigned bm : 1;      /* the other's acks are required */
  unsigned bl : 1;      /* smallest binding lease: 0 LA, 1 LB */
  unsigned fw : 4;
  /* an OWN of mine was applied, reply in flight: 1 with LA, 2 with LB */
  unsigned won : 2;
  unsigned wr : 1;
  unsigned fly : 7;
  unsigned lv : 1;
  unsigned lk : 1;
  unsigned gn : 2;
  unsigned q0 : 3;  unsigned q1 : 3;  unsigned q2 : 3;
  unsigned ot : 3
#ifdef OLDSOCKET
  ; unsigned wn : 1     /* the warden has read an order of the living agent */
  ; unsigned wd : 1     /* ... a drop */
#endif
#ifdef DRIFT
  ; unsigned dr : 3     /* ticks until this host's clock may skip one again */
#endif
#ifdef PROMOTE
  ; unsigned ph : 2     /* the promote hook of this term: 0 none, 1 runs, 2 ended well */
  ; unsigned po : 1     /* one of an earlier term runs still */
  ; unsigned ps : 1     /* ghost: this term's own has ended well */
#endif
#ifdef GONEORDER
  ; unsigned og : 1     /* some VIP_GONE for this agent is in flight */
#endif
};
AG a[N];
unsigned rH : 2 = NONE;
unsigned rF : 2 = NONE;
unsigned rM : 1 = 0;
unsigned rL : 1 = 0;
#ifdef WIPE
bit rX = 1;               /* the register exists */
#define X rX
#define GONEX !rX
#define SETX rX = 1
#else
#define X 1
#define GONEX 0
#define SETX skip
#endif

#define MIN(x,y) ((x) < (y) -> (x) : (y))
#define MAX(x,y) ((x) > (y) -> (x) : (y))
#define LN(b) ((b) -> LB : LA)
#define LEFT(l,age) ((age) < (l) -> (l) - (age) : 0)
#define BL(i) LN(a[i].bl)
#ifdef NOFAILSAFE
#define HOLD(i) LEFT(BL(i), a[i].tc)
#else
#define HOLD(i) MAX(LEFT(BL(i), a[i].tc), MIN(H - a[i].tc, (a[i].bm -> \
	LEFT(BL(i), a[i].ak) : H)))
#endif
#define MINE(i) (X && rH == i && rF == i)
#define ALONE(i) assert(a[1-(i)].vip == 0)
#ifdef NOPROMISE
#define ACKS(m) (a[m].st != M)
#else
#define ACKS(m) (a[m].st == S)
#endif
#ifdef NOFENCE
#define FW(i) 0
#else
#ifdef NOFAILSAFE
#define FW(i) (LN(rL) + WG)
#else
#define FW(i) (rM -> LN(rL) + WG : MAX(LN(rL) + WG, WNX))
#endif
#endif

/* ---- normal form ---- */
#define TOS(i) LEAVEP(i); a[i].st = S; a[i].wr = 0; a[i].tc = 0; a[i].ak = 0; a[i].bm = 0; \
	a[i].bl = 0; a[i].fw = 0; a[i].lv = 0; a[i].lk = 0
#ifdef RESURRECT
#define LAPSED(i) skip
#else
#define LAPSED(i) if :: HOLD(i) == 0 -> a[i].tc = H; a[i].ak = LB; a[i].bm = 0; \
	a[i].bl = 0; a[i].aa = 0; a[i].ra = (MINE(i) -> 0 : LB); a[i].won = 0; a[i].lk = 0 \
	:: else fi
#endif
#define NZ(i) \
	if :: !(a[i].fly & 15) -> a[i].wr = 0 :: else fi; \
	if :: MINE(i) -> a[i].ra = 0 :: !MINE(i) && a[i].st != M && !a[i].won -> \
	a[i].ra = LB :: else fi; \
	if :: a[i].st != M -> a[i].aa = 0 \
	:: else -> if :: !a[i].bm -> a[i].ak = 0 :: else fi; if :: ACKS(1-(i)) -> \
	a[i].aa = 0 :: else fi; LAPSED(i) \
	fi
#ifdef INV
#define IV(i) assert(a[i].vip == 0 || rF == i)
#else
#define IV(i) skip
#endif
#define Z NZ(0); NZ(1); IV(0); IV(1)

/* ---- the queue ---- */
#if QN == 2
#define ROOM(i) (a[i].q1 == 0)
#else
#define ROOM(i) (a[i].q2 == 0)
#endif
#define PUSH(i,v) if :: a[i].q0 == 0 -> a[i].q0 = v :: else -> if :: a[i].q1 == 0 -> \
	a[i].q1 = v :: else -> a[i].q2 = v fi fi
#define POP(i) a[i].q0 = a[i].q1; a[i].q1 = a[i].q2; a[i].q2 = 0
#define LAST(i) (a[i].q2 -> a[i].q2 : (a[i].q1 -> a[i].q1 : a[i].q0))
/* a hold beyond LA behind the first order */
#define LONGER(i) (a[i].q1 > 1 + LA || a[i].q2 > 1 + LA)
#define QMAX(i) MAX(a[i].q0, MAX(a[i].q1, a[i].q2))
#ifdef OLDSOCKET
#define OPEN(i,drop) a[i].wn = 1; a[i].wd = a[i].wd | drop
/* a crash: what the rules refuse now they refuse for ever (a newer instance, a higher drop
 * was seen) */
#define OLDER(i) if :: INSTOK(i) && REVOK(i) -> skip :: else -> a[i].ot = 0 fi; \
	a[i].wn = 0; a[i].wd = 0
#ifdef NOINST
#define INSTOK(i) 1
#else
#define INSTOK(i) (!a[i].wn)
#endif
#ifdef NOREV
#define REVOK(i) 1
#else
#define REVOK(i) (!a[i].wd)
#endif
#else
#define OPEN(i,drop) a[i].ot = 0
#define OLDER(i) skip
#define INSTOK(i) 1
#define REVOK(i) 1
#endif
#ifdef GONEORDER     /* mutation: the answer to any older order counts */
#define OGSET(i) a[i].og = 1
#define OGCLR(i) a[i].og = 0
#define GONE(i) (a[i].og || a[i].gn == 2)
#else
#define OGSET(i) skip
#define OGCLR(i) skip
/* mutation: the address is taken to be gone as soon as the drop is sent */
#ifdef NOGONE
#define GONE(i) (a[i].gn != 0)
#else
#define GONE(i) (a[i].gn == 2)
#endif
#endif
/* mutation: any drop, if only it is the newest order, also one sent before this MASTER term
   */
#ifdef NODROPSINCE
#define NOGN(i) skip
#else
#define NOGN(i) a[i].gn = 0
#endif
/* leaving MASTER: the address is maybe there; the drop is sent at once if the queue has
 * room, else later (DELV) */
#ifdef NODROP        /* mutation: nothing is sent on leaving (later only) */
#define LEAVEM(i) NOGN(i)
#else
#define LEAVEM(i) NOGN(i); if :: ROOM(i) -> PUSH(i,1); a[i].gn = 1 :: else fi
#endif
#define DELV(i) d_step { a[i].st != M && a[i].gn == 0 && ROOM(i) -> \
	printf("EV SEND_DROP %d\n", i); PUSH(i,1); a[i].gn = 1; Z }
/* a MASTER sends a hold; c = the configured lease at this moment */
#ifdef LONGLIFE      /* mutation: the deadline goes as far as the hold */
#define LIFE(i,c) HOLD(i)
#else
/* mutation: the deadline looks at the configured lease only, not at the binding records */
#ifdef IGNOREBIND
#define LIFE(i,c) MIN(HOLD(i), c)
#else
#define LIFE(i,c) MIN(HOLD(i), MIN(BL(i), c))
#endif
#endif
#ifdef LITERALS14
#define LKSEND(i,t) skip
#define LKPOP(i) a[i].lk = (a[i].st == M && a[i].q0 <= 1 + LA)
#else
#define LKSEND(i,t) if :: (t) > LA -> a[i].lk = 0 :: else fi
#define LKPOP(i) a[i].lk = (a[i].st == M && a[i].q0 <= 1 + LA && !LONGER(i))
#endif
/* the address only once the promote hook of this very term has ended well */
#ifdef PROMOTE
#ifdef HOOKEARLY     /* mutation: the address does not wait for it */
#define MAYSHOW(i) 1
#else
#define MAYSHOW(i) (a[i].ph == 2)
#endif
#define SHOWN(i) assert(a[i].ps)
#define ENTERP(i) a[i].po = a[i].po | (a[i].ph == 1); a[i].ph = 1; a[i].ps = 0
#define LEAVEP(i) a[i].po = a[i].po | (a[i].ph == 1); a[i].ph = 0; a[i].ps = 0
#define PROMOTED(i) d_step { a[i].ph == 1 -> printf("EV PROMOTED %d\n", i); a[i].ph = 2; \
	a[i].ps = 1; Z }
#define PFAILED(i) d_step { a[i].ph == 1 -> printf("EV PROMOTE_FAILED %d\n", i); \
	a[i].ph = 0; a[i].lv = 1; Z }
#ifdef HOOKOLD       /* mutation: the end of an earlier term's hook counts for this one */
#define OLDENDS(i) a[i].po = 0; if :: a[i].ph == 1 -> a[i].ph = 2 :: else fi
#else
#define OLDENDS(i) a[i].po = 0
#endif
#define POLD(i) d_step { a[i].po -> printf("EV OLD_PROMOTE_ENDED %d\n", i); OLDENDS(i); Z }
#else
#define MAYSHOW(i) 1
#define SHOWN(i) skip
#define ENTERP(i) skip
#define LEAVEP(i) skip
#endif
#define HOLDO(i,c) d_step { a[i].st == M && HOLD(i) > 0 && ROOM(i) && MAYSHOW(i) && \
	(LAST(i) != 1 + LIFE(i,c)) -> printf("EV SEND_HOLD %d %d\n", i, LIFE(i,c)); \
	SHOWN(i); LKSEND(i,LIFE(i,c)); PUSH(i, 1 + LIFE(i,c)); a[i].gn = 0; Z }
/* the warden reads one order */
#ifdef KEEPHIGH      /* mutation: a lower deadline does not replace a higher one */
#define SETVIP(i,t) a[i].vip = MAX(a[i].vip, (t) + G)
#else
#define SETVIP(i,t) a[i].vip = (t) + G
#endif
#define WHOLD(i) d_step { a[i].q0 > 1 -> printf("EV W_HOLD %d %d\n", i, a[i].q0 - 1); \
	OPEN(i,0); LKPOP(i); SETVIP(i, a[i].q0 - 1); ALONE(i); POP(i); Z }
#define WDROP(i) d_step { a[i].q0 == 1 -> printf("EV W_DROP %d\n", i); OPEN(i,1); \
	a[i].vip = 0; POP(i); OGSET(i); \
	if :: a[i].gn == 1 && a[i].q0 == 0 -> a[i].gn = 2 :: else fi; Z }
#define WOLD(i) d_step { a[i].ot > 0 && INSTOK(i) && REVOK(i) && a[i].vip < a[i].ot + G \
	-> printf("EV W_OLDHOLD %d %d\n", i, a[i].ot); a[i].vip = a[i].ot + G; ALONE(i); \
	Z }
/* the warden dies: what it has not read is lost; the kernel's deadline stays */
#define WDIE(i) d_step { a[i].q0 || a[i].ot -> printf("EV W_DIES %d\n", i); a[i].q0 = 0; \
	a[i].q1 = 0; a[i].q2 = 0; a[i].ot = 0; if :: a[i].gn == 1 -> a[i].gn = 0 \
	:: else fi; Z }

/* ---- reads ---- */
/* some own OWN in flight names the other as a member */
#define INFM(i) ((a[i].fly & 10) -> 1 : 0)
#define INFS(i) ((a[i].fly & 3) -> 1 : 0)            /* ... has the short lease */
#define NEWBM(i) (rM | INFM(i))
#define NEWBL(i) ((rL && !INFS(i)) -> 1 : 0)
#define READM(i) d_step { a[i].st == M && HOLD(i) > 0 && X && rF == i && \
	(a[i].bm != NEWBM(i) || a[i].bl != NEWBL(i)) -> printf("EV READ %d\n", i); \
	if :: !a[i].bm && NEWBM(i) -> a[i].ak = LB :: else fi; a[i].bm = NEWBM(i); \
	a[i].bl = NEWBL(i); Z }
#define READD(i) d_step { a[i].st == M && X && rF != i -> printf("EV READ_DROP %d\n", i); \
	a[i].won = 0; LEAVEM(i); TOS(i); Z }
#define READF(i) d_step { a[i].st == F && (GONEX || rH != i) -> printf("EV READ_LOST %d\n", i); \
	TOS(i); Z }
#ifdef READADOPT
#define ADOPT(i) d_step { a[i].st == S && MINE(i) -> printf("EV ADOPT %d\n", i); \
	a[i].st = M; a[i].won = 0; a[i].tc = 0; a[i].ak = LB; a[i].bm = rM; a[i].bl = rL; \
	a[i].gn = 0; Z }
#endif

/* ---- writes ---- */
#ifdef TSEND
#define CLAIM(i) d_step { a[i].st == S && X && rF != NONE && rF != i && rH != i && \
	!(a[i].fly & CLM) -> printf("EV CLAIM %d\n", i); a[i].fly = a[i].fly | CLM; \
	a[i].fw = FW(i); Z }
#define ENTERF(i) d_step { a[i].st == S && X && rH == i && rF != i && rF != NONE -> \
	printf("EV WAIT %d\n", i); a[i].st = F; a[i].won = 0; a[i].wr = 0; Z }
#else
#define CLAIM(i) d_step { a[i].st == S && X && rF != NONE && rF != i && rH != i && \
	!(a[i].fly & CLM) -> printf("EV CLAIM %d\n", i); a[i].fly = a[i].fly | CLM; Z }
#define ENTERF(i) d_step { a[i].st == S && X && rH == i && rF != i && rF != NONE -> \
	printf("EV WAIT %d\n", i); a[i].st = F; a[i].fw = FW(i); a[i].won = 0; \
	a[i].wr = 0; Z }
#endif
#define BIT(mm,ll) (1 << (mm + 2*ll))
/* mutation: an OWN from STANDBY or WAITING publishes a smaller lease than the own record */
#ifdef LOWERADOPT
#define S14S(i,ll) 1
#else
#define S14S(i,ll) (rF != i || ll >= rL)
#endif
#ifdef LOWERLEASE    /* mutation: a MASTER lowers the lease without the warden's word */
#define S14M(i,ll) 1
#else
#define S14M(i,ll) (ll >= (GONEX -> a[i].bl : rL) || a[i].lk)
#endif
#define OWN(i,mm,ll) d_step { X && !(a[i].fly & BIT(mm,ll)) && S14S(i,ll) && \
	((a[i].st == S && (rF == NONE || rF == i)) || (a[i].st == F && rH == i && \
	(a[i].fw == 0 || rF == NONE || rF == i))) -> \
	printf("EV OWN %d mem %d lease %d\n", i, mm, LN(ll)); \
	a[i].fly = a[i].fly | BIT(mm,ll); a[i].won = 0; a[i].wr = 1; Z }
#ifdef GROWLATE
#define GROW(i,mm) skip
#else
#define GROW(i,mm) if :: mm && !a[i].bm -> a[i].ak = a[i].aa; a[i].bm = 1 :: else fi
#endif
#ifdef LEASELATE     /* mutation: a smaller lease binds only when its OWN is acknowledged */
#define BINDL(i,ll) skip
#else
#define BINDL(i,ll) a[i].bl = a[i].bl & ll
#endif
#define OWNM(i,mm,ll) d_step { !(a[i].fly & BIT(mm,ll)) && a[i].st == M && HOLD(i) > 0 && \
	((X && rF == i && (rH != i || rM != mm || rL != ll)) || GONEX) && \
	!(a[i].lv && rH != i) && S14M(i,ll) -> \
	printf("EV OWNM %d mem %d lease %d\n", i, mm, LN(ll)); \
	a[i].fly = a[i].fly | BIT(mm,ll); a[i].won = 0; GROW(i,mm); BINDL(i,ll); Z }
#ifdef LATEREPLY
#define WON0(i) skip
#else
#define WON0(i) a[i].won = 0; a[i].wr = 0
#endif
#define GIVE(i) d_step { a[i].st == S && X && rF == i && GONE(i) && !(a[i].fly & GIV) -> \
	printf("EV GIVE %d\n", i); WON0(i); OGCLR(i); a[i].fly = a[i].fly | GIV; Z }
#ifdef HOOKGIVE      /* mutation: the GIVE is sent while the demote hooks run */
#define GIVEL(i) d_step { a[i].st == M && a[i].lv && rF == i && !(a[i].fly & GIV) -> \
	printf("EV GIVE_LEAVING %d\n", i); a[i].fly = a[i].fly | GIV; Z }
#endif
/* mutation: a lapse does not take the address while the demote hooks run */
#ifdef HOOKHOLD
#define HOLDL(i) d_step { a[i].st == M && a[i].lv && ROOM(i) && LAST(i) != 1 + LA -> \
	printf("EV SEND_HOLD_LEAVING %d %d\n", i, LA); PUSH(i, 1 + LA); a[i].gn = 0; Z }
#endif
#define ABANDON(i) d_step { a[i].st == F && X && rH == i -> printf("EV ABANDON %d\n", i); \
	a[i].fly = a[i].fly | ABN; TOS(i); Z }
#define LEAVE(i) d_step { a[i].st == M && !a[i].lv && HOLD(i) > 0 -> \
	printf("EV LEAVE %d\n", i); a[i].lv = 1; Z }

/* ---- Consul applies a write; every other write in flight is now stale ---- */
#define KILL a[0].fly = 0; a[1].fly = 0
#ifdef SAMEVAL
#define AKILL(i,mm,ll) if :: rH == i && rF == i && rM == mm && rL == ll -> \
	a[i].fly = a[i].fly & ~BIT(mm,ll) :: else -> KILL fi
#else
#define AKILL(i,mm,ll) KILL
#endif
#define ACLAIM(i) d_step { (a[i].fly & CLM) -> printf("EV ACLAIM %d\n", i); KILL; rH = i; \
	Z }
#define AOWN(i,mm,ll) d_step { (a[i].fly & BIT(mm,ll)) -> \
	printf("EV AOWN %d mem %d lease %d\n", i, mm, LN(ll)); AKILL(i,mm,ll); SETX; rH = i; \
	rF = i; rM = mm; rL = ll; \
	if :: a[i].st != M && a[i].wr -> a[i].won = 1 + ll :: else fi; a[i].wr = 0; Z }
#define AGIVE(i,next) d_step { (a[i].fly & GIV) -> printf("EV AGIVE %d %d\n", i, next); \
	KILL; rF = NONE; rM = 0; rL = 0; rH = next; Z }
#define AABN(i) d_step { (a[i].fly & ABN) -> printf("EV AABN %d\n", i); KILL; rH = NONE; Z }

/* ---- MASTER ---- */
#define ENTERM(i) d_step { a[i].won && a[i].st != M && a[i].ra < LN(a[i].won - 1) -> \
	printf("EV MASTER %d\n", i); a[i].st = M; a[i].bl = a[i].won - 1; a[i].won = 0; \
	a[i].fw = 0; a[i].tc = a[i].ra; a[i].ak = LB; a[i].bm = rM; a[i].lv = 0; \
	a[i].lk = 0; NOGN(i); a[i].aa = LB; \
	ENTERP(i); Z }
#define CONFIRM(i) d_step { a[i].st == M && HOLD(i) > 0 && a[i].ra < LB && \
	a[i].tc > a[i].ra -> printf("EV CONFIRM %d\n", i); a[i].tc = a[i].ra; Z }
#ifdef RESURRECT
#define ACKG(i) 1
#else
#define ACKG(i) (HOLD(i) > 0)
#endif
#define ACK(i) d_step { a[i].st == M && ACKG(i) && a[i].bm && a[i].aa < LB && \
	a[i].ak > a[i].aa -> printf("EV ACK %d\n", i); a[i].ak = a[i].aa; Z }
#ifdef RESURRECT
#define DROP(i) d_step { a[i].st == M && HOLD(i) > 0 -> printf("EV DROP %d\n", i); \
	a[i].won = 0; LEAVEM(i); TOS(i); Z }
#else
#define DROP(i) d_step { a[i].st == M -> printf("EV DROP %d\n", i); a[i].won = 0; \
	LEAVEM(i); TOS(i); Z }
#endif
/* the agent dies; its successor knows nothing, and takes the address to be maybe there */
#define CRASH(i) d_step { a[i].st != S || a[i].won || a[i].wr || a[i].q0 || a[i].gn -> \
	printf("EV CRASH %d\n", i); a[i].won = 0; TOS(i); a[i].gn = 0; OGCLR(i); OLDER(i); \
	if :: QMAX(i) > 1 + a[i].ot -> a[i].ot = QMAX(i) - 1 :: else fi; a[i].q0 = 0; \
	a[i].q1 = 0; a[i].q2 = 0; Z }

/* ---- time ---- */
#define DEC(x) if :: x > 0 -> x = x - 1 :: else fi
#ifdef NODEADMAN
#define DECVIP(i) if :: a[i].st != M -> DEC(a[i].vip) :: else fi
#else
/* mutation: the kernel does not mute at the deadline while an order waits in the warden's
   queue (a warden with a timer of its own only) */
#ifdef STALLKEEP
#define DECVIP(i) if :: a[i].q0 || a[i].ot -> skip :: else -> DEC(a[i].vip) fi
#else
#define DECVIP(i) DEC(a[i].vip)
#endif
#endif
#ifdef CLAIMCONFIRM
#define RAMINE(i) (X && rF == i)
#else
#define RAMINE(i) MINE(i)
#endif
#ifdef RELATIVE      /* mutation: the deadline of an order counts from its execution */
#define AGEQ(i) skip
#define AGEO(i) skip
#else
#define AGQ(x) if :: x == 2 -> x = 0 :: x > 2 -> x = x - 1 :: else fi
#define AGEQ(i) AGQ(a[i].q0); AGQ(a[i].q1); AGQ(a[i].q2); if :: a[i].q1 == 0 -> \
	a[i].q1 = a[i].q2; a[i].q2 = 0 :: else fi; if :: a[i].q0 == 0 -> POP(i) :: else fi
#define AGEO(i) DEC(a[i].ot)
#endif
#define T(i) DECVIP(i); DEC(a[i].fw); AGEQ(i); AGEO(i); \
   if :: a[i].st == M && a[i].tc < H -> a[i].tc = a[i].tc + 1 :: else fi; \
   if :: a[i].st == M && a[i].ak < LB -> a[i].ak = a[i].ak + 1 :: else fi; \
   if :: a[i].st == M && !ACKS(1-(i)) && a[i].aa < LB -> a[i].aa = a[i].aa + 1 :: else fi; \
   if :: !RAMINE(i) && a[i].ra < LB -> a[i].ra = a[i].ra + 1 :: else fi; \
   if :: a[i].st != M && a[i].won && a[i].ra >= LN(a[i].won - 1) -> a[i].won = 0 :: else fi
#ifdef DRIFT         /* each host's clock may skip one tick in every DRIFT ticks */
#define TICKS :: d_step { true -> printf("TICK\n"); T(0); T(1); DEC(a[0].dr); DEC(a[1].dr); \
	Z } \
	:: d_step { a[0].dr == 0 -> printf("TICK skip0\n"); T(1); a[0].dr = DRIFT - 1; \
	DEC(a[1].dr); Z } \
	:: d_step { a[1].dr == 0 -> printf("TICK skip1\n"); T(0); a[1].dr = DRIFT - 1; \
	DEC(a[0].dr); Z }
#else
#define TICKS :: d_step { true -> printf("TICK\n"); T(0); T(1); Z }
#endif

#define COMMON(i) \
	:: READM(i) :: READD(i) :: READF(i) :: CLAIM(i) :: ENTERF(i) :: ACLAIM(i) \
	:: GIVE(i) :: AGIVE(i,NONE) :: ENTERM(i) :: CONFIRM(i) :: DROP(i) :: CRASH(i) \
	:: ABANDON(i) :: AABN(i) :: ACK(i) :: LEAVE(i) \
	:: HOLDO(i,LA) :: HOLDO(i,LB) :: DELV(i) :: WHOLD(i) :: WDROP(i) :: WOLD(i) :: WDIE(i)
#define OWNS(i,mm,ll) :: OWN(i,mm,ll) :: OWNM(i,mm,ll) :: AOWN(i,mm,ll)

active proctype world() {
  do
  TICKS
  COMMON(0) COMMON(1)
  OWNS(0,0,0) OWNS(1,0,0) OWNS(0,1,0) OWNS(1,1,0)
#ifndef ONELEASE     /* only LA */
  OWNS(0,0,1) OWNS(1,0,1) OWNS(0,1,1) OWNS(1,1,1)
#endif
  :: AGIVE(0,1) :: AGIVE(1,0)
#ifdef PROMOTE
  :: PROMOTED(0) :: PROMOTED(1) :: PFAILED(0) :: PFAILED(1) :: POLD(0) :: POLD(1)
#endif
#ifdef WIPE
  :: d_step { rX -> printf("EV WIPE\n"); KILL; rX = 0; rH = NONE; rF = NONE; rM = 0; rL = 0; \
	Z }
#endif
#ifdef READADOPT
  :: ADOPT(0) :: ADOPT(1)
#endif
#ifdef HOOKGIVE
  :: GIVEL(0) :: GIVEL(1)
#endif
#ifdef HOOKHOLD
  :: HOLDL(0) :: HOLDL(1)
#endif
  od
}
