"""A merge is taken back exactly or not at all: every row of what was counted is again as it was."""

from contextlib import suppress
from random import Random
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import models

from incidents import lifecycle, merging, undo
from incidents.lifecycle import ChangedSince, TransitionRefused
from incidents.merging import MergeRefused
from incidents.models import (
    AffectedRun,
    EventLink,
    Incident,
    IncidentHour,
    MergePart,
    Run,
    SignatureAlias,
    Undo,
)
from tenants.models import Tenant
from tenants.scoping import bound
from tests.cast import (
    Api,
    Travel,
    digest_all,
    event,
    failure,
    journal_of,
    key_of,
    signed_in,
    submit_all,
)
from tests.incidents.test_merging import (
    ALICE,
    DECLINED,
    REFUSED,
    TIMEOUT,
    again,
    assert_books_balance,
    fail,
    merge,
    resolve,
    succeed,
)

pytestmark = pytest.mark.django_db

CODES = (TIMEOUT, DECLINED, REFUSED, "no_route")
COUNTED: tuple[type[models.Model], ...] = (
    Incident,
    Run,
    EventLink,
    AffectedRun,
    IncidentHour,
    SignatureAlias,
)


def rows_of(tenant: Tenant) -> dict[str, dict[Any, dict[str, Any]]]:
    """Every row and field, but for the versions, which only grow."""
    with bound(tenant.pk):
        return {
            model.__name__: {
                row["id"]: {name: value for name, value in row.items() if name != "version"}
                for row in model.objects.for_tenant(tenant).values()  # type: ignore[attr-defined]
            }
            for model in COUNTED
        }


def merged(target: Incident, *others: Incident) -> Undo:
    with bound(target.tenant_id) as now:
        ids = [other.pk for other in others]
        step = merging.merge(target, ids, by=ALICE, now=now).step
    if step is None:
        raise MergeRefused("They are one already.")
    return step


def take_back(step: Undo) -> Incident:
    with bound(step.tenant_id) as now:
        return undo.take_back(step, by=ALICE, now=now)


def fill(tenant: Tenant, random: Random) -> None:
    """Four kinds of failures of the same few runs."""
    bodies = [
        event(
            run_id=f"r{random.randrange(4)}",
            payload=failure(error_code=code, error_message=code),
        )
        for code in random.choices(CODES, k=8) + list(CODES)
    ]
    submit_all(tenant, bodies)
    digest_all()


@pytest.mark.parametrize("seed", range(3))
def test_a_merge_that_is_taken_back_leaves_exactly_the_rows_before(acme: Tenant, seed: int) -> None:
    random = Random(seed)
    fill(acme, random)
    n_taken_back = 0
    for n in range(10):
        n_taken_back += merges_and_takes_back(acme, random)
        fail(acme, random.choice(CODES), f"r{random.randrange(4)}")
        assert_books_balance(acme, failures=12 + n + 1)
    assert n_taken_back > 0


def merges_and_takes_back(tenant: Tenant, random: Random) -> bool:
    """And then merges or resolves for good, so that the next one moves what was merged or closed."""
    with bound(tenant.pk):
        incidents = list(Incident.objects.for_tenant(tenant).order_by("id"))
    target, *others = random.sample(incidents, k=random.randint(2, 3))
    before = rows_of(tenant)
    with suppress(MergeRefused, TransitionRefused):
        step = merged(target, *others)
        assert rows_of(tenant) != before
        take_back(step)
        assert rows_of(tenant) == before
        if random.random() < 0.5:
            merge(target, others[0])
        else:
            resolve(others[0])
        return True
    return False


def test_it_is_taken_back_once_both_timelines_say_so_and_nothing_is_kept(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    step = merged(target, other)
    take_back(step)
    take_back(step)
    assert journal_of(acme, target.pk) == ["detected", "merged", "undone"]
    assert journal_of(acme, other.pk) == ["detected", "merged_into", "undone"]
    with bound(acme.pk):
        assert not MergePart.objects.for_tenant(acme).exists()
    # its failures are its own again
    assert fail(acme, DECLINED, "r3").pk == other.pk
    assert_books_balance(acme, failures=3)


@pytest.mark.parametrize("since", ["a failure", "a recovery", "another merge", "a glance at it"])
def test_what_happened_since_is_said_and_nothing_is_moved(acme: Tenant, since: str) -> None:
    target, other = fail(acme, TIMEOUT, "r1", "r4"), fail(acme, DECLINED, "r2")
    third = fail(acme, REFUSED, "r3")
    step = merged(target, other)
    if since == "a failure":
        fail(acme, DECLINED, "r5")
    elif since == "a recovery":
        succeed(acme, "r2")
    elif since == "another merge":
        merge(third, target)
    else:
        with bound(acme.pk) as now:
            lifecycle.acknowledge(other, by=ALICE, now=now)
    before = rows_of(acme)
    says = "stays merged" if since == "a glance at it" else f"split {other} off"
    with pytest.raises(ChangedSince, match=says):
        take_back(step)
    assert rows_of(acme) == before


def test_what_is_done_to_the_target_since_does_not_hinder(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    step = merged(target, other)
    with bound(acme.pk) as now:
        lifecycle.acknowledge(target, by=ALICE, now=now)
    take_back(step)
    assert again(target).acknowledged_by == "alice"
    assert again(other).status == "detected"


def test_z_takes_a_merge_back(acme: Tenant, alice: User) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    before = rows_of(acme)
    client = signed_in(alice)
    page = client.post(f"/incidents/{target.pk}/merge/", {"incidents": str(other)}, follow=True)
    assert "Undo</button>" in page.content.decode()
    assert f"Undo merge of {target}" in client.get("/incidents/undo/steps/").content.decode()
    client.post("/incidents/undo/")
    assert rows_of(acme) == before


def test_the_api_takes_a_merge_back_or_says_why_not(acme: Tenant) -> None:
    target, other = fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2")
    before = rows_of(acme)
    api, path = Api(key_of(acme)), f"/api/v1/incidents/{target.pk}"
    assert api.post(f"{path}/merge", {"incidents": [str(other.pk)]}).status_code == 200
    assert api.post(f"{path}/undo", {}).status_code == 200
    assert rows_of(acme) == before
    assert api.post(f"{path}/merge", {"incidents": [str(other.pk)]}).status_code == 200
    fail(acme, DECLINED, "r3")
    refused = api.post(f"{path}/undo", {})
    assert refused.status_code == 409
    assert f"split {other} off instead" in refused.json()["detail"]


def test_what_a_merge_moved_is_forgotten_with_its_step(acme: Tenant, time_travel: Travel) -> None:
    merged(fail(acme, TIMEOUT, "r1"), fail(acme, DECLINED, "r2"))
    time_travel(hours=25)
    assert undo.forget_old() == 1
    with bound(acme.pk):
        assert not MergePart.objects.for_tenant(acme).exists()
