"""The only place that says what may be typed next in a query: keys, and the values this tenant has."""

from collections.abc import Iterable
from dataclasses import dataclass

from awfdrs_site.lib import query
from awfdrs_site.lib.query import Fragment
from incidents import query_values
from incidents.query_filters import Asker
from incidents.query_keys import CLAIMS, KEYS, Key, Kind
from incidents.query_values import NotMeant
from tenants.models import Membership, Tenant, Vendor, Workflow

MOST = 8


@dataclass(frozen=True)
class Suggestion:
    """A word, what it means, the whole text with it, and where the cursor then stands."""

    word: str
    hint: str
    text: str
    at: int


def suggestions(text: str, at: int, *, asker: Asker) -> tuple[Suggestion, ...]:
    """What may stand where the cursor does; nothing for a key that nobody knows."""
    text = text[: query.LENGTH]
    found = query.fragment(text, min(at, len(text)))
    if not found.key:
        offered = [*_keys(found.typed), *_claims(found.typed)]
        return tuple(_put(text, found, word, hint) for word, hint in offered[:MOST])
    key = _key(found)
    words = _values(key, found.typed, asker) if key else ()
    return tuple(_put(text, found, word, hint) for word, hint in list(words)[:MOST])


def _keys(typed: str) -> Iterable[tuple[str, str]]:
    for key in KEYS.values():
        if key.name.startswith(typed.casefold()):
            yield f"{key.name}:", f"{key.label}: {key.hint}"


def _claims(typed: str) -> Iterable[tuple[str, str]]:
    """`snoo` finds `is:snoozed`."""
    if typed:
        for name, meaning in CLAIMS.items():
            if name.startswith(typed.casefold()):
                yield f"is:{name} ", meaning


def _key(found: Fragment) -> Key | None:
    try:
        return KEYS[query_values.short(found.key, KEYS, what="key")]
    except NotMeant:
        return None


def _values(key: Key, typed: str, asker: Asker) -> Iterable[tuple[str, str]]:
    for value, hint in _offered(key, typed, asker):
        if value.casefold().startswith(typed.casefold()):
            yield f"{query.token('', value)[1:]} ", hint


def _offered(key: Key, typed: str, asker: Asker) -> Iterable[tuple[str, str]]:
    if key.kind is Kind.CLAIM:
        return CLAIMS.items()
    if key.choices:
        return ((choice, "") for choice in reversed(key.choices))
    if key.kind is Kind.PERSON:
        return [("me", "you"), ("none", "nobody"), *_people(typed, asker)]
    if key.kind is Kind.TENANT:
        mine = Tenant.objects.filter(pk=asker.tenant_id)
        return mine.values_list("slug", "name")
    return ((name, "") for name in _names(key, typed, asker))


def _people(typed: str, asker: Asker) -> Iterable[tuple[str, str]]:
    members = Membership.objects.for_tenant(asker.tenant_id).select_related("user")
    like = members.filter(user__username__istartswith=typed).order_by("user__username")[:MOST]
    return [(one.user.username, one.user.get_full_name()) for one in like]


def _names(key: Key, typed: str, asker: Asker) -> Iterable[str]:
    if key.kind is Kind.VENDOR:
        vendors = Vendor.objects.for_tenant(asker.tenant_id).filter(name__istartswith=typed)
        return vendors.order_by("name").values_list("name", flat=True)[:MOST]
    if key.kind is Kind.WORKFLOW:
        workflows = Workflow.objects.for_tenant(asker.tenant_id).filter(slug__istartswith=typed)
        return workflows.order_by("slug").values_list("slug", flat=True)[:MOST]
    return ()


def _put(text: str, found: Fragment, word: str, hint: str) -> Suggestion:
    before = text[: found.start] + word
    rest = text[found.end :]
    if word.endswith(" "):
        rest = rest.lstrip()
    return Suggestion(word.strip(), hint, before + rest, len(before))
