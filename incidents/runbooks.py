"""The only place that keeps runbooks, with every version in the journal, and takes down which steps were done."""

from datetime import datetime
from typing import Any

from django.db.models import F, OuterRef, Subquery

from incidents import keeping, runbook_steps
from incidents.lifecycle import ChangedSince
from incidents.models import Incident, Runbook, StepTick, Undo
from tenants import journal
from tenants.journal import Actor
from tenants.models import Workflow

TEXT_CHARACTERS = 10_000
STEPS_MOST = 100
VERBS = ("tick", "untick")  # what can be taken back


class WrittenSince(Exception):
    """Another version is there than the one that its writer changed (-> 409)."""


class UnknownStep(Exception):
    """The runbook has no such step, or no longer (-> 409)."""


def of(incident: Incident) -> Runbook | None:
    """That of its own failure before that of its workflow."""
    mine = Runbook.objects.for_tenant(incident.tenant_id).exclude(text="")
    found = mine.filter(workflow=incident.workflow_id, signature__in=["", incident.signature])
    book: Runbook | None = found.order_by("-signature").first()
    return book


def ticks(incident: Incident) -> dict[str, StepTick]:
    """By the key of the step."""
    mine = StepTick.objects.for_tenant(incident.tenant_id).filter(incident=incident)
    return {tick.step: tick for tick in mine.order_by("ticked_at", "id")}


def of_workflow(workflow: Workflow) -> list[Any]:
    """All of its runbooks, its own first; `title` is that of the failure that one is about."""
    alike = Incident.objects.for_tenant(workflow.tenant_id).filter(signature=OuterRef("signature"))
    latest = alike.order_by("-opened_at", "-id").values("title")[:1]
    mine = Runbook.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow)
    return list(mine.annotate(title=Subquery(latest)).order_by("signature"))


def write(
    workflow: Workflow, text: str, *, signature: str = "", seen: int, by: Actor, now: datetime
) -> Runbook:
    """Keep a new version; `seen` is the one that was changed, 0 where there was none. Raises WrittenSince."""
    text = text.replace("\r\n", "\n").strip()
    mine = Runbook.objects.for_tenant(workflow.tenant_id).filter(
        workflow=workflow, signature=signature
    )
    said: dict[str, Any] = {"text": text, "written_by": by.label, "written_at": now}
    if seen:
        is_ours = mine.filter(version=seen).update(version=F("version") + 1, **said) == 1
    else:
        fresh = Runbook(
            tenant_id=workflow.tenant_id, workflow=workflow, signature=signature, **said
        )
        Runbook.objects.bulk_create([fresh], ignore_conflicts=True)
        is_ours = mine.filter(pk=fresh.pk).exists()
    if not is_ours:
        raise WrittenSince("Somebody else has written it meanwhile: theirs is kept.")
    book: Runbook = mine.get()
    told = {"workflow": workflow.slug, "signature": signature, "version": book.version}
    journal.record(book, "runbook_written", by=by, at=now, text=text, **told)
    return book


def tick(incident: Incident, key: str, *, by: Actor, now: datetime) -> Undo | None:
    """The step is done for this incident. Quiet when it is already. Raises UnknownStep."""
    incident = keeping.locked(incident)
    book = of(incident)
    text = runbook_steps.steps(book.text).get(key) if book else None
    if text is None:
        raise UnknownStep("The runbook has changed: this step is no longer in it.")
    if _tick_of(incident, key) is not None:
        return None
    row = StepTick.objects.create(
        tenant_id=incident.tenant_id,
        incident=incident,
        step=key,
        text=text,
        ticked_by=by.label,
        ticked_at=now,
    )
    keeping.save(incident, "step_done", by=by, now=now, detail=text)
    return keeping.note_step(incident, "tick", before={}, after=_said(row), by=by, now=now)


def untick(incident: Incident, key: str, *, by: Actor, now: datetime) -> Undo | None:
    """The step is not done after all. Quiet when nobody said that it was."""
    incident = keeping.locked(incident)
    row = _tick_of(incident, key)
    if row is None:
        return None
    said = _said(row)
    row.delete()
    keeping.save(incident, "step_not_done", by=by, now=now, detail=row.text)
    return keeping.note_step(incident, "untick", before=said, after={}, by=by, now=now)


def give_back(step: Undo, incident: Incident, *, by: Actor, now: datetime) -> Incident:
    """Undo a tick or its removal, of a locked incident: by whom and when come back too. Raises ChangedSince."""
    said = step.before or step.after
    row = _tick_of(incident, said["step"])
    if (_said(row) if row else {}) != step.after:
        raise ChangedSince(f"That step of {incident} has been ticked or unticked since.")
    if row is not None:
        row.delete()
    else:
        StepTick.objects.create(
            tenant_id=incident.tenant_id,
            incident=incident,
            **said | {"ticked_at": datetime.fromisoformat(said["ticked_at"])},
        )
    return keeping.save(incident, "undone", by=by, now=now, detail=f"{step.verb} of {said['text']}")


def _tick_of(incident: Incident, key: str) -> StepTick | None:
    mine = StepTick.objects.for_tenant(incident.tenant_id).filter(incident=incident, step=key)
    row: StepTick | None = mine.first()
    return row


def _said(row: StepTick) -> dict[str, str]:
    return {
        "step": row.step,
        "text": row.text,
        "ticked_by": row.ticked_by,
        "ticked_at": row.ticked_at.isoformat(),
    }
