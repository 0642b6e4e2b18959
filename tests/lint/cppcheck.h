/* SPDX-License-Identifier: ISC */
/*
 * What cppcheck must be told, since it reads no headers but ours: the shape of the macros
 * of other libraries that would otherwise be syntax errors to it. Nothing else includes
 * this.
 */
#define cJSON_ArrayForEach(item, list) for (item = list; item; item = item->next)
#define LIST_HEAD(name, type) struct name { struct type *lh_first; }
#define LIST_ENTRY(type) struct { struct type *le_next, **le_prev; }
#define LIST_FOREACH(item, head, link) for (item = (head)->lh_first; item; item = item->link.le_next)
#define TAILQ_HEAD(name, type) struct name { struct type *tqh_first, **tqh_last; }
#define TAILQ_ENTRY(type) struct { struct type *tqe_next, **tqe_prev; }
#define TAILQ_FOREACH(item, head, link) for (item = (head)->tqh_first; item; item = item->link.tqe_next)
#define LIBBPF_OPTS(type, name, ...) struct type name = { .sz = sizeof(name), __VA_ARGS__ }
