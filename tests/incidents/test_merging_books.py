"""Whatever is merged and split, in whatever order and beside whatever digest: every failure is counted once."""

from contextlib import suppress
from random import Random
from threading import Event
from uuid import UUID

import pytest

from events.models import PendingEvent
from incidents import aliases, detection, lifecycle, merging
from incidents.lifecycle import TransitionRefused
from incidents.merging import MergeRefused, NotGroupedHere
from incidents.models import EventLink, Incident
from incidents.states import OPEN
from tenants.models import Tenant
from tenants.scoping import bound
from tests.cast import Travel, digest_all, event, failure, submit, submit_all
from tests.faults.sizes import sized
from tests.incidents.test_merging import (
    ALICE,
    DECLINED,
    TIMEOUT,
    again,
    assert_books_balance,
    fail,
    merge,
    split,
)
from tests.threads import at_once

CODES = (TIMEOUT, DECLINED, "key_refused", "no_route")
RUNS = [f"r{n}" for n in range(5)]
STEPS = 40


class Operators:
    """People who do at random what they may, and count what came of it."""

    def __init__(self, tenant: Tenant, random: Random, travel: Travel) -> None:
        self.tenant, self.random, self.travel = tenant, random, travel
        self.failures = self.merges = self.splits = 0

    def step(self) -> None:
        does = [self.fails] * 5 + [self.merges_some] * 3 + [self.splits_one] * 3
        self.random.choice([*does, self.succeeds, self.resolves, self.reopens, self.waits])()

    def fails(self) -> None:
        fail(self.tenant, self.random.choice(CODES), self.random.choice(RUNS))
        self.failures += 1

    def succeeds(self) -> None:
        run = self.random.choice(RUNS)
        submit(self.tenant, run_id=run, event_type="payment.completed", payload={})
        digest_all()

    def merges_some(self) -> None:
        incidents = self.incidents()
        if len(incidents) > 1:
            target, *others = self.random.sample(incidents, k=min(3, len(incidents)))
            with suppress(MergeRefused, TransitionRefused):
                merge(target, *others)
                self.merges += 1

    def splits_one(self) -> None:
        with bound(self.tenant.pk) as now, suppress(NotGroupedHere, TransitionRefused):
            incidents = self.incidents()
            self.random.shuffle(incidents)
            for incident in incidents:
                members = [one.hash for one in aliases.grouped_here(incident) if not one.is_own]
                if members:
                    merging.split(incident, members[:1], by=ALICE, now=now)
                    self.splits += 1
                    return

    def resolves(self) -> None:
        with bound(self.tenant.pk) as now, suppress(TransitionRefused):
            incident = self.random.choice(self.incidents())
            lifecycle.resolve(
                incident, by=ALICE, now=now, reason="given up", waive_unrecovered=True
            )

    def reopens(self) -> None:
        with bound(self.tenant.pk) as now, suppress(TransitionRefused):
            lifecycle.reopen(self.random.choice(self.incidents()), by=ALICE, now=now)

    def waits(self) -> None:
        self.travel(hours=25)

    def incidents(self) -> list[Incident]:
        with bound(self.tenant.pk):
            return list(Incident.objects.for_tenant(self.tenant).order_by("id"))


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(sized(small=2, full=8)))
def test_the_books_balance_after_any_sequence(acme: Tenant, time_travel: Travel, seed: int) -> None:
    people = Operators(acme, Random(seed), time_travel)
    people.fails()
    for _ in range(STEPS):
        people.step()
        assert_books_balance(acme, failures=people.failures)
    # else nothing was tried
    assert people.merges > 0
    assert people.splits > 0
    # and nobody is stuck: what is merged leads to an incident that is not
    with bound(acme.pk):
        merged = Incident.objects.for_tenant(acme).exclude(merged_into=None)
        assert all(incident.status not in OPEN for incident in merged)


@pytest.mark.django_db(transaction=True)
def test_merging_beside_digests_loses_nothing(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "first"), fail(acme, DECLINED, "second")
    bodies = [
        event(run_id=f"r{n % 20}", payload=failure(error_code=code, error_message=code))
        for n in range(60)
        for code in (TIMEOUT, DECLINED)
    ]
    submit_all(acme, bodies)

    is_over = Event()

    def work(number: int) -> int:
        done = 0
        if number == 2:
            done = _merge_and_split_until_digested(target, other)
            is_over.set()
        while not is_over.is_set():  # it claims nothing while a merge has the turn
            done += detection.digest(limit=6)
        return done

    *digested, n_merges = at_once(3, work)
    assert sum(digested) == 120
    assert n_merges > 1  # some were beside digests
    assert_books_balance(acme, failures=122)
    assert (again(target).event_count, again(other).event_count) == (122, 0)


def _merge_and_split_until_digested(target: Incident, other: Incident) -> int:
    for n_merges in range(1, 500):
        merge(target, other)
        with bound(target.tenant_id):
            if not PendingEvent.objects.for_tenant(target.tenant_id).exists():
                return n_merges
        split(target, other)
    raise AssertionError("the digests never had their turn")


@pytest.mark.django_db(transaction=True)
def test_two_people_who_merge_each_into_the_other_get_one_answer_each(acme: Tenant) -> None:
    pair = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")

    def work(number: int) -> str:
        try:
            return str(merge(pair[number], pair[1 - number]))
        except (MergeRefused, TransitionRefused) as refused:
            return type(refused).__name__

    answers = at_once(2, work)
    assert "TransitionRefused" in answers
    assert_books_balance(acme, failures=2)


@pytest.mark.django_db
def test_evidence_that_was_dropped_with_its_day_stays_counted(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2", "r3")
    _forget(other)
    merge(target, other)
    assert again(target).event_count == 3
    # a split moves what is known of the signature; what is not stays where it was counted
    split(target, other)
    assert (again(target).event_count, again(other).event_count) == (2, 1)


def _forget(incident: Incident) -> UUID:
    """As if the day of the incident's first event had been dropped."""
    with bound(incident.tenant_id):
        links = EventLink.objects.for_tenant(incident.tenant_id).filter(incident_id=incident.pk)
        first = links.order_by("id")[0]
        links.filter(pk=first.pk).update(incident_id=None)
    return first.pk
