"""HTTP answers about a change of rules tried on the last days: taken, followed, told."""

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from actions import simulations
from actions.models import Simulation
from actions.simulation.change import Change
from actions.simulations import CannotSimulate
from actions.states import SimulationState
from awfdrs_site.lib import clock
from awfdrs_site.lib.problems import FieldError, Problem
from incidents.analysis.outcome import Matcher
from incidents.states import Outcome
from safety import rule_api, rule_texts, strict_yaml
from safety.rulefields import SCOPES, ValuesRefused
from tenants.api import TenantAPIView, get_or_404
from tenants.serializers import IdField, ReasonField, TextField, VerbSerializer, WholeField


class OutcomeRuleGiven(VerbSerializer):
    outcome = serializers.ChoiceField(choices=Outcome.choices)
    event_type = TextField(required=False, default="", allow_blank=True, max_length=255)
    status = TextField(required=False, default="", allow_blank=True, max_length=100)
    error_code = TextField(required=False, default="", allow_blank=True, max_length=200)
    payload_path = TextField(required=False, default="", allow_blank=True, max_length=200)
    payload_value = TextField(required=False, default="", allow_blank=True, max_length=200)
    position = WholeField(required=False, default=0, min_value=0, max_value=100_000)
    replaces = IdField(required=False, allow_null=True, help_text="The rule it stands in for.")


class SimulationAsked(VerbSerializer):
    """One rule's next version (scope, target and all its values), or a document, or an outcome rule."""

    scope = serializers.ChoiceField(choices=SCOPES, required=False)
    target = TextField(required=False, default="", allow_blank=True, max_length=100)
    values = serializers.DictField(required=False, help_text="Everything that it would set.")
    document = TextField(required=False, max_length=strict_yaml.MAX_BYTES)
    outcome_rule = OutcomeRuleGiven(required=False)
    days = WholeField(
        required=False, default=simulations.DAYS, min_value=1, max_value=simulations.DAYS
    )
    beyond = serializers.ChoiceField(
        required=False,
        default=simulations.ASSUMED[0],
        choices=simulations.ASSUMED,
        help_text="How an attempt ends that was never made.",
    )
    reason = ReasonField(required=False, allow_blank=True, default="")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        said = [name for name in ("values", "document", "outcome_rule") if name in attrs]
        if len(said) != 1 or ("values" in said) != ("scope" in attrs):
            raise serializers.ValidationError(
                "Say scope and values, or document, or outcome_rule: one of the three.",
                code="one_of",
            )
        return attrs


class SimulationTaken(serializers.Serializer[Any]):
    simulation_id = serializers.UUIDField()
    state = serializers.CharField(help_text=", ".join(SimulationState.values))
    events = serializers.IntegerField()
    change = serializers.ListField(child=serializers.CharField())


class SimulationSerializer(serializers.ModelSerializer[Simulation]):
    state = serializers.CharField(help_text=", ".join(SimulationState.values))
    events = serializers.IntegerField(source="n_events")
    beyond = serializers.ChoiceField(source="assumed", choices=simulations.ASSUMED)
    created_by = serializers.CharField(source="actor_label")
    change = serializers.JSONField()
    result = serializers.JSONField(help_text="Null until it is done.")

    class Meta:
        model = Simulation
        fields: tuple[str, ...] = (
            *("id", "tenant_id", "state", "percent", "change", "beyond", "since", "until"),
            *("events", "created_by", "created_at", "finished_at", "error", "result"),
        )
        read_only_fields = fields


class RulesSimulate(TenantAPIView):
    """Takes a change and has it tried on the last days; where it stands is told at Location."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "configure"}

    @extend_schema(request=SimulationAsked, responses={202: SimulationTaken})
    def post(self, request: Request) -> Response:
        asked = self.body(SimulationAsked)
        try:
            change = self._change(asked)
            made = simulations.ask(
                self.caller.tenant.id,
                change,
                days=asked["days"],
                assumed=asked["beyond"],
                by=self.caller.actor,
                now=clock.now(),
            )
        except CannotSimulate as refused:
            raise _unfit(refused.name, "refused", str(refused)) from refused
        answer = {
            "simulation_id": str(made.pk),
            "state": str(made.state),
            "events": made.n_events,
            "change": change.lines,
        }
        response = self.wrote(answer, status=202)
        if not self.is_dry_run:
            response["Location"] = reverse("api:rules-simulation", args=[made.pk])
        return response

    def _change(self, asked: Mapping[str, Any]) -> Change:
        if "document" in asked:
            return simulations.of_document(rule_api.changes_of(self, asked["document"]))
        if "outcome_rule" in asked:
            said = dict(asked["outcome_rule"])
            said.pop("tenant_id", None)
            position, replaces = said.pop("position"), said.pop("replaces", None)
            matcher = Matcher(Outcome(said.pop("outcome")), **said)
            outcome = simulations.of_outcome(
                matcher, position=position, replaces=str(replaces or "")
            )
            return Change(outcome=outcome)
        return Change((self._rule(asked),))

    def _rule(self, asked: Mapping[str, Any]) -> Any:
        scope, values = asked["scope"], asked["values"]
        try:
            target = rule_texts.target_of(scope, asked["target"])
            return simulations.of_rule(
                self.caller.tenant.id, scope=scope, target=target, values=values
            )
        except ValuesRefused as refused:
            errors = [
                FieldError(f"/values/{name}", "value", f"This {message}.")
                for name, message in refused.errors.items()
            ]
            raise Problem("validation_failed", errors=errors) from refused
        except ValueError as refused:
            raise _unfit("target", "format", str(refused)) from refused


class OneSimulation(TenantAPIView):
    """How far it is, and what it found."""

    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}
    subject: Simulation

    def find(self, **kwargs: Any) -> Simulation:
        return get_or_404(Simulation.objects.for_tenant(self.caller.tenant), pk=kwargs["pk"])

    @extend_schema(responses=SimulationSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(SimulationSerializer(self.subject).data)


def _unfit(name: str, code: str, detail: str) -> Problem:
    pointer = f"/{name}" if name else ""
    return Problem("validation_failed", errors=[FieldError(pointer, code, detail)])
