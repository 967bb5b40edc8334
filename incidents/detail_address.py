"""The only place that reads what an incident page's address says: how far back it looks, which part of the story."""

from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlencode, urlsplit

from django.http import HttpRequest

from awfdrs_site.lib.problems import Problem
from incidents import evidence
from incidents.presentation.figures import Span

SPANS = {"24h": evidence.DAY_HOURS, "7d": evidence.WEEK_HOURS}
# Part of the timeline -> the verbs of the journal that belong to it; without a part all of them are told.
PARTS: dict[str, tuple[str, ...]] = {
    "decisions": (
        *("decided", "category_confirmed", "fix_confirmed", "fix_denied"),
        *("asked", "awaits_approval", "awaiting_approval"),
        *("approved", "rejected", "expired", "voided"),
    ),
    "actions": (
        *("planned", "runs_wait", "parked", "canary", "released"),
        *("started", "attempted", "completed", "failed", "unknown", "probed", "skipped"),
        *("late_result", "recovered", "verified", "not_verified"),
        *("people_told", "ticket_opened", "ticket_closed"),
    ),
    "notes": ("commented",),
}


@dataclass(frozen=True)
class Asked:
    """`span`: 24h or 7d, or as far back as there is something; `timeline`: a part of it, or all."""

    span: str = ""
    timeline: str = ""

    def parts(self) -> tuple[Span, ...]:
        return tuple(
            Span(name.capitalize() or "All", self._url(timeline=name), name == self.timeline)
            for name in ("", *PARTS)
        )

    def spans(self, shown: str) -> tuple[Span, ...]:
        return tuple(Span(name, self._url(span=name), name == shown) for name in SPANS)

    def _url(self, **changes: str) -> str:
        said = replace(self, **changes)
        given = {"span": said.span, "timeline": said.timeline}
        query = urlencode({name: value for name, value in given.items() if value})
        return f"?{query}#h-timeline" if "timeline" in changes else f"?{query}"


def read(request: HttpRequest) -> Asked:
    """As the address says, which an answer to a verb keeps."""
    page = parse_qs(urlsplit(request.headers.get("HX-Current-URL", "")).query)
    said = {}
    for name, known in (("span", SPANS.keys()), ("timeline", PARTS.keys())):
        asked = request.GET.get(name, "")
        if asked and asked not in known:
            raise Problem("validation_failed", f"Unknown filter: {name}.")
        kept = page.get(name, [""])[-1]
        said[name] = asked or (kept if kept in known else "")
    return Asked(**said)
