"""The only place that words runs: what state they are in, what became of them, how many of an incident's they are."""

from collections.abc import Collection
from datetime import timedelta
from urllib.parse import urlencode

from django.urls import reverse

from incidents.evidence import Tally
from incidents.models import Incident, Run
from incidents.presentation.figures import Count, Share
from incidents.presentation.shapes import NextStep, Pill, RunLine, Verb
from incidents.states import UNRECOVERED, RunState

PILLS = {
    RunState.RUNNING: Pill("acknowledged", "activity", "Running"),
    RunState.SUCCEEDED: Pill("recovering", "check", "Succeeded"),
    RunState.FAILED: Pill("open", "x", "Failed"),
    RunState.RETRY_SCHEDULED: Pill("acknowledged", "clock", "Retry planned"),
    RunState.RECOVERED_AUTO: Pill("recovering", "check", "Recovered alone"),
    RunState.RECOVERED_BY_ACTION: Pill("recovering", "rotate-cw", "Recovered by retry"),
    RunState.WAIVED: Pill("snoozed", "minus", "Waived"),
}
STEPS = {
    RunState.RUNNING: NextStep(
        "acknowledged", "activity", "Under way", detail="It has reported no failure and no end."
    ),
    RunState.SUCCEEDED: NextStep("resolved", "circle-check", "Succeeded"),
    RunState.FAILED: NextStep(
        "open",
        "circle-alert",
        "Not recovered",
        detail="It waits for a success that its workflow reports, a retry, or a person.",
    ),
    RunState.RETRY_SCHEDULED: NextStep(
        "recovering",
        "rotate-cw",
        "A retry is planned",
        detail="It counts as recovered once its workflow reports success.",
    ),
    RunState.RECOVERED_AUTO: NextStep(
        "resolved", "circle-check", "Recovered alone", detail="It succeeded without our help."
    ),
    RunState.RECOVERED_BY_ACTION: NextStep(
        "resolved", "circle-check", "Recovered by a retry", detail="It succeeded after our retry."
    ),
    RunState.WAIVED: NextStep("snoozed", "minus", "Waived"),
}
SECONDS, MINUTES, HOURS = 120, 7200, 172_800  # up to here durations are told in that unit


def line(run: Run) -> RunLine:
    return RunLine(
        id=run.pk,
        url=address(run),
        run_id=run.run_id,
        workflow=run.workflow.slug,
        incident=str(run.incident) if run.incident else "",
        title=run.incident.title if run.incident else "",
        pill=PILLS[RunState(run.state)],
        says=says(run),
        failed_at=run.first_failed_at,
        recovered_at=run.recovered_at,
    )


def address(run: Run) -> str:
    return reverse("runs:detail", args=[run.pk])


def says(run: Run) -> str:
    """What became of it: how long it took, or why it was given up."""
    if run.state == RunState.WAIVED:
        return run.recovery_note
    if run.recovered_at and run.first_failed_at:
        return f"after {lasted(run.recovered_at - run.first_failed_at)}"
    return ""


def step(run: Run) -> NextStep:
    worded = STEPS[RunState(run.state)]
    if run.state == RunState.WAIVED:
        return NextStep(worded.kind, worded.icon, worded.text, detail=run.recovery_note)
    return worded


def verbs(run: Run, *, allowed: Collection[str]) -> tuple[Verb, ...]:
    """What this person may do about it here."""
    if run.state not in UNRECOVERED or "waive" not in allowed:
        return ()
    hint = "Give it up: its incidents no longer wait for it."
    return (Verb("waive", "Waive", reverse("runs:waive", args=[run.pk]), "reason", hint),)


def counts(incident: Incident, tally: Tally) -> tuple[Count, ...]:
    """ "1,284 affected · 1,279 recovered · 5 left": nothing when its events name no run."""
    if not tally.affected:
        return ()
    said = (
        (tally.affected, "affected", ""),
        (tally.recovered, "recovered", "recovered"),
        (tally.waived, "waived", RunState.WAIVED),
        (tally.unrecovered, "left", "left"),
    )
    return tuple(
        Count(n, word, listed(incident, state))
        for n, word, state in said
        if n or word in ("affected", "recovered", "left")
    )


def shares(incident: Incident, tally: Tally) -> tuple[Share, ...]:
    """The parts of the meter, in reading order; a fate that no run had is left out."""
    fates = (
        ("alone", "recovered alone", tally.recovered_auto, "alone"),
        ("retried", "recovered by retry", tally.recovered_by_action, RunState.RECOVERED_BY_ACTION),
        ("waived", "waived", tally.waived, RunState.WAIVED),
        ("scheduled", "with a retry planned", tally.retry_scheduled, RunState.RETRY_SCHEDULED),
        ("failed", "failed", tally.unrecovered - tally.retry_scheduled, RunState.FAILED),
    )
    total, x, found = max(1, tally.affected), 0.0, []
    for kind, word, n, state in fates:
        if n > 0:
            width = round(100 * n / total, 2)
            found.append(Share(kind, word, n, listed(incident, state), round(x, 2), width))
            x += width
    return tuple(found)


def listed(incident: Incident, state: str = "") -> str:
    """Where the incident's runs are listed."""
    query = {"incident": str(incident)} | ({"state": state} if state else {})
    return f"{reverse('runs:list')}?{urlencode(query)}"


def lasted(time: timedelta) -> str:
    """A duration in one unit."""
    seconds = max(0, int(time.total_seconds()))
    if seconds < SECONDS:
        return f"{seconds} s"
    if seconds < MINUTES:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < HOURS else f"{seconds // 86400} days"
