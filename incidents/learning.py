"""The only place that keeps what grouping has learned: a workflow's templates, in rows, learned in order."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from incidents import models, reading, templates
from incidents.reading import Reading
from incidents.states import Outcome
from incidents.templates import Template

Leaves = dict[str, list[Template]]


def sign(tenant_id: UUID, readings: Sequence[Reading]) -> list[Reading]:
    """Give every failure its signature; `turns.take` came first, so that one batch learns at a time."""
    known = load(tenant_id, readings)
    before = {workflow: _by_key(leaves) for workflow, leaves in known.items()}
    signed = [sign_one(said, known) for said in readings]
    for workflow, leaves in known.items():
        _store(tenant_id, workflow, before[workflow], _by_key(leaves))
    return signed


def load(tenant_id: UUID, readings: Sequence[Reading]) -> dict[UUID, Leaves]:
    """The leaves that their texts fall into, by workflow, each in order of founding."""
    texts: dict[UUID, set[str]] = defaultdict(set)
    for said in readings:
        if said.text:
            texts[said.event.workflow_id].add(said.text)
    known: dict[UUID, Leaves] = {workflow: {} for workflow in texts}
    leaves = {templates.leaf_of(text) for those in texts.values() for text in those}
    if not leaves:
        return known
    mine = models.Template.objects.for_tenant(tenant_id).filter(
        workflow__in=list(known), leaf__in=leaves
    )
    for row in mine.order_by("id").only("workflow_id", "key", "leaf", "tokens"):
        leaf = known[row.workflow_id].setdefault(row.leaf, [])
        leaf.append(Template(row.key, row.leaf, tuple(row.tokens)))
    return known


def _by_key(leaves: Leaves) -> dict[str, Template]:
    return {template.key: template for leaf in leaves.values() for template in leaf}


def sign_one(said: Reading, known: Mapping[UUID, Leaves]) -> Reading:
    """A failure with its signature; `known` learns from its text, in memory."""
    if said.outcome is not Outcome.FAILURE:
        return said
    template = ""
    if said.text:
        template = templates.learn(said.text, known[said.event.workflow_id]).key
    return reading.signed(said, template=template)


def _store(
    tenant_id: UUID,
    workflow_id: UUID,
    before: Mapping[str, Template],
    after: Mapping[str, Template],
) -> None:
    mine = models.Template.objects.for_tenant(tenant_id).filter(workflow=workflow_id)
    for key, template in after.items():
        if key in before and template.tokens != before[key].tokens:
            mine.filter(key=key).update(tokens=list(template.tokens))
    models.Template.objects.bulk_create(
        models.Template(
            tenant_id=tenant_id,
            workflow_id=workflow_id,
            key=key,
            leaf=template.leaf,
            tokens=list(template.tokens),
        )
        for key, template in after.items()
        if key not in before
    )
