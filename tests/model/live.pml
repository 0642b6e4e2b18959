/* SPDX-License-Identifier: ISC */
/*
 * live.pml -- availability of the protocol, bounded and checked as assertions, on vip.pml's
 * states and events.
 *  -DP1: agent 0 is MASTER, healthy, reaches Consul, and reacts to what it reads within R
 *    ticks; the others do anything (die, pause, claim at any moment but at most once per D
 *    ticks each, heartbeats and acks lost at will). Agent 0 is never dethroned and its
 *    address never disappears.
 *  -DP2: Consul is away for everybody for up to H-1 ticks and all members acknowledge: no
 *    drop, no change of master.
 *  -DP3: from ANY reachable state (all faults of vip.pml) everybody but one agent v dies,
 *    and Consul answers v within a tick: v is MASTER within D + wait + SLACK ticks (wait = W
 *    for a member, WN otherwise); an orphaned write of a dead agent can cost one more round,
 *    and so can somebody who writes the register anew, word for word. Its last states have no
 *    successor: run it with pan -E.
 *  -DP4: the calm pace. As P1, but agent 0 reads each CALMR ticks only, more than its lease,
 *    while the member's acks come; the first that is missing makes it read within R again.
 */
/*
 * live.pml -- availability of the protocol v2 (bounded, checked as assertions) -DP1
 * agent 0 is MASTER, healthy, reaches Consul, and reacts to what it reads within R ticks;
 * the others do anything (die, pause, claim at any moment but at most once per D ticks
 * each, heartbeats and acks lost at will). Claim: agent 0 is never dethroned and its
 * address never disappears. -DP2  Consul is away for everybody for up to H-1 ticks; all
 * members acknowledge. Claim: no drop, no change of master. -DP3  from ANY reachable
 * state (all faults of vip.pml): everybody but one agent v dies, Consul answers v within
 * a tick. Claim: v is MASTER within D + wait + 2 ticks (wait = W for a member, WN
 * otherwise); an orphaned write of a dead agent can cost one more round.
 */
#define LIVE
#include "vip.pml"
#ifndef D
#define D 1
#endif
#ifndef R
#define R 1
#endif

#ifdef P1
byte cd[N];      /* ticks until agent j may claim again */
byte rt = 0;     /* ticks since agent 0's last reaction */
/* at the latest possible moment agent 0 reads the register; a claim is answered by taking
 * it back (OWN), then it confirms */
#ifdef NOOBJ     /* mutation: a claimed MASTER does not object; confirms no longer count */
#define REACT if :: a[0].st == M && MINE(0) -> a[0].lease = L; a[0].lastc = H; \
	a[0].vip = MAX(a[0].vip, LIFE(0)) :: else fi
#else
#define REACT if :: a[0].st == M && rt == R - 1 -> assert(rF == 0); if :: rH != 0 -> \
	KILL; rH = 0; rM = a[0].req :: else fi; \
	a[0].lease = L; a[0].lastc = H; a[0].vip = MAX(a[0].vip, LIFE(0)); rt = 0 \
	:: a[0].st == M && rt < R - 1 -> rt = rt + 1 :: else fi
#endif
#define CHECK0 if :: a[0].st == M -> assert(HOLD(0) > 0); assert(a[0].vip > 0) :: else fi
#define DECCD(j) DEC(cd[j])
#define CLAIML(j) d_step { cd[j] == 0 && a[0].st == M && a[j].st == S && rF != NONE && \
	rF != j && rH != j && !(a[j].fly & CLM) -> printf("EV CLAIM %d\n", j); \
	a[j].fly = a[j].fly | CLM; cd[j] = D; Z }
#if N == 2
#define TICK1 d_step { true -> printf("TICK\n"); REACT; T0(0); T1(0); DECCD(1); CHECK0; Z }
#else
#define TICK1 d_step { true -> printf("TICK\n"); REACT; T0(0); T1(0); T2(0); DECCD(1); \
	DECCD(2); CHECK0; Z }
#endif
#define OTHER(j) :: READD(j) :: READF(j) :: CLAIML(j) :: ENTERF(j) :: ACLAIM(j) \
	:: GIVE(j) :: AGIVE(j,NONE) :: ENTERM(j) :: CRASH(j) \
	:: ABANDON(j) :: AABN(j) :: OWN(j,0) :: AOWN(j,0)
active proctype world() {
  /* agent 0 gets the role */
  d_step { rH = 0; rF = 0; a[0].st = M; a[0].lease = L; a[0].lastc = H; a[0].vip = L + G;
  	Z }
  do
  :: TICK1
  OTHER(1)
  OWNS(0,0) OWNS(0,2) :: READM(0) :: ACK(0,1,pu1,aa1) :: CONFIRM(0)
#if N == 3
  OTHER(2)
  OWNS(0,4) OWNS(0,6) :: ACK(0,2,pu2,aa2)
#endif
  od
}
#endif

#ifdef P4
#ifndef CALMR
#define CALMR (L + 3)
#endif
byte rt = 0;     /* ticks since the register was read */
bit mute = 0;    /* the member is dead, or cut off */
byte cd = 0;
#define ACKED (!mute && ACKS(1) && a[0].req == 2)
#ifdef NOCALMEND /* mutation: a missing ack does not end the calm */
#define PACE CALMR
#else
#define PACE (ACKED -> CALMR : R)
#endif
#define HEARD if :: ACKED -> a[0].pu1 = L :: else fi
#define READIT if :: rt + 1 >= PACE -> assert(rF == 0); \
	if :: rH != 0 -> KILL; rH = 0; rM = a[0].req :: else fi; \
	a[0].lease = L; a[0].lastc = H; rt = 0 :: else -> rt = rt + 1 fi
#define CLAIM1 d_step { cd == 0 && !mute && a[1].st == S && rF == 0 && rH != 1 -> \
	printf("EV CLAIM\n"); KILL; rH = 1; a[1].st = F; a[1].fw = FW(1); cd = D; Z }
active proctype world() {
  d_step { rH = 0; rF = 0; rM = 2; a[0].st = M; a[0].lease = L; a[0].lastc = H; a[0].req = 2;
	a[0].pu1 = L; a[0].vip = L + G; Z }
  do
  :: d_step { true -> printf("TICK\n"); HEARD; READIT; a[0].vip = MAX(a[0].vip, LIFE(0));
	T0(0); T1(0); DEC(cd); assert(HOLD(0) > 0 && a[0].vip > 0); Z }
  :: CLAIM1
  :: d_step { a[1].st == F && rH != 1 -> printf("EV LOST\n"); TOS(1); Z }
  :: d_step { a[1].st == F && rH == 1 && a[1].fw == 0 -> printf("EV OWN 1\n"); assert(0) }
  :: d_step { true -> printf("EV MUTE\n"); mute = 1; TOS(1); Z }
  :: d_step { mute -> printf("EV BACK\n"); mute = 0; Z }
  od
}
#endif

#ifdef P2
#ifndef MEMB
#define MEMB 2
#endif
byte out = 0;
/* agent 0 is prompt, all members acknowledge within a tick; during the outage there is no
 * read and no write at all */
#ifdef NOACK     /* mutation: a member that is STANDBY does not acknowledge */
#define ANSWERS(m) 0
#else
#define ANSWERS(m) ACKS(m)
#endif
#define PROMPT if :: a[0].st == M -> a[0].pu0 = 0; if :: (a[0].req & 2) && ANSWERS(1) -> \
	a[0].pu1 = L :: else fi; NZ2P; a[0].vip = MAX(a[0].vip, LIFE(0)) :: else fi
#if N == 2
#define NZ2P skip
#else
#define NZ2P if :: (a[0].req & 4) && ANSWERS(2) -> a[0].pu2 = L :: else fi
#endif
active proctype world() {
  d_step { rH = 0; rF = 0; rM = MEMB; a[0].st = M; a[0].lease = L; a[0].lastc = H;
  	a[0].req = MEMB; a[0].vip = L + G; out = 0; Z }
  do
  :: out == 0 -> d_step { out = 1; a[0].lease = L; a[0].lastc = H }
  :: out > 0 && out < H - 1 -> d_step { printf("TICK\n"); PROMPT; T0(0); T1(0);
  	out = out + 1; assert(HOLD(0) > 0 && a[0].vip > 0); Z }
  :: out > 0 -> d_step { out = 0; assert(MINE(0)); a[0].lease = L; a[0].lastc = H;
  	a[0].vip = MAX(a[0].vip, LIFE(0)); Z }
  :: CRASH(1)
  od
}
#endif

#ifdef P3
byte calm = 0;           /* 0: faults; 1+v: only agent v lives */
byte since = 0;
byte bound = 0;
#ifdef NOCLAIM   /* mutation: a silent master is not claimed */
#define CLAIMS 200
#else
#define CLAIMS D
#endif
#define OK(v) (a[v].st == M && a[v].vip > 0)
/* once somebody writes the register anew, word for word: v knows another index than it has,
 * so that its next write is refused; the read that follows tells the index, and v, if it is
 * WAITING, begins again */
unsigned anew : 2 = 0;   /* 1: it was, and v does not know; 2: v knows */
#ifdef OLDINDEX  /* mutation: what is known already is not taken at its new index */
#define REREAD(v) skip
#else
#define REREAD(v) anew = 2; if :: a[v].st == F -> a[v].fw = FW(v) :: else fi
#endif
#define WRITE(v,what) if :: anew == 1 -> REREAD(v) :: else -> what fi
/* one prompt reaction of v per tick; each Consul request is applied and answered at once */
#define APPLYOWN(v) WRITE(v, KILL; rH = v; rF = v; rM = 0; a[v].st = M; a[v].won = 0; \
	a[v].wr = 0; a[v].fw = 0; a[v].req = 0; a[v].lease = L; a[v].lastc = H; RAISE(v))
#define ACTV(v) \
	if :: a[v].st == M && HOLD(v) == 0 -> a[v].vip = 0; TOS(v) \
	:: a[v].st == M && HOLD(v) > 0 && rF != v -> a[v].vip = 0; TOS(v) \
	:: a[v].st == M && HOLD(v) > 0 && rF == v && rH != v -> APPLYOWN(v) \
	:: a[v].st == M && HOLD(v) > 0 && rF == v && rH == v -> a[v].lease = L; \
	a[v].lastc = H; RAISE(v) \
	:: a[v].st == F && rH != v -> TOS(v) \
	:: else fi; \
	if :: a[v].st == S && (rF == NONE || rF == v) -> APPLYOWN(v) \
	:: a[v].st == S && rF != NONE && rF != v && rH == v -> a[v].st = F; \
	a[v].fw = FW(v); a[v].won = 0; a[v].wr = 0 \
	:: a[v].st == S && rF != NONE && rF != v && rH != v && since >= CLAIMS -> \
	WRITE(v, KILL; rH = v; a[v].st = F; a[v].fw = FW(v); a[v].won = 0; a[v].wr = 0) \
	:: a[v].st == F && rH == v && (a[v].fw == 0 || rF == NONE || rF == v) -> APPLYOWN(v) \
	:: else fi
#define CHK(v) if :: !OK(v) -> assert(since <= bound); since = since + 1 :: else -> \
	since = 0; bound = 99 fi
#if N == 2
#define CT(v) d_step { calm == 1 + v && bound != 99 -> printf("CALMTICK\n"); ACTV(v); \
	CHK(v); if :: bound != 99 -> T0(0); T1(0) :: else fi; Z }
#define NOFLY(v) (a[0].fly == 0 && a[1].fly == 0)
#define DIE(v) a[1-(v)].won = 0; TOS(1-(v))
#else
#define CT(v) d_step { calm == 1 + v && bound != 99 -> printf("CALMTICK\n"); ACTV(v); \
	CHK(v); if :: bound != 99 -> T0(0); T1(0); T2(0) :: else fi; Z }
#define NOFLY(v) (a[0].fly == 0 && a[1].fly == 0 && a[2].fly == 0)
#define DIE(v) a[((v)+1)%3].won = 0; TOS(((v)+1)%3); a[((v)+2)%3].won = 0; TOS(((v)+2)%3)
#endif
/* the bound: D + wait + 2; one more round if a dead agent has a write in flight */
#define CALM(v) d_step { !calm && rX -> printf("EV CALM %d\n", v); calm = 1 + v; DIE(v); \
	since = 0; \
	bound = D + SLACK + (((rM >> v) & 1) -> W : WN); if :: NOFLY(v) -> skip :: else -> \
	bound = D + SLACK + WN + D + SLACK + WN fi; Z }
/* a write that is refused, and the wait from its begin */
#define REWRITE d_step { calm && bound != 99 && rX && !anew -> printf("EV REWRITE\n"); anew = 1; \
	KILL; bound = bound + 1 + WN; Z }
#define E(x) :: !calm -> x
#define ORPH(i) :: ACLAIM(i) :: AGIVE(i,NONE) :: AABN(i)
#ifndef SLACK
#define SLACK 1
#endif
active proctype world() {
  do
  :: CT(0) :: CT(1) :: CALM(0) :: CALM(1) :: REWRITE
  :: AGIVE(0,1) :: AGIVE(1,0)
  ORPH(0) ORPH(1)
  :: AOWN(0,0) :: AOWN(0,2) :: AOWN(1,0) :: AOWN(1,1)
#if N == 3
  :: CT(2) :: CALM(2)
  ORPH(2) :: AGIVE(0,2) :: AGIVE(1,2) :: AGIVE(2,0) :: AGIVE(2,1)
  :: AOWN(0,6) :: AOWN(1,5) :: AOWN(2,0) :: AOWN(2,3)
#endif
  :: !calm -> if
    TICKS
    :: READM(0) :: READD(0) :: READF(0) :: CLAIM(0) :: ENTERF(0) :: GIVE(0) :: ENTERM(0) ::
    CONFIRM(0) :: REFRESH(0) :: DROP(0) :: CRASH(0) :: ABANDON(0)
    :: READM(1) :: READD(1) :: READF(1) :: CLAIM(1) :: ENTERF(1) :: GIVE(1) :: ENTERM(1) ::
    CONFIRM(1) :: REFRESH(1) :: DROP(1) :: CRASH(1) :: ABANDON(1)
    :: OWN(0,0) :: OWNM(0,0) :: OWN(1,0) :: OWNM(1,0) :: OWN(0,2) :: OWNM(0,2) :: OWN(1,1)
    :: OWNM(1,1)
    :: ACK(0,1,pu1,aa1) :: ACK(1,0,pu0,aa0)
#if N == 3
    :: READM(2) :: READD(2) :: READF(2) :: CLAIM(2) :: ENTERF(2) :: GIVE(2) :: ENTERM(2) ::
    CONFIRM(2) :: REFRESH(2) :: DROP(2) :: CRASH(2) :: ABANDON(2)
    :: OWN(2,0) :: OWNM(2,0) :: OWN(0,6) :: OWNM(0,6) :: OWN(1,5) :: OWNM(1,5) :: OWN(2,3)
    :: OWNM(2,3)
    :: ACK(0,2,pu2,aa2) :: ACK(1,2,pu2,aa2) :: ACK(2,0,pu0,aa0) :: ACK(2,1,pu1,aa1)
#endif
    fi
  od
}
#endif
