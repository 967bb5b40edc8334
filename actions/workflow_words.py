"""The only place that words a workflow: how it is, whether and how its runs are retried, what was set by whom."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from incidents.presentation.shapes import Pill
from safety.effective import Effective
from safety.ruletypes import RetryPolicy
from tenants.models import Workflow
from tenants.states import Idempotent

LATELY = timedelta(hours=1)
FAILING = Pill("open", "flame", "Failing")
TROUBLED = Pill("escalated", "triangle-alert", "Open incidents")
WELL = Pill("resolved", "circle-check", "Well")
HARMLESS = {
    Idempotent.YES: "harmless, as often as we like",
    Idempotent.KEY: "harmless with the key that we send",
    Idempotent.NO: "not declared harmless: a person decides",
}
MODES = {
    "off": "The rules say off",
    "shadow": "Written down, never sent",
    "approve": "A person approves first",
    "auto": "Without a person",
}


@dataclass(frozen=True)
class Retried:
    """Whether its runs are retried, and how."""

    headline: str
    says: str


def health(n_open: int, latest_at: datetime | None, *, now: datetime) -> Pill:
    """Failing while something open was seen within the hour."""
    if not n_open:
        return WELL
    return FAILING if latest_at is not None and now - latest_at < LATELY else TROUBLED


def retried(workflow: Workflow, in_force: Effective) -> Retried:
    """The first thing that stands in the way, or how it goes."""
    policy = in_force.retry
    if not workflow.retry_url:
        return Retried("Not retried", "it has no retry URL")
    if not policy.enabled or not policy.max_retries:
        return Retried("Not retried", "no rule allows it")
    if workflow.idempotent == Idempotent.NO:
        return Retried("A person decides", "repeating is not declared harmless")
    return Retried(MODES[in_force.mode], _policy(policy))


def settings(workflow: Workflow) -> Iterator[tuple[str, str]]:
    yield "Retry URL", workflow.retry_url or "none: its runs are not retried"
    yield "Status URL", workflow.status_url or "none: people decide about unknown outcomes"
    yield "Compensation URL", workflow.compensate_url or "none: a sent call is not undone"
    yield "Repeating a run is", HARMLESS[Idempotent(workflow.idempotent)]
    yield "Calls under way at once", f"at most {workflow.max_in_flight:,}"
    quiet = workflow.quiet_minutes
    yield "Resolves itself", f"after {quiet:,} minutes without a failure" if quiet else "never"


def sources(in_force: Effective) -> Iterator[tuple[str, str]]:
    """Each number of the retry policy, with who set it."""
    yield "mode", f"{in_force.mode}, set by {in_force.values['mode'].source}"
    policy, named = in_force.retry, in_force.retry_sources
    for name, value in vars(policy).items():
        said = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
        yield name.replace("_", " "), f"{said}, set by {named[name]}"


def _policy(policy: RetryPolicy) -> str:
    times = "once" if policy.max_retries == 1 else f"up to {policy.max_retries} times"
    return f"{times}, first after {policy.initial_delay_ms / 1000:g} s"
