/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TESTS_CONF_TEXT_H
#define LICTOR_TESTS_CONF_TEXT_H

/* The configuration of a lictor.conf that says `text`, without faults and without a look at
 * this host; conf_free ends it. */
struct conf *conf_of_text(const char *text);

#endif
