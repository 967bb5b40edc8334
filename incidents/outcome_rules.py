"""The only place that reads, writes and tries a tenant's own rules about what an event reports."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction

from events.models import Event
from incidents.analysis.facts import text_of
from incidents.analysis.outcome import Matcher, faults, outcome
from incidents.models import OutcomeRule
from incidents.states import Outcome
from tenants import journal
from tenants.journal import Actor

TRIED_EVENTS = 200
_READ_AT_ONCE = 20  # payloads may have a megabyte each
_CONDITIONS = ("event_type", "status", "error_code", "payload_path", "payload_value")
_SAID = ("position", *_CONDITIONS, "outcome", "is_enabled")


@dataclass(frozen=True)
class Differing:
    """An event that would be read otherwise."""

    event_type: str
    error_code: str
    status: str
    received_at: datetime
    before: Outcome
    after: Outcome


@dataclass(frozen=True)
class Trial:
    """What a rule would have made of the tenant's last events, newest first."""

    n_events: int
    changed: list[Differing]

    @property
    def counts(self) -> list[tuple[Outcome, Outcome, int]]:
        """(before, after, how many), the most first."""
        pairs = Counter((each.before, each.after) for each in self.changed)
        return [(before, after, n) for (before, after), n in pairs.most_common()]


def matchers(tenant_id: UUID) -> list[Matcher]:
    """The rules in force, in the order in which they are asked."""
    mine = OutcomeRule.objects.for_tenant(tenant_id).filter(is_enabled=True)
    return [matcher_of(rule) for rule in mine.order_by("position", "id")]


def matcher_of(rule: OutcomeRule) -> Matcher:
    return Matcher(Outcome(rule.outcome), **{name: getattr(rule, name) for name in _CONDITIONS})


def save(rule: OutcomeRule, *, by: Actor, now: datetime) -> OutcomeRule:
    """Store what the rule says now, new or changed. Raises ValidationError with a message a field.

    A rule that says nothing new is left as it is, without a line in the journal.
    """
    with transaction.atomic():
        mine = OutcomeRule.objects.for_tenant(rule.tenant_id)
        stored: OutcomeRule | None = mine.select_for_update().filter(pk=rule.pk).first()
        rule.created_by = stored.created_by if stored else by.label
        rule.created_at = stored.created_at if stored else now
        _check(rule)
        changes = _changes(stored, rule)
        if stored is not None and not changes:
            return stored
        rule.save(force_insert=stored is None)
        verb = "outcome_rule_changed" if stored else "outcome_rule_added"
        journal.record(
            rule, verb, by=by, at=now, rule=str(rule), changes=changes, reason=rule.reason
        )
    return rule


def trial(rule: OutcomeRule) -> Trial:
    """What the last events are read as now, and what they would be with this rule saved.

    Both are read by the rules of today: what the digest made of an event back then is not asked.
    """
    stored = list(OutcomeRule.objects.for_tenant(rule.tenant_id))
    now_asked = _in_order(stored)
    then_asked = _in_order([*(each for each in stored if each.pk != rule.pk), rule])
    n_events, changed = 0, []
    for event in _last_events(rule.tenant_id):
        n_events += 1
        before, after = _read(event, now_asked), _read(event, then_asked)
        if before is not after:
            changed.append(_differing(event, before, after))
    return Trial(n_events, changed)


def _check(rule: OutcomeRule) -> None:
    rule.clean_fields(exclude={"id", "tenant"})
    if wrong := faults(matcher_of(rule)):
        raise ValidationError({name: [text] for name, text in wrong.items()})


def _changes(stored: OutcomeRule | None, rule: OutcomeRule) -> dict[str, list[Any]]:
    """Field → [before, after], as every journal line of a changed row says it."""
    pairs = {name: [getattr(stored, name, None), getattr(rule, name)] for name in _SAID}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _in_order(rules: Iterable[OutcomeRule]) -> list[Matcher]:
    """As `matchers` reads them. A new rule has the newest id: it comes last of its position."""
    asked = sorted(rules, key=lambda rule: (rule.position, rule.pk))
    return [matcher_of(rule) for rule in asked if rule.is_enabled]


def _last_events(tenant_id: UUID) -> Iterator[Event]:
    mine = Event.objects.for_tenant(tenant_id)
    ids = list(mine.order_by("-id").values_list("pk", flat=True)[:TRIED_EVENTS])
    for start in range(0, len(ids), _READ_AT_ONCE):
        chunk = mine.filter(pk__in=ids[start : start + _READ_AT_ONCE]).order_by("-id")
        yield from chunk.only("event_type", "payload", "received_at")


def _read(event: Event, asked: list[Matcher]) -> Outcome:
    return outcome(event_type=event.event_type, payload=event.payload, matchers=asked)


def _differing(event: Event, before: Outcome, after: Outcome) -> Differing:
    return Differing(
        event_type=event.event_type,
        error_code=text_of(event.payload.get("error_code")),
        status=text_of(event.payload.get("status")),
        received_at=event.received_at,
        before=before,
        after=after,
    )
