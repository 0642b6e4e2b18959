/* SPDX-License-Identifier: ISC */
/* => "no-symbol" has no symbol check_plugin, expected a plugin of lictord */
extern int another_symbol;
int another_symbol = 1;
