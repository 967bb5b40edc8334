"""HTTP answers about a tenant's rules as a document: read for git, and made what such a document says."""

from collections.abc import Mapping
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from awfdrs_site.lib import clock
from awfdrs_site.lib.problems import FieldError, Problem
from safety import rule_exchange, rule_texts, strict_yaml
from safety.rule_exchange import Change
from safety.rule_texts import DocumentRefused
from safety.rules import RuleMoved
from tenants.api import TenantAPIView
from tenants.serializers import ReasonField, TextField, VerbSerializer

IMPORTED = "Imported."


class DocumentSerializer(serializers.Serializer[Any]):
    document = serializers.CharField(help_text="YAML; the same rules are the same bytes.")


class DocumentGiven(VerbSerializer):
    document = TextField(max_length=strict_yaml.MAX_BYTES)
    reason = ReasonField(required=False, default=IMPORTED)


class RuleChangeSerializer(serializers.Serializer[Any]):
    rule = serializers.CharField(source="title")
    version = serializers.IntegerField(help_text="The one that this makes.")
    differences = serializers.ListField(child=serializers.CharField())


class ImportedSerializer(serializers.Serializer[Any]):
    changes = RuleChangeSerializer(many=True)


class RulesExport(TenantAPIView):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}

    @extend_schema(responses=DocumentSerializer)
    def get(self, request: Request) -> Response:
        return Response({"document": rule_exchange.exported(self.caller.tenant.id)})


class RulesImport(TenantAPIView):
    """New versions where the document says something else; a rule that it leaves out sets nothing any more."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "configure"}

    @extend_schema(request=DocumentGiven, responses=ImportedSerializer)
    def post(self, request: Request) -> Response:
        said = self.body(DocumentGiven)
        tenant_id, by = self.caller.tenant.id, self.caller.actor
        changes = changes_of(self, said["document"])
        try:
            rule_exchange.carry_out(
                tenant_id, changes, reason=said["reason"], by=by, now=clock.now()
            )
        except RuleMoved as moved:
            raise Problem("conflict", str(moved)) from moved
        return self.wrote({"changes": [_written(change) for change in changes]})


def changes_of(view: TenantAPIView, document: str) -> list[Change]:
    """What the document changes. Raises Problem 422 with every line that is wrong."""
    try:
        wanted = rule_texts.parsed_text(document)
    except DocumentRefused as refused:
        errors = [FieldError("/document", "rules", str(one)) for one in refused.problems]
        raise Problem("validation_failed", errors=errors) from refused
    return rule_exchange.changes(view.caller.tenant.id, wanted)


def _written(change: Change) -> Mapping[str, Any]:
    return {
        "rule": change.title,
        "version": change.version + 1,
        "differences": change.differences,
    }
