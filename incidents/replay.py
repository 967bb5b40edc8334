"""The only place that makes a decision again from what it kept, and says where the two differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from incidents import concluding
from incidents.analysis.port import ENGINE_VERSION
from incidents.models import Decision
from safety import rule_texts, rules
from safety.effective import Override
from tenants import scoping

PAGE = 500


class Verdict(StrEnum):
    SAME = "same"
    DIFFERS = "differs"
    ALTERED = "altered"  # what it was made from is not what was written then
    UNKNOWN_ENGINE = "unknown_engine"


@dataclass(frozen=True)
class Replayed:
    decision_id: UUID
    verdict: Verdict
    says: tuple[str, ...] = ()
    fingerprint: str = field(default="")  # of what it was made from, as it is now


def replay(
    decision: Decision, known: Sequence[Override], *, with_current: bool = False
) -> Replayed:
    """`known`: every version of the tenant's rules. `with_current`: by today's engine, whichever made it."""
    now = concluding.fingerprint(decision.inputs, decision.rules)
    is_ours = decision.engine_version == ENGINE_VERSION
    if not is_ours and not with_current:
        says = (
            f"It was made by the engine {decision.engine_version}; this build has {ENGINE_VERSION}."
        )
        return Replayed(decision.pk, Verdict.UNKNOWN_ENGINE, (says,), now)
    if missing := sorted(concluding.NEEDED - decision.inputs.keys()):
        says = f"It kept too little for this engine: {', '.join(missing)} is missing."
        return Replayed(decision.pk, Verdict.UNKNOWN_ENGINE, (says,), now)
    differences = tuple(_differences(decision))
    altered = (*_altered(decision, known, now),) if is_ours else ()
    if altered:
        return Replayed(decision.pk, Verdict.ALTERED, (*altered, *differences), now)
    verdict = Verdict.DIFFERS if differences else Verdict.SAME
    return Replayed(decision.pk, verdict, differences, now)


def of_tenant(tenant_id: UUID, *, with_current: bool = False) -> Iterator[Replayed]:
    """Every decision of the tenant, oldest first, a page of them in each transaction."""
    after: UUID | None = None
    while True:
        with scoping.bound(tenant_id):
            known = rules.overrides(tenant_id)
            mine = Decision.objects.for_tenant(tenant_id).order_by("id")
            page = list((mine.filter(pk__gt=after) if after else mine)[:PAGE])
        for decision in page:
            yield replay(decision, known, with_current=with_current)
        if len(page) < PAGE:
            return
        after = page[-1].pk


def _differences(decision: Decision) -> Iterator[str]:
    """Byte for byte, each part of what it concluded."""
    in_force = concluding.in_force_of(decision.rules)
    for name, again in concluding.conclude(decision.inputs, in_force).as_json().items():
        kept = getattr(decision, name)
        if concluding.canonical(kept) != concluding.canonical(again):
            yield f"{name}: kept {_shown(kept)}, again {_shown(again)}"


def _altered(decision: Decision, known: Sequence[Override], now: str) -> Iterator[str]:
    if now != decision.input_hash:
        yield f"Hash mismatch: its inputs or rules are not those of {decision.input_hash[:12]}…"
    by_id = {one.id: one for one in known}
    for kept in decision.inputs.get("rule_versions", ()):
        if says := _edited(kept, by_id.get(kept["id"])):
            yield says


def _edited(kept: Mapping[str, Any], row: Override | None) -> str:
    title = f"version {kept['version']} of the rule for {_title(kept)}"
    if row is None:
        return f"Hash mismatch: {title} is gone."
    now = concluding.version_digest(row.scope, row.target, row.version, row.values)
    return "" if now == kept["digest"] else f"Hash mismatch: {title} was edited after it was saved."


def _title(kept: Mapping[str, Any]) -> str:
    return rule_texts.title(str(kept["scope"]), str(kept["target"]))


def _shown(value: object) -> str:
    text = concluding.canonical(value).decode()
    return text if len(text) <= 200 else f"{text[:200]}…"
