"""HTTP answers about incidents that become one and come apart again."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from awfdrs_site.lib import clock
from awfdrs_site.lib.problems import FieldError, Problem
from incidents import merging
from incidents.api import OneIncident, refusals, written
from incidents.merging import MergeRefused, NotGroupedHere, UnknownIncidents
from incidents.serializers import IncidentSerializer
from tenants.serializers import IdField, ReasonField, TextField, VerbSerializer

HASH_CHARACTERS = 32


class Merge(VerbSerializer):
    incidents = serializers.ListField(child=IdField(), min_length=1, max_length=merging.AT_ONCE)
    reason = ReasonField(required=False, allow_blank=True, default="")


class Split(VerbSerializer):
    signatures = serializers.ListField(
        child=TextField(max_length=HASH_CHARACTERS), min_length=1, max_length=merging.AT_ONCE
    )
    reason = ReasonField(required=False, allow_blank=True, default="")


class IncidentMerge(OneIncident):
    """The others are counted here from now on; they are resolved."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "merge"}

    @extend_schema(request=Merge, responses=IncidentSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        said = self.body(Merge)
        with refusals(), _refused("incidents", said["incidents"]):
            merging.merge(
                self.subject,
                said["incidents"],
                by=self.caller.actor,
                now=clock.now(),
                reason=said["reason"],
            )
        return self.wrote(written(self.subject))


class IncidentSplit(OneIncident):
    """The incidents of these signatures are open again, with their events."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "split"}

    @extend_schema(request=Split, responses=IncidentSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        said = self.body(Split)
        with refusals(), _refused("signatures", said["signatures"]):
            merging.split(
                self.subject,
                said["signatures"],
                by=self.caller.actor,
                now=clock.now(),
                reason=said["reason"],
            )
        return self.wrote(written(self.subject))


@contextmanager
def _refused(name: str, given: Sequence[Any]) -> Iterator[None]:
    """What the verbs of `merging` raise; each unknown one is pointed at in the body."""
    try:
        yield
    except MergeRefused as refused:
        raise Problem("conflict", str(refused.args[0])) from refused
    except (UnknownIncidents, NotGroupedHere) as refused:
        errors = [
            FieldError(f"/{name}/{place}", "unknown", str(refused.args[0]))
            for place, one in enumerate(given)
            if one in refused.unknown
        ]
        raise Problem("validation_failed", errors=errors) from refused
