"""The only place that tells an incident from beginning to end: for a page that is printed, and as Markdown."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from actions import presentation
from actions.models import Action
from actions.presentation import ActionLine
from incidents.models import Decision, Incident
from incidents.presentation import details, timeline
from incidents.presentation.shapes import Decided, Moment
from tenants.models import JournalEntry

LINES, DECISIONS, ACTIONS = 500, 50, 200  # the rest is in the journal
# What would be a heading, a list, a link, code or HTML in a text that only quotes it.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|!])")


@dataclass(frozen=True)
class PostMortem:
    """Oldest first. `is_whole` is False where there was more to tell than fits."""

    number: str
    title: str
    url: str
    facts: tuple[tuple[str, str], ...]
    moments: tuple[Moment, ...]
    decisions: tuple[Decided, ...]
    actions: tuple[ActionLine, ...]
    is_whole: bool


def told(incident: Incident) -> PostMortem:
    mine = {"subject_type": "incident", "subject_id": str(incident.pk)}
    lines = JournalEntry.objects.for_tenant(incident.tenant_id).filter(**mine)
    decisions = Decision.objects.for_tenant(incident.tenant_id).filter(incident=incident)
    shown_here = Incident.objects.for_tenant(incident.tenant_id).with_members(incident.pk)
    actions = Action.objects.for_tenant(incident.tenant_id).shown_on(shown_here).order_by("id")
    said = list(lines.order_by("at", "id")[: LINES + 1])
    done = list(actions.for_list().with_attempts()[: ACTIONS + 1])
    return PostMortem(
        number=str(incident),
        title=incident.title,
        url=incident.get_absolute_url(),
        facts=tuple(_facts(incident)),
        moments=tuple(timeline.moment(line) for line in said[:LINES]),
        decisions=tuple(details.decided(one) for one in decisions.order_by("id")[:DECISIONS]),
        actions=presentation.lines(done[:ACTIONS], may_act=False),
        is_whole=len(said) <= LINES and len(done) <= ACTIONS,
    )


def as_markdown(found: PostMortem, *, notes: Iterable[tuple[datetime, str]] = ()) -> str:
    """What people take along; notes stand as they were written."""
    return "\n".join(_written(found, dict(notes))) + "\n"


def notes_of(incident: Incident) -> list[tuple[datetime, str]]:
    lines = JournalEntry.objects.for_tenant(incident.tenant_id).filter(
        subject_type="incident", subject_id=str(incident.pk), verb="commented"
    )
    return [(line.at, str(line.detail.get("note", ""))) for line in lines.order_by("at")[:LINES]]


def _facts(incident: Incident) -> Iterator[tuple[str, str]]:
    yield "State", incident.get_status_display()
    yield "Severity", incident.severity
    yield "Workflow", incident.workflow.slug
    if incident.vendor:
        yield "Vendor", incident.vendor.name
    yield "Category", incident.category.replace("_", " ")
    yield "First seen", _moment(incident.first_seen_at)
    yield "Last seen", _moment(incident.last_seen_at)
    if incident.resolved_at:
        yield "Closed", f"{_moment(incident.resolved_at)} {incident.resolved_reason}".strip()
    yield "Events", f"{incident.event_count:,}"
    yield "Runs", f"{incident.affected_runs:,} hurt, {incident.unrecovered_runs:,} not recovered"


def _written(found: PostMortem, notes: dict[datetime, str]) -> Iterator[str]:
    yield f"# {found.number} {_plain(found.title)}"
    yield ""
    yield from (f"- {name}: {_plain(value)}" for name, value in found.facts)
    yield from ("", "## Timeline (UTC)", "")
    for moment in found.moments:
        by = f" by {_plain(moment.actor)}" if moment.actor else ""
        detail = f": {_plain(moment.detail)}" if moment.detail else ""
        yield f"- {_moment(moment.at)} **{_plain(moment.text)}**{by}{detail}"
        yield from (f"  > {line}" for line in notes.get(moment.at, "").splitlines())
    yield from ("", "## Decisions", "")
    for decided in found.decisions:
        because = _plain(" ".join(decided.reasons))
        yield f"- {_moment(decided.at)} **{_plain(decided.headline)}** ({decided.how}): {because}"
    yield from ("", "## Actions", "")
    for line in found.actions:
        about = f" of run {_plain(line.run_id)}" if line.run_id else ""
        n_calls = len(line.attempts)
        calls = f", {n_calls} call{'s' if n_calls != 1 else ''}" if n_calls else ""
        yield f"- {_moment(line.moved_at)} **{_plain(line.title)}**{about}: {line.pill.word}{calls}"
    if not found.is_whole:
        yield from ("", "There is more in the journal.")


def _plain(text: str) -> str:
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
