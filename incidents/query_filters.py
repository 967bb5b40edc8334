"""The only place that turns a parsed query into ORM filters; it writes no SQL."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Q, QuerySet

from awfdrs_site.lib import params, query
from awfdrs_site.lib.query import Query, QueryError, Term, Value
from incidents import query_values
from incidents.query_keys import KEYS, ORDERED, Key, Kind
from incidents.query_values import NotMeant
from incidents.states import CLOSED, OPEN, Status
from tenants.models import Membership, Tenant, Vendor, Workflow

EVERY, NONE = ~Q(pk__in=()), Q(pk__in=())
NUMBER = re.compile(r"(?:inc-)?([0-9]{1,15})", re.IGNORECASE)
OFFERED = 20  # of what a beginning may be short for
_LOOKUPS = {"=": "", "<": "__lt", "<=": "__lte", ">": "__gt", ">=": "__gte"}
_OPPOSITE = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}  # older is earlier
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Asker:
    """Whose incidents, when, and who "me" is (nobody for an API key).

    `waiting` are the incidents that wait for a person, as the layer above knows them: ids, or a subquery.
    """

    tenant_id: UUID
    now: datetime
    user_id: int | None = None
    waiting: Any = ()


Rows = TypeVar("Rows", bound=QuerySet[Any])


def narrowed(rows: Rows, text: str, *, asker: Asker) -> Rows:
    """The rows that `text` asks for. Raises QueryError."""
    parsed = query.parse(text)
    return rows.filter(condition(parsed, asker=asker)) if parsed.terms else rows


def condition(parsed: Query, *, asker: Asker) -> Q:
    """All its terms at once. Raises QueryError for a key or a value that means nothing."""
    return reduce(operator.and_, (_term(term, asker) for term in parsed.terms), Q())


def key_of(term: Term) -> Key | None:
    """The key it names or shortens; None for text. Raises QueryError."""
    if not term.key:
        return None
    try:
        return KEYS[query_values.short(term.key, KEYS, what="key")]
    except NotMeant as unknown:
        if not term.values:
            return None  # `Stripe: capture` is a title that somebody pasted
        raise QueryError(f"{unknown} Put quotes around text to search for.", term.column) from None


def _term(term: Term, asker: Asker) -> Q:
    key = key_of(term)
    if key is None:
        found = _text(term.values[0].text if term.values else f"{term.key}:")
    elif not term.values:
        raise QueryError(f"Expected a value, such as {key.hint}.", term.column + len(term.key) + 1)
    else:
        found = reduce(operator.or_, (_value(key, value, asker) for value in term.values))
    return ~found if term.is_negated else found


def _value(key: Key, value: Value, asker: Asker) -> Q:
    try:
        if value.is_any:
            return _any(key)
        if value.comparison != "=" and key.kind not in ORDERED:
            raise NotMeant(f"{key.name} has no order: leave {value.comparison} out.")
        return _READ[key.kind](key, value, asker)
    except NotMeant as wrong:
        raise QueryError(str(wrong), value.column) from None


def _any(key: Key) -> Q:
    if not key.takes_any:
        raise NotMeant(f"Expected a value, such as {key.hint}.")
    if key.kind is Kind.RULE:
        return Q(classification__has_key="rule") & ~Q(classification__contains={"rule": "none"})
    if key.kind in (Kind.VENDOR, Kind.PERSON, Kind.STORM):
        return Q(**{f"{key.column}__isnull": False})
    return ~Q(**{key.column: ""}) if key.kind is Kind.TEXT else EVERY


def _claim(key: Key, value: Value, asker: Asker) -> Q:
    name = query_values.short(value.text, key.choices, what="such state")
    claims: dict[str, Callable[[], Q]] = {
        "open": lambda: Q(status__in=OPEN),
        "closed": lambda: Q(status__in=CLOSED),
        "attention": lambda: needs_attention(asker),
        "acknowledged": lambda: Q(acknowledged_at__isnull=False),
        "assigned": lambda: Q(assignee__isnull=False),
        "mine": lambda: Q(assignee_id=_me(asker)),
        "snoozed": lambda: snoozed(asker.now),
        "regressed": lambda: Q(regression_count__gt=0),
        "unrecovered": lambda: Q(unrecovered_runs__gt=0),
        "storm": lambda: Q(is_storm=True),
        "merged": lambda: Q(merged_into__isnull=False),
    }
    return claims[name]() if name in claims else Q(status=Status(name))


def snoozed(now: datetime) -> Q:
    return Q(snoozed_until__isnull=False, snoozed_until__gt=now)


def needs_attention(asker: Asker) -> Q:
    """Open, awake, and its recovery is not simply under way, or waits for an approval."""
    is_stuck = Q(status__in=(Status.DETECTED, Status.ESCALATED)) | Q(pk__in=asker.waiting)
    return Q(status__in=OPEN) & is_stuck & ~snoozed(asker.now)


def _choice(key: Key, value: Value, _asker: Asker) -> Q:
    return Q(**{key.column: query_values.short(value.text, key.choices, what=key.name)})


def _rank(key: Key, value: Value, _asker: Asker) -> Q:
    bound = key.choices.index(query_values.short(value.text, key.choices, what=key.name))
    holds = _COMPARE[value.comparison]
    return Q(
        **{f"{key.column}__in": [c for rank, c in enumerate(key.choices) if holds(rank, bound)]}
    )


def _number(key: Key, value: Value, _asker: Asker) -> Q:
    return Q(**{key.column + _LOOKUPS[value.comparison]: query_values.whole(value.text)})


def _age(key: Key, value: Value, asker: Asker) -> Q:
    if value.comparison == "=":
        raise NotMeant(f"Expected > or < and how long, such as {key.hint}.")
    lookup = _LOOKUPS[_OPPOSITE[value.comparison]]
    return Q(**{key.column + lookup: asker.now - query_values.duration(value.text)})


def _since(key: Key, value: Value, _asker: Asker) -> Q:
    return Q(**{f"{key.column}__gte": query_values.instant(value.text)})


def _until(key: Key, value: Value, _asker: Asker) -> Q:
    return Q(**{f"{key.column}__lt": query_values.instant(value.text)})


def _code(key: Key, value: Value, _asker: Asker) -> Q:
    if key.name == "title":
        return _begins(key.column, value) or Q(title__icontains=value.text)
    return _begins(key.column, value) or Q(error_code__iexact=value.text)


def _begins(field: str, value: Value) -> Q | None:
    """`pay*` begins so; between quotes a star is a star."""
    if value.is_quoted or not value.text.endswith("*"):
        return None
    return Q(**{f"{field}__istartswith": value.text[:-1]})


def _rule(_key: Key, value: Value, _asker: Asker) -> Q:
    """What said which kind of failure it is: an error code's rule, or a rule about words."""
    if value.text.casefold() == "none":
        return ~_any(KEYS["rule"])
    said = (value.text, f"code:{value.text}", f"text:{value.text}")
    return reduce(operator.or_, (Q(classification__contains={"rule": one}) for one in said))


def _storm(_key: Key, value: Value, _asker: Asker) -> Q:
    found = NUMBER.fullmatch(value.text)
    if found is None:
        raise NotMeant("Expected the number of a storm, such as INC-12.")
    return Q(parent__number=int(found[1]))


def _tenant(_key: Key, value: Value, asker: Asker) -> Q:
    """There is one tenant at a time: another's name finds nothing, as an unknown one does."""
    mine = Tenant.objects.filter(pk=asker.tenant_id)
    is_ours = mine.filter(
        Q(slug__istartswith=value.text) | Q(name__istartswith=value.text)
    ).exists()
    return EVERY if is_ours else NONE


def _workflow(_key: Key, value: Value, asker: Asker) -> Q:
    return _named("workflow_id", "slug", Workflow.objects.for_tenant(asker.tenant_id), value)


def _vendor(_key: Key, value: Value, asker: Asker) -> Q:
    return _named("vendor_id", "name", Vendor.objects.for_tenant(asker.tenant_id), value)


def _named(column: str, field: str, mine: QuerySet[Any], value: Value) -> Q:
    """By its name, its id, a beginning that only one has, or any beginning that ends in a star."""
    if params.is_id(value.text):
        return Q(**{column: UUID(value.text)})
    if begins := _begins(field, value):
        return Q(**{f"{column}__in": mine.filter(begins).values("pk")})
    found = mine.filter(**{f"{field}__istartswith": value.text}).order_by(field)
    named = list(found.values_list("pk", field)[:OFFERED])
    exact = [pk for pk, name in named if name.casefold() == value.text.casefold()]
    if not exact and len(named) > 1:
        either = query_values.either(name for _, name in named)
        raise NotMeant(f"“{value.text}” may be {either}. Write {value.text}* for all of them.")
    return Q(**{f"{column}__in": exact or [pk for pk, _ in named]})


def _person(_key: Key, value: Value, asker: Asker) -> Q:
    wanted = value.text.casefold()
    if wanted == "me":
        return Q(assignee_id=_me(asker))
    if wanted == "none":
        return Q(assignee__isnull=True)
    members = Membership.objects.for_tenant(asker.tenant_id).order_by("user__username")
    like = Q(user__username__istartswith=value.text) | Q(user__email__iexact=value.text)
    found = list(members.filter(like).values_list("user_id", "user__username")[:OFFERED])
    exact = [pk for pk, name in found if name.casefold() == wanted]
    if not exact and len(found) > 1:
        raise NotMeant(f"“{value.text}” may be {query_values.either(name for _, name in found)}.")
    # whoever has left is still named on what they had
    return Q(assignee_id__in=exact or [pk for pk, _ in found]) | Q(assignee__username=value.text)


def _me(asker: Asker) -> int:
    if asker.user_id is None:
        raise NotMeant("An API key is nobody: name the person instead of “me”.")
    return asker.user_id


def _text(words: str) -> Q:
    """Free text; Django escapes what LIKE would take for a wildcard."""
    found = Q(title__icontains=words) | Q(error_code__icontains=words)
    number = NUMBER.fullmatch(words.strip())
    return found | Q(number=int(number[1])) if number else found


_READ: dict[Kind, Callable[[Key, Value, Asker], Q]] = {
    Kind.CLAIM: _claim,
    Kind.CHOICE: _choice,
    Kind.RANK: _rank,
    Kind.WORKFLOW: _workflow,
    Kind.VENDOR: _vendor,
    Kind.TENANT: _tenant,
    Kind.PERSON: _person,
    Kind.RULE: _rule,
    Kind.NUMBER: _number,
    Kind.AGE: _age,
    Kind.SINCE: _since,
    Kind.UNTIL: _until,
    Kind.TEXT: _code,
    Kind.STORM: _storm,
}
