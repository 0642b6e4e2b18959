/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_VIP_STATE_H
#define LICTOR_VIP_STATE_H

#include "agent/failover/vip.h"

/*
 * What vip.c (orders and their answers, life) and vip_usable.c (whether addresses can be set)
 * share, and nobody else may see.
 */

#define VIPS_AWAY_MS 2000	/* the runner starts a dead warden again within 100 ms */
#define VIPS_UNANSWERED 8	/* holds, of which one goes out at each seventh of a lease */

struct conf_role;
struct conf_vip;

struct address {
	uint64_t held, gone;		/* newest order that it answered so on this link */
	int64_t until;			/* of the newest hold */
	int64_t stands_until;		/* of one that an earlier agent ordered, or 0 */
	bool there;
	unsigned int unanswered;	/* holds since the warden's last word on it */
	bool announce;			/* no hold of this term was answered yet */
	bool carrier_known, carrier;
	int64_t calm_at;		/* when it counts as up; 0: it does not wait for that */
	uint32_t refused;		/* lately, for what only the host can change; or NONE */
	uint32_t refusal;		/* the last one said in the log */
};

/* Of one role: its newest orders, and what was last said of it. */
struct orders {
	uint64_t hold, drop;		/* 0: none */
	uint64_t up_to;			/* of the drop */
	bool known, usable;
};

struct vips {
	const struct conf *conf;
	struct vips_out out;
	struct wire *wire;		/* NULL: no link */
	uint32_t instance;
	bool away;			/* without a link for too long */
	uint32_t fence;			/* enum wire_fence */
	char unfenced[96];		/* why there is none; "" */
	struct address *addresses;
	struct orders *roles;
	struct loop *loop;
	struct loop_timer *away_timer, *refused_timer, *calm_timer;
	struct contest *contest;
};

/* vip_usable.c: tells a role's verdict, or each one's, if it has changed. */
void vips_judge_role(struct vips *vips, const struct conf_role *role);
void vips_judge(struct vips *vips);
/* What the warden says: that it refused, an interface's state, anything at all. */
void vips_refused(struct vips *vips, const struct conf_vip *vip, uint32_t reason);
void vips_carrier(struct vips *vips, const struct conf_vip *vip, bool up);
void vips_heard(struct vips *vips, const struct conf_vip *vip);
/* Sets the timer to the first interface that counts, if any is to. */
void vips_await_calm(struct vips *vips);
/* The timers. */
void vips_away_due(void *arg);
void vips_refused_due(void *arg);
void vips_calm_due(void *arg);

#endif
