/* SPDX-License-Identifier: ISC */
/*
 * The machine draws itself, for `dot`: each row of its tables is an edge, from each state in
 * which it is tried to each to which it may lead, or back to itself. What is drawn is what
 * runs, since the rows are all there is.
 */
#include <stdio.h>

#include "agent/base/util.h"
#include "agent/failover/role_rules.h"

/* A row, whichever its table is. */
struct row {
	const char *table, *when, *what, *style;
	size_t number; /* in the order in which they are tried, from 1 */
	unsigned int states, to;
};

static void
draw_edge(FILE *out, const struct row *row, enum role_state from, enum role_state to)
{
	fprintf(out, "\t%s -> %s [%s, label=\"%s %zu: %s%s%s\"];\n",
	    role_state_name(from), role_state_name(to), row->style, row->table,
	    row->number, row->when, row->what[0] ? "\\n" : "", row->what);
}

static void
draw_row(FILE *out, const struct row *row)
{
	for (enum role_state from = ROLE_STANDBY; from <= ROLE_MASTER; from++) {
		if (!(row->states & 1U << from))
			continue;
		if (row->to == STAYS)
			draw_edge(out, row, from, from);
		for (enum role_state to = ROLE_STANDBY; to <= ROLE_MASTER; to++)
			if (row->to & 1U << to)
				draw_edge(out, row, from, to);
	}
}

static void
draw_writes(FILE *out)
{
	fprintf(out, "\twrites [shape=note, label=\"");
	for (size_t i = 0; i < ARRAY_LENGTH(role_writes); i++)
		fprintf(out, "%s: %s\\l    if %s\\l",
		    role_write_name(role_writes[i].kind), role_writes[i].content,
		    role_writes[i].when);
	fprintf(out, "\"];\n");
}

void
role_draw(FILE *out)
{
	fprintf(out,
	    "// fall: ends a state before anything is looked at. learn: newer content "
	    "of\n"
	    "// the register, the first row that applies. decide: what next, all rows "
	    "in\n"
	    "// turn until one that ends the turn.\n"
	    "digraph role {\n\trankdir=LR;\n\tnode [shape=box];\n");
	for (enum role_state state = ROLE_STANDBY; state <= ROLE_MASTER; state++)
		fprintf(out, "\t%s;\n", role_state_name(state));
	for (size_t i = 0; i < ROLE_FALLS; i++)
		draw_row(out,
		    &(struct row){ "fall", role_falls[i].when, "", "style=bold", i + 1,
			role_falls[i].states, role_falls[i].to });
	for (size_t i = 0; i < role_lessons_count; i++)
		draw_row(out,
		    &(struct row){ "learn", role_lessons[i].when, role_lessons[i].what,
			"style=dashed", i + 1, role_lessons[i].states,
			role_lessons[i].to });
	for (size_t i = 0; i < role_decisions_count; i++)
		draw_row(out,
		    &(struct row){ "decide", role_decisions[i].when,
			role_decisions[i].what, "style=solid", i + 1,
			role_decisions[i].states, role_decisions[i].to });
	draw_writes(out);
	fprintf(out, "}\n");
}
