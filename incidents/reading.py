"""The pure first step of the digest: what one stored event says, before any row is touched."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from events.models import Event
from incidents import signature, templates
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
    signature: Signature | None
    counted_as: str

    @property
    def run_key(self) -> tuple[str, str] | None:
        """(workflow id, run id); a failure without a run is its own run."""
        if self.event.run_ref:
            return str(self.event.workflow_id), self.event.run_ref
        if self.outcome is Outcome.FAILURE:
            return str(self.event.workflow_id), str(self.event.id)
        return None

    @property
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
    grouped_by = None
    if result is Outcome.FAILURE:
        masked = signature.normalise(facts.error_message)
        grouped_by = signature.fingerprint(
            workflow=facts.workflow,
            event_type=facts.event_type,
            vendor=facts.vendor,
            error_code=facts.error_code,
            template=templates.key_of(masked) if masked else "",
            step=facts.step,
        )
    return Reading(event, result, facts, grouped_by, grouped_by.hash if grouped_by else "")


def failures(readings: Iterable[Reading]) -> dict[str, list[Reading]]:
    """Signature that counts them → the readings, in order of arrival."""
    groups: dict[str, list[Reading]] = {}
    for reading in readings:
        if reading.counted_as:
            groups.setdefault(reading.counted_as, []).append(reading)
    return groups
