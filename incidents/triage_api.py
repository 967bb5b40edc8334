"""HTTP answers about what people make of an incident: theirs, asleep, noted, and taken back."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from awfdrs_site.lib import clock
from awfdrs_site.lib.problems import FieldError, Problem
from incidents import assigning, lifecycle, notes, snoozing, undo
from incidents.api import OneIncident, refusals, written
from incidents.assigning import NobodyByThatName
from incidents.models import Incident, Undo
from incidents.serializers import IncidentSerializer
from incidents.snoozing import SnoozeRefused, Terms
from incidents.states import Severity
from tenants.serializers import (
    FlagField,
    InstantField,
    NoFields,
    ReasonField,
    ReasonOrNote,
    TextField,
    VerbSerializer,
    WholeField,
)

MINUTES_MOST = 7 * 24 * 60
ENDS = ("until", "count", "rate_per_hour", "severity", "on_success")


class Seen(VerbSerializer):
    version = WholeField(required=False, help_text="What the caller saw; another one is 412.")


class Acknowledgement(Seen, ReasonOrNote):
    timeout_minutes = WholeField(
        required=False,
        min_value=1,
        max_value=MINUTES_MOST,
        help_text="After this long people are asked again.",
    )


class Assignment(Seen):
    assignee = TextField(
        max_length=254, allow_null=True, help_text='E-mail address, user name, "me" or null.'
    )
    note = ReasonField(required=False, allow_blank=True, default="")


class SnoozeBody(Seen):
    """Exactly one of what ends it."""

    until = InstantField(required=False)
    count = WholeField(required=False, min_value=1, max_value=snoozing.MOST_EVENTS)
    rate_per_hour = WholeField(required=False, min_value=1, max_value=snoozing.MOST_EVENTS)
    severity = serializers.ChoiceField(choices=Severity.choices, required=False)
    on_success = FlagField(required=False)
    note = ReasonField(required=False, allow_blank=True, default="")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        said = [name for name in ENDS if name in attrs]
        if len(said) != 1 or attrs.get("on_success") is False:
            raise serializers.ValidationError(
                f"Say what ends it: one of {', '.join(ENDS)}.", code="one_of"
            )
        return attrs


class Comment(Seen):
    note = ReasonField()


class IncidentAcknowledge(OneIncident):
    """Somebody looks at it, perhaps for a time only."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "acknowledge"}

    @extend_schema(request=Acknowledgement, responses=IncidentSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        said, by, now = self.body(Acknowledgement), self.caller.actor, clock.now()
        minutes = said.get("timeout_minutes")
        until = now + timedelta(minutes=minutes) if minutes else None
        note = said["reason"] or said["note"]

        def act(row: Incident) -> Incident:
            return lifecycle.acknowledge(row, by=by, now=now, note=note, until=until)

        with refusals():
            self.refuse_stale(said.get("version"))
            self.remembering("acknowledge", act)
        return self.wrote(written(self.subject))


class IncidentAssign(OneIncident):
    """It is this member's, or nobody's."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "assign"}

    @extend_schema(request=Assignment, responses=IncidentSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        said, by, now = self.body(Assignment), self.caller.actor, clock.now()
        to = self._person(said["assignee"])
        note = said["note"]
        with refusals():
            self.refuse_stale(said.get("version"))
            self.remembering(
                "assign", lambda row: assigning.assign(row, to=to, by=by, now=now, note=note)
            )
        return self.wrote(written(self.subject))

    def _person(self, name: str | None) -> Any | None:
        if name is None:
            return None
        try:
            return assigning.person(self.caller.tenant.id, name, me=self.caller.user_id)
        except NobodyByThatName as unknown:
            raise unfit("assignee", "unknown", unknown) from unknown


class IncidentSnooze(OneIncident):
    """Ask nobody about it until something happens; a snooze takes the place of the one before."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "snooze"}

    @extend_schema(request=SnoozeBody, responses=IncidentSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        said, by, now = self.body(SnoozeBody), self.caller.actor, clock.now()
        kind = next(name for name in ENDS if name in said)
        terms, note = Terms(kind, said[kind]), said["note"]
        with refusals():
            self.refuse_stale(said.get("version"))
            try:
                self.remembering(
                    "snooze", lambda row: snoozing.snooze(row, terms, by=by, now=now, note=note)
                )
            except SnoozeRefused as refused:
                raise unfit(refused.field, "range", refused) from refused
        return self.wrote(written(self.subject))


class IncidentWake(OneIncident):
    """End its snooze."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "snooze"}

    @extend_schema(request=ReasonOrNote, responses=IncidentSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        said, by, now = self.body(ReasonOrNote), self.caller.actor, clock.now()
        why = said["reason"] or said["note"]
        with refusals():
            self.refuse_stale()
            self.remembering("wake", lambda row: snoozing.wake(row, by=by, now=now, reason=why))
        return self.wrote(written(self.subject))


class IncidentComment(OneIncident):
    """A note in Markdown for the timeline."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "comment"}

    @extend_schema(request=Comment, responses=IncidentSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        said, by = self.body(Comment), self.caller.actor
        with refusals():
            self.refuse_stale(said.get("version"))
            notes.comment(self.subject, note=said["note"], by=by, now=clock.now())
        return self.wrote(written(self.subject))


class IncidentUndo(OneIncident):
    """Take back the latest step that a person or key took on it; 409 when it is older or has changed since."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "undo"}

    @extend_schema(request=NoFields, responses=IncidentSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        self.body(NoFields)
        by, now = self.caller.actor, clock.now()
        steps = Undo.objects.for_tenant(self.caller.tenant).filter(incident_id=pk, undone_at=None)
        step = steps.order_by("-at", "-id").first()
        if step is None:
            raise Problem("conflict", "There is no step to take back.")
        with refusals():
            undo.hold(step)
            self.refuse_stale()
            undo.take_back(step, by=by, now=now)
        return self.wrote(written(self.subject))


def unfit(field: str, code: str, why: Exception) -> Problem:
    """The field of the body that cannot be meant."""
    error = FieldError(f"/{field}", code, str(why.args[0]))
    return Problem("validation_failed", errors=[error])
