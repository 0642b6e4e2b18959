/* SPDX-License-Identifier: ISC */
/*
 * The difference between what is to be shown and what is, as a pure function, one step at
 * a time: ledger carries a step out and asks again. From whatever is shown the steps lead
 * to what is wanted, and nobody who watches sees a service of ours missing on the way that
 * was there and is to stay, nor a check worse than it was and is to be. Hence:
 *  - a check that is added shows its state from the first moment. A service is registered
 *    when the states of all its checks are known, and a check is added to it when its own
 *    is; who never gives a result is waited for until `ready`, not longer;
 *  - what is not ours is left alone. replace-existing-checks, which removes at one go what
 *    a registration does not name, is for where all that would go is ours: not beside the
 *    check of Consul's maintenance mode, nor that of a stranger;
 *  - a registration is a write of everything, so a check that alone is lacking is added by itself.
 */
#include "agent/consul/differ.h"

/* More checks than that at one time are registered with the service. */
#define SINGLY_MAX 1

void
differ_count(struct differ_service *service, const struct differ_check *check)
{
	bool lacks = !check->shown || !check->same_form;

	if (!check->wanted && check->shown && !check->ours)
		service->strange = true;
	else if (!check->wanted)
		service->surplus += check->shown;
	else if (!check->shown && !check->ready)
		service->waited_for++;
	else if (lacks && !check->apart)
		service->lacking++;
	service->apart += check->wanted && check->apart;
}

static enum differ_do
maintenance(const struct differ_service *service)
{
	if (service->want_maintained && !service->maintained)
		return DIFFER_MAINTAIN;
	if (!service->want_maintained && service->maintained &&
	    service->maintained_by_us)
		return DIFFER_MAINTAIN_NO_MORE;
	return DIFFER_NOTHING;
}

static enum differ_do
registration(const struct differ_service *service)
{
	bool all_ours = !service->strange && !service->maintained && !service->apart;

	return service->surplus > 0 && all_ours ? DIFFER_REGISTER_REPLACING
						: DIFFER_REGISTER;
}

static bool
is_as_registered(const struct differ_service *service)
{
	return service->shown && service->same_form && service->alias_shown;
}

static enum differ_do
of_foreign(const struct differ_service *service)
{
	enum differ_do what = maintenance(service);

	if (!service->shown)
		return DIFFER_NOTHING;
	if (service->ours) /* of an earlier configuration */
		return DIFFER_REMOVE_SERVICE;
	if (what != DIFFER_NOTHING)
		return what;
	return service->alias_shown ? DIFFER_NOTHING : DIFFER_ADD_ALIAS;
}

enum differ_do
differ_service(const struct differ_service *service)
{
	enum differ_do what = maintenance(service);

	if (!service->wanted)
		return service->shown && service->ours ? DIFFER_REMOVE_SERVICE
						       : DIFFER_NOTHING;
	if (service->foreign)
		return of_foreign(service);
	if (!service->shown)
		return service->waited_for > 0 ? DIFFER_NOTHING : DIFFER_REGISTER;
	if (what != DIFFER_NOTHING)
		return what;
	if (!is_as_registered(service) || service->lacking > SINGLY_MAX)
		return registration(service);
	return DIFFER_NOTHING;
}

enum differ_do
differ_check(const struct differ_service *service, const struct differ_check *check)
{
	bool singly = service->foreign || check->apart ||
	    (is_as_registered(service) && service->lacking <= SINGLY_MAX);

	if (!service->wanted || !service->shown || (service->foreign && service->ours))
		return DIFFER_NOTHING;
	if (!check->wanted)
		return check->shown && check->ours ? DIFFER_REMOVE_CHECK
						   : DIFFER_NOTHING;
	if (check->shown && check->same_form)
		return check->want == check->have ? DIFFER_NOTHING : DIFFER_UPDATE;
	if (!singly || (!check->shown && !check->ready))
		return DIFFER_NOTHING;
	return DIFFER_ADD_CHECK;
}
