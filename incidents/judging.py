"""The only place that says what a failure is: its classification, and the rules in force for that."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.conf import settings

from incidents.analysis import bayes, classify, port
from incidents.analysis.bayes import Model
from incidents.analysis.classify import Classification
from incidents.analysis.facts import Facts
from incidents.models import Incident
from incidents.reading import Reading
from safety import rules
from safety.effective import Effective, Override


def judge(
    tenant_id: UUID, facts: Facts, known: Sequence[Override], learned: Model | None = None
) -> tuple[Classification, Effective]:
    """What the failure is found to be, and the rules in force for that.

    `learned` is what people's labels teach; without it, the rules alone say.
    """
    found = _classified(facts, learned)
    in_force = rules.effective_for(
        tenant_id=tenant_id,
        workflow=facts.workflow,
        vendor=facts.vendor,
        error_code=facts.error_code,
        category=found.category,
        known=known,
    )
    return found, in_force


def _classified(facts: Facts, learned: Model | None) -> Classification:
    """A known code is certain in any case; reading words and labels can be switched off."""
    code = rules.rulebook().codes.get(facts.error_code)
    category = code.category if code else None
    severity = str(code.values["severity"]) if code else None
    if not settings.ENABLE_AI_DETECTION and not category:
        return classify.unknown(severity=severity, because="ENABLE_AI_DETECTION is off")
    found = port.analyst(mode=settings.AI_MODE).classify(
        facts, code_category=category, code_severity=severity
    )
    if learned is None or found.is_certain:
        return found
    guess = bayes.guess(learned, bayes.features(facts, rule=found.rule))
    return classify.relearned(found, guess)


def own_categories(
    tenant_id: UUID, readings: Sequence[Reading], incidents: Mapping[str, Incident]
) -> dict[str, str]:
    """Category of each failure's own signature. After a merge that is not its incident's: the incident may be about
    another vendor, or no vendor at all."""
    found, merged = {}, {}
    for said in readings:
        if said.signature is None:
            continue
        if said.signature.hash == said.counted_as:
            found[said.counted_as] = incidents[said.counted_as].category
        else:
            merged[said.signature.hash] = said.facts
    known = rules.overrides(tenant_id) if merged else ()
    return found | {
        hash_: judge(tenant_id, facts, known)[1].category for hash_, facts in merged.items()
    }
