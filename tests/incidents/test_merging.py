"""Merge and split: nothing is lost or counted twice, both timelines say so, and it sticks until somebody splits."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db.models import Sum

from awfdrs_site.lib import clock, rfc3339
from incidents import aliases, lifecycle, merging
from incidents.lifecycle import TransitionRefused, UnrecoveredRuns
from incidents.merging import MergeRefused, NotGroupedHere, UnknownIncidents
from incidents.models import AffectedRun, EventLink, Incident, IncidentHour, Run, SignatureAlias
from incidents.states import UNRECOVERED, Status
from tenants.journal import Actor
from tenants.models import JournalEntry, Tenant
from tenants.scoping import bound
from tests.cast import Travel, digest_all, failure, journal_of, submit
from tests.factories import IncidentFactory

pytestmark = pytest.mark.django_db

ALICE = Actor("user", "1", "alice")
DECLINED, TIMEOUT, REFUSED = "card_declined", "payment_timeout", "key_refused"


def fail(tenant: Tenant, code: str, *runs: str, **fields: Any) -> Incident:
    """Each run fails with the code; the incident that counts it."""
    for run in runs:
        payload = failure(error_code=code, error_message=code)
        verdict = submit(tenant, run_id=run, payload=payload, **fields)
    digest_all()
    assert verdict.event_id is not None
    with bound(tenant.pk):
        link = EventLink.objects.for_tenant(tenant).get(pk=verdict.event_id)
        return Incident.objects.for_tenant(tenant).get(pk=str(link.incident_id))


def succeed(tenant: Tenant, run: str) -> None:
    submit(tenant, run_id=run, event_type="payment.completed", payload={})
    digest_all()


def merge(target: Incident, *others: Incident, reason: str = "") -> Incident:
    with bound(target.tenant_id) as now:
        ids = [other.pk for other in others]
        return merging.merge(target, ids, by=ALICE, now=now, reason=reason).incident


def split(incident: Incident, *members: Incident, reason: str = "") -> Incident:
    with bound(incident.tenant_id) as now:
        hashes = [member.signature for member in members]
        return merging.split(incident, hashes, by=ALICE, now=now, reason=reason)


def resolve(incident: Incident) -> Incident:
    with bound(incident.tenant_id) as now:
        return lifecycle.resolve(
            incident, by=ALICE, now=now, reason="fixed", waive_unrecovered=True
        )


def again(incident: Incident) -> Incident:
    with bound(incident.tenant_id):
        return Incident.objects.for_tenant(incident.tenant_id).get(pk=incident.pk)


def said(incident: Incident, verb: str) -> dict[str, Any]:
    """The detail of the incident's latest line of the verb."""
    with bound(incident.tenant_id):
        mine = JournalEntry.objects.for_tenant(incident.tenant_id)
        lines = mine.filter(subject_id=str(incident.pk), verb=verb).order_by("-at", "-id")
        return dict(lines[0].detail)


def assert_books_balance(tenant: Tenant, *, failures: int) -> None:
    """Every failure is counted once: on an incident, in its hours, in its links; and so is every hurt run."""
    with bound(tenant.pk):
        links = EventLink.objects.for_tenant(tenant).filter(outcome="failure")
        assert links.count() == failures
        total = IncidentHour.objects.for_tenant(tenant).aggregate(n=Sum("n_events"))["n"] or 0
        assert total == failures
        for incident in Incident.objects.for_tenant(tenant):
            own = links.filter(incident_id=incident.pk)
            hours = IncidentHour.objects.for_tenant(tenant).filter(incident=incident)
            lines = AffectedRun.objects.for_tenant(tenant).filter(incident=incident)
            assert incident.event_count == own.count(), incident
            assert (hours.aggregate(n=Sum("n_events"))["n"] or 0) == own.count(), incident
            hurt = set(own.exclude(run_id=None).values_list("run_id", flat=True))
            assert set(lines.values_list("run_id", flat=True)) == hurt, incident
            assert incident.affected_runs == len(hurt), incident
            left = lines.filter(run__state__in=UNRECOVERED).count()
            assert incident.unrecovered_runs == left, incident
        counted = Incident.objects.for_tenant(tenant).aggregate(n=Sum("event_count"))["n"] or 0
        assert counted == failures


# --- merge -------------------------------------------------------------------------------------


def test_a_merge_moves_everything_that_the_other_counts(acme: Tenant) -> None:
    target = fail(acme, TIMEOUT, "r1", "both")
    other = fail(acme, DECLINED, "r2", "both")
    merged = merge(target, other, reason="one cause")
    # sums keep; a run that both hurt is one run
    assert (merged.event_count, merged.affected_runs, merged.unrecovered_runs) == (4, 3, 3)
    assert_books_balance(acme, failures=4)
    other = again(other)
    assert (other.status, other.merged_into_id, other.event_count) == ("resolved", target.pk, 0)
    assert other.resolved_reason == f"Merged into {target}."
    with bound(acme.pk):
        owners = Run.objects.for_tenant(acme).values_list("incident_id", flat=True)
        assert set(owners) == {target.pk}


def test_both_timelines_say_that_they_were_merged(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    merge(target, other, reason="one cause")
    assert journal_of(acme, target.pk) == ["detected", "merged"]
    assert journal_of(acme, other.pk) == ["detected", "merged_into"]
    assert said(target, "merged") == {"detail": str(other), "events": 1, "reason": "one cause"}
    assert said(other, "merged_into")["into"] == str(target)
    assert said(other, "merged_into")["reason"] == "one cause"


def test_merging_again_changes_nothing_and_is_not_told_again(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    before = merge(target, other)
    after = merge(target, other, other)
    assert after.version == before.version
    assert journal_of(acme, target.pk) == ["detected", "merged"]


def test_what_is_seen_first_and_last_widens(acme: Tenant) -> None:
    early = rfc3339.format(clock.read() - timedelta(minutes=9))
    late = rfc3339.format(clock.read() - timedelta(minutes=1))
    middle = rfc3339.format(clock.read() - timedelta(minutes=5))
    target = fail(acme, TIMEOUT, "r1", occurred_at=middle)
    other = fail(acme, DECLINED, "r2", occurred_at=early)
    fail(acme, DECLINED, "r3", occurred_at=late)
    merged = merge(target, other)
    assert rfc3339.format(merged.first_seen_at) == early
    assert rfc3339.format(merged.last_seen_at) == late
    assert merged.last_event_id == again(other).last_event_id


def test_later_failures_of_the_merged_signature_are_counted_on_the_target(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    merge(target, other)
    assert fail(acme, DECLINED, "r3").pk == target.pk
    assert again(target).event_count == 3
    assert_books_balance(acme, failures=3)


def test_a_closed_incident_can_be_merged_into_an_open_one(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    resolve(other)
    assert merge(target, other).event_count == 2
    # what happens now is the target's: the closed one does not come back
    assert fail(acme, DECLINED, "r3").pk == target.pk
    assert again(other).status == Status.RESOLVED


def test_an_ignored_incident_that_is_merged_is_ignored_no_longer(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    with bound(acme.pk) as now:
        lifecycle.ignore(other, by=ALICE, now=now, reason="known")
    merge(target, other)
    assert again(other).status == Status.RESOLVED
    assert fail(acme, DECLINED, "r3").pk == target.pk


def test_merges_of_merges_lead_to_the_last(acme: Tenant) -> None:
    last = fail(acme, REFUSED, "r1")
    middle, first = fail(acme, TIMEOUT, "r2"), fail(acme, DECLINED, "r3")
    merge(middle, first)
    merge(last, middle)
    assert again(first).merged_into_id == again(middle).merged_into_id == last.pk
    assert journal_of(acme, first.pk) == ["detected", "merged_into", "merged_into"]
    for code in (DECLINED, TIMEOUT, REFUSED):
        assert fail(acme, code, f"later-{code}").pk == last.pk
    assert again(last).event_count == 6
    assert_books_balance(acme, failures=6)


def test_naming_what_was_merged_into_another_that_is_named_too_is_no_mistake(acme: Tenant) -> None:
    last = fail(acme, REFUSED, "r1")
    middle, first = fail(acme, TIMEOUT, "r2"), fail(acme, DECLINED, "r3")
    merge(middle, first)
    assert merge(last, first, middle).event_count == 3
    assert again(first).merged_into_id == last.pk


def test_the_target_waits_for_the_runs_of_what_was_merged(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    merge(target, other)
    succeed(acme, "r1")
    with bound(acme.pk) as now, pytest.raises(UnrecoveredRuns, match="1 runs"):
        lifecycle.resolve(target, by=ALICE, now=now)
    succeed(acme, "r2")
    assert again(target).status == Status.RESOLVED
    assert_books_balance(acme, failures=2)


def test_a_merged_incident_is_opened_again_by_a_split_and_by_nothing_else(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    merge(target, other)
    with bound(acme.pk) as now:
        with pytest.raises(TransitionRefused) as refused:
            lifecycle.reopen(other, by=ALICE, now=now)
        assert str(refused.value) == f"Split it from {target} instead."
        assert refused.value.allowed == ()
        with pytest.raises(TransitionRefused, match="Split it"):
            lifecycle.move(other, Status.DETECTED, by=ALICE, now=now)


def test_a_merge_sticks_to_every_later_incident_of_the_target(
    acme: Tenant, time_travel: Travel
) -> None:
    old, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    merge(old, other)
    resolve(old)
    time_travel(hours=25)
    new = fail(acme, DECLINED, "r3")  # only the merged signature comes back
    assert (new.signature, new.previous_id) == (old.signature, old.pk)
    # it is an incident of the target's kind, and has its member
    assert (new.title, new.error_code) == (old.title, old.error_code)
    assert new.signature_components == old.signature_components
    assert again(other).merged_into_id == new.pk
    assert fail(acme, TIMEOUT, "r4").pk == new.pk
    split(new, other)
    assert (again(other).status, again(other).event_count) == (Status.DETECTED, 1)
    assert_books_balance(acme, failures=4)


def test_a_regression_reopens_the_target_and_never_a_member(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    merge(target, other)
    resolve(target)
    assert fail(acme, DECLINED, "r3").pk == target.pk
    assert (again(target).status, again(target).regression_count) == (Status.DETECTED, 1)
    assert (again(other).status, again(other).regression_count) == (Status.RESOLVED, 0)


# --- what is refused ---------------------------------------------------------------------------


def test_an_unknown_and_a_foreign_incident_are_refused_alike(acme: Tenant, globex: Tenant) -> None:
    target, theirs = fail(acme, TIMEOUT, "r1"), fail(globex, TIMEOUT, "r1")
    for pk in (theirs.pk, UUID(int=7)):
        with bound(acme.pk) as now, pytest.raises(UnknownIncidents) as refused:
            merging.merge(target, [pk], by=ALICE, now=now)
        assert refused.value.unknown == [pk]
    assert again(theirs).status == Status.DETECTED


def refused_merge(target: Incident, *others: Incident) -> str:
    with pytest.raises(MergeRefused) as refused:
        merge(target, *others)
    return str(refused.value)


def test_what_cannot_be_one_is_refused_in_words(acme: Tenant) -> None:
    target, other, third = (fail(acme, code, code) for code in (TIMEOUT, DECLINED, REFUSED))
    storm = IncidentFactory(tenant=acme, is_storm=True, event_count=0)
    assert "into itself" in refused_merge(target, target)
    assert "is a storm" in refused_merge(target, storm)
    assert "is a storm" in refused_merge(storm, target)
    merge(target, other)
    assert refused_merge(third, other) == f"{other} is merged into {target} already."
    assert_books_balance(acme, failures=3)


def test_only_an_open_incident_takes_others_in(acme: Tenant) -> None:
    target, other, third = (fail(acme, code, code) for code in (TIMEOUT, DECLINED, REFUSED))
    merge(target, other)
    with pytest.raises(TransitionRefused, match=f"merged into {target}: go on there") as refused:
        merge(other, third)
    assert refused.value.allowed == ()
    resolve(target)
    with pytest.raises(TransitionRefused, match="reopen it first") as refused:
        merge(target, third)
    assert refused.value.allowed == ("detected",)


def test_an_old_incident_whose_failures_are_counted_elsewhere_is_refused(
    acme: Tenant, time_travel: Travel
) -> None:
    old = fail(acme, DECLINED, "r1")
    resolve(old)
    time_travel(hours=25)
    newer = fail(acme, DECLINED, "r2")
    target, third = fail(acme, TIMEOUT, "r3"), fail(acme, REFUSED, "r4")
    # while a newer one is open, events go there: merging the old one alone would divide them
    assert refused_merge(target, old) == (
        f"{newer} is the open incident of {old}'s failure: merge that."
    )
    merge(target, newer)
    assert "counted on" in refused_merge(third, old)
    with bound(acme.pk) as now:
        lifecycle.reopen(old, by=ALICE, now=now)
    assert "merge there" in refused_merge(old, third)
    # to where its failures are counted, it may follow
    assert merge(target, old).event_count == 3
    assert_books_balance(acme, failures=4)


def test_the_same_failure_of_two_times_can_be_one_incident(
    acme: Tenant, time_travel: Travel
) -> None:
    old = fail(acme, DECLINED, "r1")
    resolve(old)
    time_travel(hours=25)
    new = fail(acme, DECLINED, "r2")
    assert merge(new, old).event_count == 2
    with bound(acme.pk):
        assert not SignatureAlias.objects.for_tenant(acme).exists()
    resolve(new)
    assert fail(acme, DECLINED, "r3").pk == new.pk  # not the merged one
    assert_books_balance(acme, failures=3)


# --- split -------------------------------------------------------------------------------------


def test_a_split_gives_exactly_the_signatures_events_back(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "r1", "both"), fail(acme, DECLINED, "r2", "both")
    merge(target, other)
    fail(acme, DECLINED, "r3")
    fail(acme, TIMEOUT, "r4")
    source = split(target, other, reason="two causes")
    other = again(other)
    assert (source.event_count, source.affected_runs, source.unrecovered_runs) == (3, 3, 3)
    assert (other.event_count, other.affected_runs, other.unrecovered_runs) == (3, 3, 3)
    assert_books_balance(acme, failures=6)
    # it is open again, to be decided anew
    assert (other.status, other.merged_into_id, other.decided_at) == ("detected", None, None)
    assert (other.resolved_at, other.resolved_reason) == (None, "")
    with bound(acme.pk):
        owners = dict(Run.objects.for_tenant(acme).values_list("run_id", "incident_id"))
    assert (owners["r2"], owners["r3"]) == (other.pk, other.pk)
    assert owners["r1"] == owners["r4"] == owners["both"] == target.pk


def test_both_timelines_say_that_they_were_split(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    merge(target, other)
    split(target, other, reason="two causes")
    assert journal_of(acme, target.pk) == ["detected", "merged", "split"]
    assert journal_of(acme, other.pk) == ["detected", "merged_into", "split_off"]
    assert said(target, "split") == {"detail": str(other), "events": 1, "reason": "two causes"}
    assert said(other, "split_off")["from"] == str(target)


def test_the_next_event_of_the_split_signature_goes_to_the_split_incident(acme: Tenant) -> None:
    # M19: a split signature never rejoins
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    merge(target, other)
    split(target, other)
    assert fail(acme, DECLINED, "r3").pk == other.pk
    resolve(other)
    assert fail(acme, DECLINED, "r4").pk == other.pk  # its own regression
    assert fail(acme, TIMEOUT, "r5").pk == target.pk
    assert_books_balance(acme, failures=5)


def test_what_was_closed_before_the_merge_comes_back_open(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    resolve(other)
    merge(target, other)
    split(target, other)
    assert again(other).status == Status.DETECTED


def test_the_times_of_both_are_those_of_their_events(acme: Tenant) -> None:
    early = rfc3339.format(clock.read() - timedelta(hours=3))
    middle = rfc3339.format(clock.read() - timedelta(hours=2))
    late = rfc3339.format(clock.read() - timedelta(minutes=1))
    target = fail(acme, TIMEOUT, "r1", occurred_at=middle)
    other = fail(acme, DECLINED, "r2", occurred_at=early)
    merge(target, other)
    fail(acme, DECLINED, "r3", occurred_at=late)
    source, other = split(target, other), again(other)
    assert (rfc3339.format(other.first_seen_at), rfc3339.format(other.last_seen_at)) == (
        early,
        late,
    )
    assert rfc3339.format(source.first_seen_at) == rfc3339.format(source.last_seen_at) == middle
    assert source.last_event_id == target.last_event_id
    assert_books_balance(acme, failures=3)


def test_of_several_signatures_those_that_are_named_leave(acme: Tenant) -> None:
    target, *others = (fail(acme, code, code) for code in (TIMEOUT, DECLINED, REFUSED))
    merge(target, *others)
    split(target, others[0])
    assert [again(other).merged_into_id for other in others] == [None, target.pk]
    assert fail(acme, REFUSED, "r9").pk == target.pk
    assert split(target, others[1]).event_count == 1
    assert_books_balance(acme, failures=4)


@pytest.mark.parametrize("signature", ["own", "f" * 32])
def test_a_signature_that_no_merge_brought_is_refused(acme: Tenant, signature: str) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    merge(target, other)
    hashes = [other.signature, target.signature if signature == "own" else signature]
    with bound(acme.pk) as now, pytest.raises(NotGroupedHere) as refused:
        merging.split(target, hashes, by=ALICE, now=now)
    assert refused.value.unknown == hashes[1:]
    assert again(other).merged_into_id == target.pk


def test_splitting_twice_says_that_there_is_nothing_left_to_split(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    merge(target, other)
    split(target, other)
    with pytest.raises(NotGroupedHere):
        split(target, other)
    assert journal_of(acme, other.pk) == ["detected", "merged_into", "split_off"]


def test_only_an_open_incident_is_split(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    merge(target, other)
    resolve(target)
    with pytest.raises(TransitionRefused, match="reopen it first"):
        split(target, other)


def test_older_incidents_of_a_split_signature_go_with_it(acme: Tenant, time_travel: Travel) -> None:
    old = fail(acme, DECLINED, "r1")
    resolve(old)
    time_travel(hours=25)
    newer, target = fail(acme, DECLINED, "r2"), fail(acme, TIMEOUT, "r3")
    merge(target, newer, old)
    split(target, newer)
    assert (again(newer).event_count, again(newer).merged_into_id) == (2, None)
    assert again(old).merged_into_id == newer.pk
    assert_books_balance(acme, failures=3)


def test_events_go_to_the_open_incident_of_their_signature_where_there_is_one(
    acme: Tenant, time_travel: Travel
) -> None:
    old = fail(acme, DECLINED, "r1")
    resolve(old)
    time_travel(hours=25)
    newer, target = fail(acme, DECLINED, "r2"), fail(acme, TIMEOUT, "r3")
    merge(target, newer)
    with bound(acme.pk) as now:
        lifecycle.reopen(old, by=ALICE, now=now)
    split(target, newer)
    assert (again(old).event_count, again(newer).merged_into_id) == (2, old.pk)
    assert fail(acme, DECLINED, "r4").pk == old.pk
    assert_books_balance(acme, failures=4)


def test_what_is_grouped_here_is_listed_with_its_counts(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    with bound(acme.pk):
        assert [one.is_own for one in aliases.grouped_here(target)] == [True]
    target = merge(target, other)
    fail(acme, DECLINED, "r3")
    with bound(acme.pk):
        own, member = aliases.grouped_here(again(target))
    assert (own.hash, own.is_own, own.event_count) == (target.signature, True, 1)
    assert (member.number, member.title, member.event_count) == (str(other), other.title, 2)
