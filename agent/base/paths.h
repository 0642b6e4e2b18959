/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_PATHS_H
#define LICTOR_PATHS_H

/*
 * The two folders of a running lictord: what lives as long as it runs, and what must
 * survive a restart. RUNTIME_DIRECTORY and STATE_DIRECTORY replace /run/lictor and
 * /var/lib/lictor (systemd.exec(5): the first of a list counts). The path of `file` in
 * the folder, or of the folder itself when `file` is NULL; the caller frees it.
 */
#define PATH_OF_AGENT "agent" /* in the former: a folder of the agent's own */
char *path_runtime(const char *file);
char *path_state(const char *file);

#endif
