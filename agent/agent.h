/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_AGENT_H
#define LICTOR_AGENT_H

struct blackbox;
struct conf;

/*
 * The process that checks, reports and decides: makes every module, wires each to the
 * next and unmakes them. `runner_fd`: the socket to the runner; `control_fd`: the listening
 * control socket; `box`: where it notes whose code it runs. Takes `conf` over. Returns the exit status: 0 after
 * a clean stop.
 */
int agent_main(
    struct conf *conf, int runner_fd, int control_fd, struct blackbox *box);

#endif
