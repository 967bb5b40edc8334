"""The only template tags of the console: icons, times, key caps, avatars. No query, no decision.

What says the same wherever it stands is written once and kept: a list has hundreds of icons.
"""

import re
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any
from zlib import crc32

from django import template
from django.template import Context
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html, format_html_join, json_script
from django.utils.safestring import SafeString, mark_safe

from awfdrs_site.lib import assets, keymap
from tenants import preferences
from tenants.access import CONFIGURE, TRIAGE
from tenants.states import Density

register = template.Library()

MINUTE, HOUR, DAY = 60, 3600, 86400
AVATAR_HUES = 6
THEMES = ("light", "dark")
_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


@register.simple_tag
def asset(name: str) -> str:
    return assets.url(name)


@register.simple_tag
def sprite() -> str:
    return static("vendor/icons.svg")


@register.simple_tag
@cache
def icon(name: str, classes: str = "icon") -> SafeString:
    """An icon of the sprite. It is decoration: the word beside it carries the meaning."""
    return format_html(
        '<svg class="{}" aria-hidden="true"><use href="{}#{}"/></svg>',
        classes,
        static("vendor/icons.svg"),
        name,
    )


@register.simple_tag
@cache
def severity(value: str) -> SafeString:
    return format_html(
        '<svg class="icon severity severity-{}" role="img" aria-label="{}">'
        '<use href="{}#severity-{}"/></svg>',
        value,
        value.capitalize(),
        static("vendor/icons.svg"),
        value,
    )


@register.simple_tag
@cache
def key(does: str) -> SafeString:
    """The key cap of a verb."""
    cap = keymap.first_key(does)
    return format_html('<kbd aria-hidden="true">{}</kbd>', cap) if cap else mark_safe("")


@register.simple_tag
@cache
def key_sheet() -> SafeString:
    """Every key, as the sheet shows them."""
    return render_to_string("_keys.html", {"groups": keymap.groups()})


@register.simple_tag(takes_context=True)
def commands(context: Context) -> SafeString:
    """Of the command palette, those that this person may give."""
    caller = getattr(context.get("request"), "caller", None)
    return _commands((TRIAGE | CONFIGURE) - (caller.verbs if caller else frozenset()))


@cache
def _commands(refused: frozenset[str]) -> SafeString:
    offered = [one for one in keymap.commands() if one.does.split("-")[0] not in refused]
    return render_to_string("_commands.html", {"commands": offered})


@register.simple_tag(takes_context=True)
def keymap_table(context: Context) -> SafeString:
    """Nothing for who wants no keys of a single letter (WCAG 2.1.4): then the keyboard is left alone."""
    is_wanted = preferences.of(context.get("request")).single_keys
    return _keymap_table() if is_wanted else mark_safe("")


@cache
def _keymap_table() -> SafeString:
    return json_script(keymap.for_browser(), "keymap")


@register.filter
def cap(stroke: str) -> str:
    return keymap.shown(stroke)


@register.simple_tag
@lru_cache(maxsize=1000)
def avatar(name: str) -> SafeString:
    if not name:
        return mark_safe('<span class="avatar avatar-none" aria-hidden="true"></span>')
    words = name.split()
    initials = (words[0][0] + (words[-1][0] if len(words) > 1 else words[0][1:2])).upper()
    hue = crc32(name.encode()) % AVATAR_HUES
    return format_html('<span class="avatar avatar-{}" aria-hidden="true">{}</span>', hue, initials)


@register.simple_tag
def pill(shown: Any) -> SafeString:
    """A state in one word, with its colour and its icon."""
    return _pill(shown.kind, shown.icon, shown.word)


@lru_cache(maxsize=1000)
def _pill(kind: str, sign: str, word: str) -> SafeString:
    return format_html('<span class="pill pill-{}">{}{}</span>', kind, icon(sign), word)


@register.simple_tag
@lru_cache(maxsize=1000)
def meter(percent: int, kind: str = "good") -> SafeString:
    """A bar beside words that say the same."""
    return format_html(
        '<svg class="meter" viewBox="0 0 100 5" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="meter-ground" width="100" height="5"/><rect class="meter-{}" width="{}" height="5"/></svg>',
        kind,
        percent,
    )


@register.simple_tag
def spark(chart: Any) -> SafeString:
    """Events by the hour; what is far above the rest has another colour."""
    return format_html(
        '<svg class="spark" viewBox="0 0 {width} 24" preserveAspectRatio="none" role="img" aria-label="{label}">'
        '<path class="chart-ground" d="M0 23h{width}v1H0z"/><path class="chart-bar" d="{path}"/>'
        '<path class="chart-spike" d="{spikes}"/></svg>',
        width=chart.width,
        label=chart.label,
        path=chart.path,
        spikes=chart.spike_path,
    )


@register.simple_tag
@lru_cache(maxsize=1000)
def narrows(offered: tuple[Any, ...]) -> SafeString:
    """The properties of a row, each a way to what has it too."""
    return format_html_join(
        "",
        '<span><a class="narrows" href="{}" data-narrow="{}" tabindex="-1">{}</a></span>',
        ((one.url, one.token, one.label) for one in offered),
    )


@register.simple_tag(takes_context=True)
def ago(context: Context, at: datetime) -> SafeString:
    """How long since, ticking: "2m", with the exact instant as tooltip."""
    return _time(at, _ago((_now(context) - at).total_seconds()), "data-ago")


@register.simple_tag(takes_context=True)
def left(context: Context, at: datetime) -> SafeString:
    """How long until, ticking: "0:42"."""
    return _time(at, _left((at - _now(context)).total_seconds()), "data-left")


@register.simple_tag
def clock(at: datetime) -> SafeString:
    """The time of day where the person is, to the second."""
    return _time(at, _here(at).strftime("%H:%M:%S"), "data-clock")


@register.simple_tag
def exact(at: datetime) -> SafeString:
    return _time(at, _here(at).strftime("%d %b %H:%M:%S"), "data-exact")


@register.simple_tag
def zone() -> SafeString:
    """Where the clock of these times stands."""
    return format_html("<span data-zone>{}</span>", timezone.get_current_timezone_name())


@register.filter
def thousands(number: int) -> str:
    return f"{number:,}"


@register.filter
def spoken(name: str) -> str:
    """A category as a person says it."""
    return name.replace("_", " ")


@register.filter
def short_ids(value: object) -> str:
    """The end of every id: their beginnings are a time, and the same for all that happened together."""
    return _ID.sub(lambda found: f"…{found[0][-8:]}", str(value))


@register.filter
def number(value: object) -> str:
    """A gate's value as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    if isinstance(value, int):
        return thousands(value)
    return "–" if value in (None, "") else str(value)


@register.simple_tag(takes_context=True)
def theme(context: Context) -> str:
    """The theme that the person chose: for this browser, else for all of theirs; light, dark or system."""
    request = context.get("request")
    chosen = request.COOKIES.get("theme", "") if request else ""
    return chosen if chosen in ("system", *THEMES) else str(preferences.of(request).theme)


@register.simple_tag(takes_context=True)
def is_compact(context: Context) -> bool:
    """Whether the person wants rows as low as they can be."""
    return preferences.of(context.get("request")).density == Density.COMPACT


@register.simple_tag(takes_context=True)
def served_at(context: Context) -> str:
    return _now(context).isoformat()


def _now(context: Context) -> datetime:
    now = context.get("now")
    return now if isinstance(now, datetime) else timezone.now()


def _here(at: datetime) -> datetime:
    return at.astimezone(timezone.get_current_timezone())


def _time(at: datetime, text: str, ticks: str) -> SafeString:
    utc = at.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC"{}>{}</time>',
        utc.isoformat(timespec="milliseconds"),
        utc.strftime("%d %b %Y %H:%M:%S"),
        mark_safe(f" {ticks}" if ticks else ""),  # noqa: S308  # one of our constants
        text,
    )


def _ago(seconds: float) -> str:
    if seconds < 5:
        return "now"
    for below, unit, letter in ((MINUTE, 1, "s"), (HOUR, MINUTE, "m"), (2 * DAY, HOUR, "h")):
        if seconds < below:
            return f"{int(seconds // unit)}{letter}"
    return f"{int(seconds // DAY)}d"


def _left(seconds: float) -> str:
    whole = max(0, -int(-seconds // 1))
    hours, rest = divmod(whole, HOUR)
    minutes, second = divmod(rest, MINUTE)
    return f"{hours}:{minutes:02}:{second:02}" if hours else f"{minutes}:{second:02}"
