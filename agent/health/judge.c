/* SPDX-License-Identifier: ISC */
/*
 * The one place where outcomes arrive. First the facts are recorded (health, flap and window,
 * each with a rule of its own), then there is one verdict, then its consequences are said:
 * in the log here, once for each change and with its cause, and to the others by the
 * scheduler, who is told what is new. No figure that moves with every run gets into the
 * output, for Consul would be told each time.
 */
#include "agent/health/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/health/output.h"
#include "agent/health/run.h"
#include "agent/health/sched.h"
#include "agent/health/window.h"

#define LOGGED_MAX 200 /* bytes of output in a log line */
#define REMARKS_MAX 256

struct judge_metrics {
	size_t count;
	struct run_metric list[];
};

/* All that decides what is published. */
struct facts {
	enum check_status held; /* by rise and fall, and while it flaps */
	bool flapping;
	enum check_status floor; /* the window's */
	enum check_reason floor_reason;
};

static struct facts
facts_of(const struct judge *judge)
{
	struct facts facts = {
		.held = flap_state(&judge->flap, judge->health.state),
		.flapping = flap_is_on(&judge->flap),
		.floor = CHECK_PASSING,
		.floor_reason = CHECK_REASON_OK,
	};

	if (judge->window != NULL)
		facts.floor = window_floor(judge->window, &facts.floor_reason);
	return facts;
}

/* What the window says, and what follows; "" if it has nothing to say. */
static void
describe_floor(
    const struct facts *facts, const struct conf_check *check, char *out, size_t size)
{
	bool critical = facts->floor == CHECK_CRITICAL;
	char limit[32];

	out[0] = '\0';
	if (facts->floor_reason == CHECK_REASON_ERROR_RATE)
		snprintf(out, size, "%d %% or more of the last %d results failed",
		    critical ? check->error_rate_critical : check->error_rate_warning,
		    check->window);
	if (facts->floor_reason == CHECK_REASON_LATENCY) {
		format_duration(
		    critical ? check->latency_critical_ms : check->latency_warning_ms,
		    limit, sizeof(limit));
		snprintf(out, size,
		    "more than a tenth of the last %d results took %s or longer",
		    check->window, limit);
	}
}

/* The lines before what the check itself said. */
static void
make_remarks(
    const struct facts *facts, const struct conf_check *check, char out[REMARKS_MAX])
{
	char floor[REMARKS_MAX / 2], flap[REMARKS_MAX / 2] = "";

	if (facts->flapping)
		snprintf(flap, sizeof(flap),
		    "flapping: the state changes too often; held at %s\n",
		    check_status_name(facts->held));
	describe_floor(facts, check, floor, sizeof(floor));
	snprintf(out, REMARKS_MAX, "%s%s%s", flap, floor, floor[0] != '\0' ? "\n" : "");
}

/* The text is what is kept already: it needs no cleaning, and most runs end so. */
static bool
is_same(const struct judge *judge, const struct conf_check *check, const char *remarks,
    const char *text)
{
	size_t len = strlen(remarks);

	return strncmp(judge->output, remarks, len) == 0 &&
	    strcmp(judge->output + len, text) == 0 && strchr(text, '\\') == NULL &&
	    len + strlen(text) <= check->output_size;
}

static bool
set_output(struct judge *judge, const struct conf_check *check, const char *remarks,
    const char *text)
{
	size_t size = check->output_size, len = strlen(remarks);

	if (is_same(judge, check, remarks, text))
		return false;
	AUTO_FREE char *clean = output_clean(
	    text, strlen(text), size > len ? size - len : 0, check->command != NULL);
	char *output = xasprintf("%s%s", remarks, clean);
	if (clean[0] == '\0' && len > 0)
		output[len - 1 < size ? len - 1 : size] = '\0';
	if (strcmp(output, judge->output) == 0) {
		free(output);
		return false;
	}
	free(judge->output);
	judge->output = output;
	return true;
}

/* Says "LABEL: old -> new, because WHY"; in TEXT the first line counts. */
static void
log_change(const struct conf_check *check, enum check_status old, bool first,
    enum check_status new, const char *why, const char *text)
{
	int len = (int)strcspn(text, "\n");
	char label[CONF_LABEL_MAX];

	conf_check_label(check, label);
	log_line(first && new == CHECK_PASSING ? LOG_LEVEL_INFO : LOG_LEVEL_NOTICE,
	    "check", "%s: %s -> %s, because %s%s%.*s", label,
	    first ? "not known" : check_status_name(old), check_status_name(new), why,
	    len > 0 ? ": " : "", len < LOGGED_MAX ? len : LOGGED_MAX, text);
}

/* Why the state changed, if it was neither this outcome nor the window's limit. */
static const char *
find_cause(
    const struct judge *judge, const struct judge *before, const struct facts *facts)
{
	if (facts->floor > facts->held)
		return NULL;
	if (facts->held != judge->health.state)
		return "it flaps";
	if (flap_is_on(&before->flap) && !facts->flapping)
		return "it flaps no longer";
	if (judge->status > before->status)
		return NULL;
	if (before->reason == CHECK_REASON_LATENCY)
		return "it is fast enough again";
	if (before->reason == CHECK_REASON_ERROR_RATE)
		return "fewer of the last results failed";
	return NULL;
}

static const char *
skip_line(const char *text)
{
	const char *end = strchr(text, '\n');

	return end != NULL ? end + 1 : text;
}

static void
log_state(const struct judge *judge, const struct conf_check *check,
    const struct judge *before, const struct facts *facts)
{
	const char *cause = find_cause(judge, before, facts), *text = judge->output;

	/* of the remarks, only the window's may be the reason */
	if (facts->flapping)
		text = skip_line(text);
	if (facts->floor > CHECK_PASSING && facts->floor <= facts->held)
		text = skip_line(text);
	log_change(check, before->status, !before->health.known, judge->status,
	    cause != NULL ? cause : check_reason_name(judge->reason),
	    cause != NULL ? "" : text);
}

static void
log_outcome(const struct conf_check *check, const struct run_outcome *outcome)
{
	char label[CONF_LABEL_MAX];

	if (!log_debug_on("check"))
		return;
	conf_check_label(check, label);
	log_debug("check", "%s: run ended, %s, %s", label,
	    check_status_name(outcome->status), check_reason_name(outcome->reason));
}

/* The beginning of it, and the end if no change of the state says it. */
static void
log_flapping(const struct judge *judge, const struct conf_check *check,
    const struct judge *before)
{
	bool on = flap_is_on(&judge->flap);
	char label[CONF_LABEL_MAX];

	if (on == flap_is_on(&before->flap) || (!on && judge->status != before->status))
		return;
	conf_check_label(check, label);
	if (on)
		log_notice("check",
		    "%s: flapping, because %u %% of the last %d results changed the "
		    "state: held at %s",
		    label, flap_percent(&judge->flap), FLAP_RESULTS,
		    check_status_name(judge->status));
	else
		log_notice("check", "%s: stays %s, and flaps no longer", label,
		    check_status_name(judge->status));
}

void
judge_init(struct judge *judge, const struct conf_check *check)
{
	struct window_limits limits = {
		.size = check->window,
		.error_warning = check->error_rate_warning,
		.error_critical = check->error_rate_critical,
		.latency_warning_ms = check->latency_warning_ms,
		.latency_critical_ms = check->latency_critical_ms,
	};

	*judge = (struct judge){ .status = check->initial, .took_ms = -1 };
	health_init(&judge->health, check->initial);
	flap_init(&judge->flap);
	judge->window = window_new(&limits);
	judge->output = xstrdup("");
}

void
judge_clear(struct judge *judge)
{
	window_free(judge->window);
	free(judge->output);
	free(judge->metrics);
}

void
judge_adopt(struct judge *judge, const struct conf_check *check,
    enum check_status status, const char *output)
{
	health_adopt(&judge->health, status);
	flap_adopt(&judge->flap, status);
	judge->status = status;
	if (output != NULL)
		set_output(judge, check, "", output);
}

void
judge_turn(struct judge *judge, const struct conf_check *check)
{
	struct judge before = *judge;

	judge_init(judge, check);
	if (before.health.known)
		judge_adopt(judge, check, before.status, before.output);
	judge->reason = before.reason;
	judge->runs = before.runs;
	judge->changed_at = before.changed_at;
	judge->took_ms = before.took_ms;
	judge_clear(&before);
}

static void
keep_metrics(struct judge *judge, const struct run_outcome *outcome)
{
	size_t count = outcome->n_metrics, size = count * sizeof(*outcome->metrics);

	if (count != (judge->metrics != NULL ? judge->metrics->count : 0)) {
		free(judge->metrics);
		judge->metrics =
		    count > 0 ? xcalloc(1, sizeof(*judge->metrics) + size) : NULL;
	}
	if (judge->metrics == NULL)
		return;
	judge->metrics->count = count;
	memcpy(judge->metrics->list, outcome->metrics, size);
}

static void
record(struct judge *judge, const struct conf_check *check,
    const struct run_outcome *outcome, int64_t took_ms)
{
	keep_metrics(judge, outcome);
	judge->runs++;
	judge->took_ms = (int32_t)(took_ms < INT32_MAX ? took_ms : INT32_MAX);
	if (outcome->status == CHECK_UNKNOWN)
		return;
	health_record(&judge->health, outcome->status, check->rise, check->fall);
	flap_record(&judge->flap, judge->health.state, check->flap_threshold);
	if (judge->window != NULL)
		window_record(
		    judge->window, outcome->status == CHECK_CRITICAL, took_ms);
}

enum judge_news
judge_record(struct judge *judge, const struct conf_check *check,
    const struct run_outcome *outcome, int64_t took_ms)
{
	const struct judge before = *judge;
	char remarks[REMARKS_MAX];

	log_outcome(check, outcome);
	record(judge, check, outcome, took_ms);
	struct facts facts = facts_of(judge);
	bool by_window = judge->health.known && facts.floor > facts.held;
	judge->reason = by_window ? facts.floor_reason : outcome->reason;
	judge->status = by_window ? facts.floor : facts.held;
	make_remarks(&facts, check, remarks);
	bool said = set_output(judge, check, remarks, outcome->text);
	bool changed = judge->status != before.status ||
	    judge->health.known != before.health.known;
	if (changed) {
		judge->changed_at = clock_wall_ms();
		log_state(judge, check, &before, &facts);
	}
	log_flapping(judge, check, &before);
	return changed ? JUDGE_CHANGED : said ? JUDGE_OUTPUT : JUDGE_NOTHING;
}

enum judge_news
judge_excuse(struct judge *judge, const struct conf_check *check, const char *why)
{
	judge->reason = CHECK_REASON_LOCAL;
	return set_output(judge, check, "", why) ? JUDGE_OUTPUT : JUDGE_NOTHING;
}

bool
judge_is_critical(const struct judge *judge)
{
	return judge->health.known && judge->status == CHECK_CRITICAL;
}

void
judge_state(const struct judge *judge, const struct conf_check *check,
    struct sched_state *state)
{
	bool window = judge->window != NULL;

	*state = (struct sched_state){
		.status = judge->status,
		.known = judge->health.known,
		.reason = judge->reason,
		.output = judge->output,
		.runs = judge->runs,
		.changed_at = judge->changed_at,
		.last_run_ms = judge->took_ms,
		.row = judge->health.row,
		.metrics = judge->metrics != NULL ? judge->metrics->list : NULL,
		.n_metrics = judge->metrics != NULL ? judge->metrics->count : 0,
		.flapping = flap_is_on(&judge->flap),
		.flap_percent =
		    check->flap_threshold > 0 ? (int)flap_percent(&judge->flap) : -1,
		.error_percent = window ? window_error_percent(judge->window) : -1,
		.latency_ms = window ? window_latency_ms(judge->window) : -1,
	};
}
