"""How incidents, runs, decisions, events and the timeline are asked for and written in the API."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from events.models import Event
from incidents.cause_serializers import FindingsSerializer, HypothesisSerializer
from incidents.models import Decision, Incident, Run
from incidents.states import Status
from tenants.models import JournalEntry
from tenants.serializers import FlagField, ReasonField, VerbSerializer, WholeField


class SnoozeSerializer(serializers.Serializer[Any]):
    """What ends a snooze before `snoozed_until`."""

    kind = serializers.ChoiceField(
        choices=["until", "count", "rate_per_hour", "severity", "on_success"]
    )
    value = serializers.SerializerMethodField(help_text="A number or a word, as text.")
    at = serializers.DateTimeField(help_text="When it began.")
    by = serializers.CharField()

    def get_value(self, snooze: Mapping[str, Any]) -> str:
        return str(snooze["value"])


class IncidentSerializer(serializers.ModelSerializer[Incident]):
    number = serializers.SerializerMethodField()
    error_signature = serializers.CharField(source="signature")
    workflow = serializers.CharField(source="workflow.slug")
    vendor = serializers.CharField(source="vendor.name", default=None, allow_null=True)
    assignee = serializers.CharField(source="assignee.username", default=None, allow_null=True)
    snooze = SnoozeSerializer(allow_null=True)

    class Meta:
        model = Incident
        fields: tuple[str, ...] = (
            "id",
            "number",
            "tenant_id",
            "title",
            "status",
            "severity",
            "category",
            "error_code",
            "error_signature",
            "signature_version",
            "workflow",
            "workflow_id",
            "vendor",
            "vendor_id",
            "event_count",
            "affected_runs",
            "unrecovered_runs",
            "first_seen_at",
            "last_seen_at",
            "acknowledged_at",
            "acknowledged_until",
            "assignee",
            "snoozed_until",
            "snooze",
            "escalated_at",
            "resolved_at",
            "resolved_reason",
            "regression_count",
            "is_storm",
            "parent_id",
            "merged_into_id",
            "version",
        )
        read_only_fields = fields

    def get_number(self, incident: Incident) -> str:
        return str(incident)


class DecisionSerializer(serializers.ModelSerializer[Decision]):
    reasons = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Decision
        fields: tuple[str, ...] = (
            "id",
            "incident_id",
            "kind",
            "choice",
            "category",
            "confidence",
            "reasons",
            "candidates",
            "inputs",
            "rules",
            "gates",
            "engine_version",
            "input_hash",
            "correlation_id",
            "created_at",
        )
        read_only_fields = fields


class DifferenceSerializer(serializers.Serializer[Any]):
    component = serializers.CharField()
    here = serializers.CharField(allow_blank=True)
    there = serializers.CharField(allow_blank=True)


class RemedySerializer(serializers.Serializer[Any]):
    """What was done about it, and whether it worked."""

    done = serializers.CharField()
    worked = serializers.BooleanField(allow_null=True, help_text="Null while nobody can say.")
    detail = serializers.CharField(allow_blank=True)


class SimilarSerializer(serializers.Serializer[Any]):
    """Another incident with its likeness to the one in the path."""

    incident = IncidentSerializer(source="*")
    score = serializers.FloatField(
        source="likeness.score", min_value=0, max_value=1, help_text="1: no component differs."
    )
    same = serializers.ListField(source="likeness.same", child=serializers.CharField())
    different = DifferenceSerializer(many=True, source="likeness.different")
    shared_terms = serializers.ListField(source="likeness.shared", child=serializers.CharField())
    remedy = RemedySerializer()


class AnalysisSerializer(serializers.Serializer[Any]):
    """Hypotheses are empty until something supports one."""

    classification = serializers.DictField()
    signature_components = serializers.ListField()
    hypotheses = HypothesisSerializer(many=True)
    findings = FindingsSerializer()
    similar = SimilarSerializer(many=True)


class LedgerSerializer(serializers.Serializer[Any]):
    """What became of the runs it hurt."""

    affected = serializers.IntegerField()
    unrecovered = serializers.IntegerField(help_text="Failed, or with a retry under way.")
    retry_scheduled = serializers.IntegerField(help_text="Of those unrecovered.")
    recovered_auto = serializers.IntegerField()
    recovered_by_action = serializers.IntegerField()
    waived = serializers.IntegerField()


class HourSerializer(serializers.Serializer[Any]):
    """Events that happened in the hour from `hour`, UTC."""

    hour = serializers.DateTimeField()
    n_events = serializers.IntegerField()


class GateSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    passed = serializers.BooleanField()
    value = serializers.CharField()
    limit = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    clears_at = serializers.DateTimeField(allow_null=True)
    detail = serializers.CharField(allow_blank=True)


class ExplanationSerializer(serializers.Serializer[Any]):
    """Why something is not retried: every gate in order, and when it can start if nothing else happens."""

    effect = serializers.CharField(
        help_text="Of the first failing gate: wait, park, approve, skip or fail; go, calling or settled."
    )
    reason = serializers.CharField(allow_blank=True)
    gates = GateSerializer(many=True)
    earliest_possible_at = serializers.DateTimeField(
        allow_null=True, help_text="Null where it takes a person, and where nothing is planned."
    )
    next_attempt = serializers.IntegerField(allow_null=True)
    action_id = serializers.UUIDField(allow_null=True)


class NextSerializer(serializers.Serializer[Any]):
    """What the machine does next, and when."""

    kind = serializers.CharField()
    attempt = serializers.IntegerField()
    attempts_max = serializers.IntegerField()
    at = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField(allow_blank=True)
    n_waiting = serializers.IntegerField()
    gates = serializers.ListField(child=serializers.DictField())
    explanation = ExplanationSerializer(allow_null=True)


class GroupedSerializer(serializers.Serializer[Any]):
    """A signature that is counted here, and the incident that describes it."""

    hash = serializers.CharField()
    is_own = serializers.BooleanField()
    incident_id = serializers.UUIDField()
    number = serializers.CharField()
    title = serializers.CharField()
    event_count = serializers.IntegerField(help_text="Of its events, those counted here.")


class IncidentDetailSerializer(IncidentSerializer):
    analysis = AnalysisSerializer()
    decisions = DecisionSerializer(many=True, source="recent_decisions")
    next = NextSerializer(allow_null=True)
    signatures = GroupedSerializer(many=True)
    ledger = LedgerSerializer()
    hours = HourSerializer(
        many=True,
        source="by_hour",
        help_text="Of the last 7 days; hours without events are left out.",
    )

    class Meta(IncidentSerializer.Meta):
        fields: tuple[str, ...] = (
            *IncidentSerializer.Meta.fields,
            "analysis",
            "decisions",
            "next",
            "signatures",
            "ledger",
            "hours",
        )
        read_only_fields = fields


class RunSerializer(serializers.ModelSerializer[Run]):
    workflow = serializers.CharField(source="workflow.slug")

    class Meta:
        model = Run
        fields: tuple[str, ...] = (
            "id",
            "tenant_id",
            "run_id",
            "workflow",
            "workflow_id",
            "state",
            "incident_id",
            "episode",
            "first_failed_at",
            "last_failed_at",
            "last_event_id",
            "attempted_at",
            "succeeded_at",
            "success_event_id",
            "recovered_at",
            "recovery_note",
            "version",
        )
        read_only_fields = fields


class EventSerializer(serializers.ModelSerializer[Event]):
    workflow = serializers.CharField(source="workflow.slug")
    run_id = serializers.SerializerMethodField()
    vendor = serializers.SerializerMethodField()
    payload = serializers.DictField()
    extra = serializers.DictField()
    outcome = serializers.CharField(allow_null=True, help_text="null: not digested yet.")
    incident_id = serializers.UUIDField(allow_null=True)

    class Meta:
        model = Event
        fields: tuple[str, ...] = (
            "id",
            "tenant_id",
            "workflow",
            "workflow_id",
            "event_type",
            "payload",
            "occurred_at",
            "received_at",
            "run_id",
            "schema_version",
            "extra",
            "vendor",
            "correlation_id",
            "outcome",
            "incident_id",
        )
        read_only_fields = fields

    def get_run_id(self, event: Event) -> str | None:
        return event.run_ref or None

    def get_vendor(self, event: Event) -> str | None:
        return event.vendor_name or None


class ActorSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField(source="actor_kind")
    id = serializers.CharField(source="actor_id")
    label = serializers.CharField(source="actor_label")  # type: ignore[assignment]


class MomentSerializer(serializers.ModelSerializer[JournalEntry]):
    actor = ActorSerializer(source="*")
    detail = serializers.DictField()

    class Meta:
        model = JournalEntry
        fields: tuple[str, ...] = (
            "id",
            "at",
            "verb",
            "subject_type",
            "subject_id",
            "actor",
            "correlation_id",
            "detail",
        )
        read_only_fields = fields


class StatusMove(VerbSerializer):
    status = serializers.ChoiceField(choices=Status.choices)
    note = ReasonField(required=False, allow_blank=True, default="")
    reason = ReasonField(required=False, allow_blank=True, default="")
    version = WholeField(required=False)
    waive_unrecovered = FlagField(required=False, default=False)
