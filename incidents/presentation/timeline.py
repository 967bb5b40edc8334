"""The only place that words what happened: journal lines, and the events of a run."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

from events.models import Event
from incidents import notes
from incidents.analysis.facts import facts_from
from incidents.presentation.runs import lasted
from incidents.presentation.shapes import Day, Moment
from incidents.states import Outcome
from tenants.models import JournalEntry

# verb -> (mark, icon, words); a verb that is not here is shown as it is written.
WORDS: dict[str, tuple[str, str, str]] = {
    "detected": ("bad", "flame", "Incident opened"),
    "regressed": ("bad", "undo-2", "Came back"),
    "reopened": ("bad", "undo-2", "Reopened"),
    "decided": ("info", "list", "Decision made"),
    "analyzing": ("info", "activity", "Recovery under way"),
    "acknowledged": ("info", "eye", "Acknowledged"),
    "assigned": ("info", "user", "Assigned"),
    "unassigned": ("", "user", "No longer assigned"),
    "snoozed": ("", "moon", "Snoozed"),
    "woken": ("human", "moon", "Awake again"),
    "category_confirmed": ("info", "list", "Category confirmed"),
    "fix_confirmed": ("good", "check", "What was chosen fixed it"),
    "fix_denied": ("bad", "circle-alert", "What was chosen did not fix it"),
    "commented": ("info", "list", "Note"),
    "step_done": ("good", "check", "Step done"),
    "step_not_done": ("", "minus", "Step not done after all"),
    "undone": ("", "undo-2", "Taken back"),
    "acknowledgement_ended": ("human", "hourglass", "Acknowledgement ended"),
    "people_told": ("human", "arrow-up", "People told"),
    "escalated": ("bad", "arrow-up", "Escalated"),
    "resolved": ("good", "check", "Resolved"),
    "ignored": ("", "eye-off", "Ignored"),
    "storm_opened": ("bad", "zap", "Storm began"),
    "joined_storm": ("info", "zap", "Part of a storm"),
    "runs_wait": ("human", "hourglass", "Further runs wait for a person"),
    "merged": ("info", "link", "Others merged into it"),
    "merged_into": ("info", "link", "Merged"),
    "split": ("info", "undo-2", "Split"),
    "split_off": ("bad", "undo-2", "Split off, open again"),
    "run_waived": ("", "minus", "Run given up"),
    "waived": ("", "minus", "Waived"),
    "recovered": ("good", "check", "Run recovered"),
    "verified": ("good", "shield-check", "Recovery verified"),
    "not_verified": ("bad", "circle-alert", "Recovery not verified"),
    "planned": ("info", "clock", "Retry planned"),
    "asked": ("human", "shield-alert", "Asked for approval"),
    "awaits_approval": ("human", "shield-alert", "Waits for approval"),
    "rejected": ("human", "ban", "Rejected"),
    "expired": ("bad", "hourglass", "Expired"),
    "voided": ("human", "undo-2", "Edited since: void"),
    "awaiting_approval": ("human", "shield-alert", "Approval requested"),
    "approved": ("human", "shield-check", "Approved"),
    "parked": ("human", "hourglass", "Held back"),
    "canary": ("human", "shield-check", "Let past a kill switch, once"),
    "released": ("info", "rotate-cw", "Released"),
    "started": ("info", "rotate-cw", "Retry sent"),
    "attempted": ("info", "rotate-cw", "Retry sent"),
    "completed": ("good", "check", "Retry accepted"),
    "failed": ("bad", "x", "Retry failed"),
    "unknown": ("bad", "circle-alert", "Outcome unknown"),
    "probed": ("info", "search", "Workflow asked what became of the call"),
    "skipped": ("", "minus", "Skipped"),
    "breaker_opened": ("bad", "plug", "Circuit breaker opened"),
    "breaker_half_opened": ("info", "plug", "Circuit breaker lets probes through"),
    "breaker_closed": ("good", "plug", "Circuit breaker closed"),
    "breaker_forced": ("human", "plug", "Circuit breaker held by hand"),
    "breaker_freed": ("human", "plug", "Circuit breaker handed back"),
}
RETRY = "Retry"
NOUNS = {"escalate": "Escalation", "notify": "Notification", "rollback": "Roll-back"}
REPORTED: dict[str, tuple[str, str, str]] = {
    Outcome.FAILURE: ("bad", "x", "Failed"),
    Outcome.SUCCESS: ("good", "check", "Succeeded"),
    Outcome.NEUTRAL: ("", "info", "Reported"),
}
SAID_CHARACTERS = 300  # of a message; the payload has the whole
LATE = timedelta(minutes=1)  # heard of so much later, the timeline says it
SPOKEN = ("reason", "reasons", "note", "error", "detail")  # shown as sentences, in this order
SILENT = {
    "before",
    "after",
    "choice",
    "incident",
    "decision",
    "action",
    "approval",
    "previous",
    "version",
}  # ids, states


def days(entries: Iterable[JournalEntry], *, now: datetime) -> tuple[Day, ...]:
    """The lines as given (newest first), by UTC day."""
    return by_day(map(moment, entries), now=now)


def by_day(moments: Iterable[Moment], *, now: datetime) -> tuple[Day, ...]:
    today = now.astimezone(UTC).date()
    return tuple(
        Day(_day_label(day, today), tuple(those))
        for day, those in groupby(moments, key=lambda moment: moment.at.astimezone(UTC).date())
    )


def moment(entry: JournalEntry) -> Moment:
    mark, icon, text = WORDS.get(entry.verb, ("", "info", _plain(entry.verb)))
    text, detail = _of_kind(text, entry.detail)
    is_note = entry.verb == "commented"
    return Moment(
        mark=mark,
        icon=icon,
        text=text,
        detail="" if is_note else _sentence(detail),
        actor="" if entry.actor_kind == "system" else entry.actor_label,
        at=entry.at,
        note=notes.as_html(str(entry.detail.get("note", ""))) if is_note else "",
    )


def report(event: Event, *, outcome: str, incident: str) -> Moment:
    """What an event said of its run; `incident` is the number of the one that counts it."""
    mark, icon, text = REPORTED[outcome]
    facts = facts_from(event.event_type, event.payload, event.workflow.slug)
    late = event.received_at - event.occurred_at
    said = [
        event.event_type,
        facts.error_code,
        facts.error_message[:SAID_CHARACTERS],
        incident and f"counted on {incident}",
        f"heard of {lasted(late)} later" if late >= LATE else "",
    ]
    return Moment(
        mark=mark,
        icon=icon,
        text=text,
        detail=" · ".join(part for part in said if part),
        actor="",
        at=event.occurred_at,
    )


def _of_kind(text: str, detail: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Most actions are retries; what is none is called what it is."""
    if not text.startswith(RETRY):
        return text, detail
    kind = detail.get("action_type", "retry")
    said = text.replace(RETRY, NOUNS.get(kind) or _plain(kind), 1)
    return said, {name: value for name, value in detail.items() if name != "action_type"}


def _sentence(detail: dict[str, Any]) -> str:
    spoken = [_spoken(detail[name]) for name in SPOKEN if detail.get(name)]
    others = [
        f"{_plain(name).lower()} {value}"
        for name, value in detail.items()
        if name not in SPOKEN and name not in SILENT and _is_short(value)
    ]
    return " · ".join([*spoken, *others])


def _spoken(value: Any) -> str:
    return " · ".join(map(str, value)) if isinstance(value, list) else str(value)


def _is_short(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and 0 < len(str(value)) <= 80


def _plain(word: str) -> str:
    return word.replace("_", " ").replace("-", " ").capitalize()


def _day_label(day: date, today: date) -> str:
    if day == today:
        return "Today"
    return day.strftime("%A, %d %B %Y")
