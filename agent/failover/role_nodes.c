/* SPDX-License-Identifier: ISC */
/*
 * Who else there is, as one role's machine knows it: candidates present in Consul, members
 * of fence records, senders of heartbeats. Each has a place in a small table, so that sets
 * of them are bits and nothing is allocated in a step.
 *
 * A place is given up only if nothing refers to it; for a node without a place a message
 * counts less (it is not heard, it is no member), which is safe.
 */
#include <string.h>

#include "agent/base/util.h"
#include "agent/failover/role_state.h"

_Static_assert(ROLE_NODES < 32, "a set of nodes has 32 bits");

unsigned int
role_node_find(const struct role *role, const char *name)
{
	for (size_t i = 0; name[0] && i < role->n_nodes; i++)
		if (strcmp(role->nodes[i].name, name) == 0)
			return (unsigned int)i;
	return ROLE_NOBODY;
}

static bool
is_needed(const struct role *role, size_t place)
{
	role_nodes bit = (role_nodes)1 << place;
	role_nodes needed = role->members | (role_nodes)1 << ROLE_ME;

	for (size_t i = 0; i < role->n_binding; i++)
		needed |= role->binding[i].members;
	return needed & bit || place == role->holder || place == role->fencer ||
	    place == role->beat_from || role->nodes[place].present;
}

static int64_t
newest(const struct role_node *node)
{
	return node->heard_at > node->ack_at ? node->heard_at : node->ack_at;
}

/* The place that is missed least: free, or of a node from which nothing came for long. */
static unsigned int
free_place(struct role *role)
{
	unsigned int best = ROLE_NOBODY;

	if (role->n_nodes < ROLE_NODES)
		return (unsigned int)role->n_nodes++;
	for (unsigned int i = 1; i < ROLE_NODES; i++)
		if (!is_needed(role, i) &&
		    (best == ROLE_NOBODY ||
			newest(&role->nodes[i]) < newest(&role->nodes[best])))
			best = i;
	return best;
}

unsigned int
role_node_place(struct role *role, const char *name)
{
	unsigned int place = role_node_find(role, name);
	struct role_node *node;

	if (place != ROLE_NOBODY || !role_name_valid(name))
		return place;
	place = free_place(role);
	if (place == ROLE_NOBODY)
		return place;
	node = &role->nodes[place];
	*node = (struct role_node){ .name = "" };
	node->heard_at = node->ack_at = node->acked_ts = ROLE_NEVER;
	str_copy(node->name, sizeof(node->name), name);
	return place;
}

void
role_nodes_of_register(struct role *role)
{
	const struct role_register *reg = &role->reg;

	role->members = 0;
	role->whole = true;
	role->holder = role->fencer = ROLE_NOBODY;
	role->holder = role_node_place(role, reg->holder);
	role->fencer = role_node_place(role, reg->fence.node);
	for (size_t i = 0; i < reg->fence.n_members; i++) {
		unsigned int place = role_node_place(role, reg->fence.members[i]);

		if (place == ROLE_NOBODY)
			role->whole = false;
		else
			role->members |= (role_nodes)1 << place;
	}
}

role_nodes
role_nodes_limit(role_nodes set)
{
	role_nodes limited = 0;

	for (size_t n = 0; set && n < ROLE_PEERS; n++) {
		limited |= set & -set;
		set &= set - 1;
	}
	return limited;
}

size_t
role_node_names(
    const struct role *role, role_nodes set, char names[ROLE_PEERS][ROLE_NODE_SIZE])
{
	size_t n = 0;

	for (size_t i = 0; i < role->n_nodes && n < ROLE_PEERS; i++) {
		size_t at = n;

		if (!(set >> i & 1))
			continue;
		for (; at > 0 && strcmp(names[at - 1], role->nodes[i].name) > 0; at--)
			memcpy(names[at], names[at - 1], ROLE_NODE_SIZE);
		memcpy(names[at], role->nodes[i].name, ROLE_NODE_SIZE);
		n++;
	}
	return n;
}

void
role_nodes_present(struct role *role, const struct role_peer *list, size_t count)
{
	role->peers_known = true;
	for (size_t i = 0; i < role->n_nodes; i++)
		role->nodes[i].present = role->nodes[i].ready = false;
	for (size_t i = 0; i < count && i < ROLE_PEERS; i++) {
		unsigned int place = role_node_place(role, list[i].node);
		struct role_node *node = &role->nodes[place];

		if (place == ROLE_NOBODY || place == ROLE_ME)
			continue;
		node->present = true;
		node->ready = list[i].ready;
		node->hb = list[i].hb;
		node->priority = list[i].priority;
		if (place == role->holder && !role_node_beats(role, place))
			role->objected = 0;
	}
}

bool
role_is_ready_peer(const struct role *role, const char *node)
{
	unsigned int place = role_node_find(role, node);

	return place != ROLE_NOBODY && place != ROLE_ME && role->nodes[place].ready;
}

static bool
goes_before(const struct role_node *a, const struct role_node *b)
{
	return a->priority != b->priority ? a->priority > b->priority
					  : strcmp(a->name, b->name) < 0;
}

unsigned int
role_best_peer(const struct role *role)
{
	unsigned int best = ROLE_NOBODY;

	for (unsigned int i = 1; i < role->n_nodes; i++)
		if (role->nodes[i].ready &&
		    (best == ROLE_NOBODY ||
			goes_before(&role->nodes[i], &role->nodes[best])))
			best = i;
	return best;
}

/* Members of the record go first, then higher priorities. */
int64_t
role_rank(const struct role *role)
{
	struct role_node me = role->nodes[ROLE_ME];
	int64_t rank = 0;

	me.priority = role->params.priority;
	for (unsigned int i = 1; i < role->n_nodes; i++) {
		bool member = role->members >> i & 1;
		bool mine = role->members >> ROLE_ME & 1;

		if (!role->nodes[i].ready || i == role->holder || i == role->fencer)
			continue;
		if (member != mine ? member : goes_before(&role->nodes[i], &me))
			rank++;
	}
	return rank;
}

bool
role_member_stands(const struct role *role)
{
	for (unsigned int i = 1; i < role->n_nodes; i++)
		if (role->members >> i & 1 && role->nodes[i].ready && i != role->fencer)
			return true;
	return false;
}

void
role_nodes_view(const struct role *role, struct role_view *view)
{
	for (size_t i = 1; i < role->n_nodes && view->n_members < ROLE_PEERS; i++) {
		const struct role_node *node = &role->nodes[i];
		bool member = role->members >> i & 1;
		struct role_member_view *shown = &view->members[view->n_members];

		if (!member && !node->present && newest(node) < 0)
			continue;
		str_copy(shown->node, sizeof(shown->node), node->name);
		shown->member = member;
		shown->heard_at = node->heard_at;
		shown->acked_at = node->ack_at;
		view->n_members++;
	}
}
