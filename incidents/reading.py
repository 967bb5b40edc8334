"""The pure first step of the digest: what one stored event says, before any row is asked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from events.models import Event
from incidents import signature
from incidents.analysis.facts import Facts, facts_from
from incidents.analysis.outcome import Matcher, Outcome, opens_run, outcome
from incidents.ledger import Kind, RunReport
from incidents.signature import Signature


@dataclass(frozen=True)
class Reading:
    """An event with its outcome, and for a failure what it is grouped by.

    `counted_as` is the signature whose incident counts it: another one than its own after a merge,
    and none when it is no failure.
    """

    event: Event
    outcome: Outcome
    facts: Facts
    signature: Signature | None = None
    counted_as: str = ""

    @cached_property
    def text(self) -> str:
        """The message of a failure with its values masked; empty when there is none."""
        is_failure = self.outcome is Outcome.FAILURE
        return signature.normalise(self.facts.error_message) if is_failure else ""

    @cached_property
    def run_key(self) -> tuple[str, str] | None:
        """(workflow id, run id); a failure without a run is its own run."""
        if self.event.run_ref:
            return str(self.event.workflow_id), self.event.run_ref
        if self.outcome is Outcome.FAILURE:
            return str(self.event.workflow_id), str(self.event.id)
        return None

    @cached_property
    def report(self) -> RunReport | None:
        """What it says of its run; None when it says nothing."""
        kinds: dict[Outcome, Kind] = {Outcome.FAILURE: "failure", Outcome.SUCCESS: "success"}
        kind = kinds.get(self.outcome)
        if kind is None and opens_run(self.event.event_type):
            kind = "started"
        if kind is None or self.run_key is None:
            return None
        return RunReport(self.event.id, kind, self.event.occurred_at)


def read(event: Event, matchers: Sequence[Matcher] = ()) -> Reading:
    """Never raises on any payload. `matchers` are the tenant's own, asked first."""
    result = outcome(event_type=event.event_type, payload=event.payload, matchers=matchers)
    facts = facts_from(event.event_type, event.payload, event.workflow.slug)
    return Reading(event, result, facts)


def signed(reading: Reading, *, template: str) -> Reading:
    """The reading of a failure with what it is grouped by; `template` is what its text follows."""
    facts = reading.facts
    grouped_by = signature.fingerprint(
        workflow=facts.workflow,
        event_type=facts.event_type,
        vendor=facts.vendor,
        error_code=facts.error_code,
        template=template,
        step=facts.step,
    )
    return replace(reading, signature=grouped_by, counted_as=grouped_by.hash)


def failures(readings: Iterable[Reading]) -> dict[str, list[Reading]]:
    """Signature that counts them → the readings, in order of arrival."""
    groups: dict[str, list[Reading]] = {}
    for reading in readings:
        if reading.counted_as:
            groups.setdefault(reading.counted_as, []).append(reading)
    return groups
