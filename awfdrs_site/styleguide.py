"""The living styleguide, for staff: every component, from the partials that the pages use."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from awfdrs_site.lib import clock
from incidents.presentation.figures import Bar, Chart, UpTo
from incidents.presentation.shapes import Ledger, NextStep, Pill, Row, Tab

PILLS = (
    Pill("human", "shield-alert", "Needs approval"),
    Pill("open", "flame", "Open"),
    Pill("acknowledged", "eye", "Acknowledged"),
    Pill("recovering", "rotate-cw", "Recovering"),
    Pill("escalated", "arrow-up", "Escalated"),
    Pill("resolved", "circle-check", "Resolved"),
)
SEVERITIES = ("critical", "high", "medium", "low")
SURFACES = ("sunken", "ground", "surface", "raised", "hover", "cursor", "current")
INKS = ("ink", "ink-soft", "ink-faint", "accent", "human", "good", "info", "critical", "high")
_HEIGHTS = (1, 2, 2, 4, 3, 2, 5, 7, 6, 4, 3, 2, 2, 3, 5, 8, 6, 4, 9, 12, 15, 18, 21, 16)


class Controls(forms.Form):
    """One of each control; the second of them is wrong."""

    name = forms.CharField(help_text="What people will call it.", initial="Payments, high and up")
    minutes = forms.IntegerField(label="Minutes", min_value=1)
    ends = forms.ChoiceField(
        label="For how long?", choices=[("15", "15 minutes"), ("60", "1 hour")]
    )
    reason = forms.CharField(label="Why?", widget=forms.Textarea(attrs={"rows": 2}), required=False)


@dataclass(frozen=True)
class Line:
    """A toast as the page shows it."""

    level_tag: str
    text: str

    def __str__(self) -> str:
        return self.text


@require_safe
def styleguide(request: HttpRequest) -> HttpResponse:
    if not request.user.is_staff:
        raise PermissionDenied
    now = clock.now()
    wrong = Controls({"name": "Payments, high and up", "minutes": "0", "ends": "15"})
    context = {
        "pills": PILLS,
        "severities": SEVERITIES,
        "surfaces": SURFACES,
        "inks": INKS,
        "rows": _rows(now),
        "tabs": _tabs(),
        "chart": _chart(),
        "form": Controls(),
        "wrong": wrong,
        "messages": (Line("success", "INC-7 resolved"), Line("error", "That was refused.")),
        "now": now,
    }
    return render(request, "styleguide/page.html", context)


def _chart() -> Chart:
    bars = tuple(
        Bar(x * 4, 22 - height, height, x > 20, f"{height} at {x}:00")
        for x, height in enumerate(_HEIGHTS)
    )
    return Chart(
        "24 hours",
        len(bars) * 4,
        bars,
        max(_HEIGHTS),
        sum(_HEIGHTS),
        f"{sum(_HEIGHTS)} events in 24 hours",
        ("14:00", "20:00", "02:00", "08:00"),
    )


def _tabs() -> tuple[Tab, ...]:
    said = (("Needs attention", 14), ("Mine", 2), ("All open", 31), ("Resolved", None))
    return tuple(
        Tab(f"guide-{at}", label, "#", None if n is None else UpTo(n), at == 0)
        for at, (label, n) in enumerate(said)
    )


def _rows(now: datetime) -> tuple[Row, ...]:
    said = (
        ("Stripe capture times out after 30 s", "critical", "Failover to Adyen waits for a yes"),
        ("Refund ledger write rejected: duplicate idempotency key", "high", "Kill switch on"),
        ("429 Too Many Requests from SendGrid", "medium", "No matching rule"),
        ("Okta SCIM push returns 503", "low", "Retry 3 of 5"),
    )
    return tuple(
        Row(
            id=UUID(int=at + 1),
            url="#",
            number=f"INC-{at + 1}",
            title=title,
            severity=severity,
            workflow="settlement.capture",
            vendor="stripe",
            pill=PILLS[at],
            next=NextStep(PILLS[at].kind, PILLS[at].icon, text),
            ledger=Ledger(1284, 300 * at),
            event_count=1284 // (at + 1),
            last_seen_at=now - timedelta(minutes=2 + 7 * at),
            assignee=("Dana Kovac", "", "Rui Mendes", "Omar Bashir")[at],
            version=1,
            chart=_chart(),
            is_gone=at == 3,
        )
        for at, (title, severity, text) in enumerate(said)
    )
