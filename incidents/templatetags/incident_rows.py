"""The only template tags of incidents: a row as every list writes it, kept for as long as it says the same, and what
verbs are about to make of one."""

from functools import cache, lru_cache

from django import template
from django.template import Context
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from incidents.presentation.rows import BECOMING, Becoming
from incidents.presentation.shapes import Row
from tenants.templatetags.console import ago, left

register = template.Library()

KEPT = 2000  # rows of 3 kB


@register.simple_tag(takes_context=True)
def incident_row(context: Context, row: Row, *, oob: bool = False) -> SafeString:
    """The row; `oob` swaps it into the page wherever it stands."""
    due = left(context, row.next.at) if row.next.at else ""
    return _written(row, ago(context, row.last_seen_at), due, bool(context.get("picks")), oob)


@register.simple_tag(takes_context=True)
def becoming(context: Context) -> SafeString:
    """What scripts show before the server has answered, of the verbs that this person may do."""
    caller = context["request"].caller
    return _written_ahead(tuple(one for one in BECOMING if caller.may(one.verb)))


@cache
def _written_ahead(becoming: tuple[Becoming, ...]) -> SafeString:
    return mark_safe(render_to_string("incidents/_becoming.html", {"becoming": becoming}))  # noqa: S308  # ours


@lru_cache(maxsize=KEPT)
def _written(row: Row, seen: str, due: str, picks: bool, oob: bool) -> SafeString:
    """Whatever a row says is asked for here, so that one which says something else is another row."""
    said = {"row": row, "seen": seen, "due": due, "picks": picks, "oob": oob}
    return mark_safe(render_to_string("incidents/_row.html", said))  # noqa: S308  # a template of ours
