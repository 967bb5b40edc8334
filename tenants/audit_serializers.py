"""How lines of the audit log are asked for and written in the API."""

import django_filters as filters
from rest_framework import serializers

from awfdrs_site.lib.params import InstantFilter, TextFilter
from tenants.models import JournalEntry


class AuditFilters(filters.FilterSet):  # type: ignore[misc]  # the library has no types
    who = TextFilter(field_name="actor_label")
    actor_kind = filters.ChoiceFilter(
        choices=[("user", "user"), ("key", "key"), ("system", "system")]
    )
    verb = TextFilter(field_name="verb")
    subject_type = TextFilter(field_name="subject_type")
    subject_id = TextFilter(field_name="subject_id")
    since = InstantFilter(field_name="at", lookup_expr="gte")
    until = InstantFilter(field_name="at", lookup_expr="lt")


class AuditSerializer(serializers.ModelSerializer[JournalEntry]):
    detail = serializers.DictField()

    class Meta:
        model = JournalEntry
        fields: tuple[str, ...] = (
            "id",
            "tenant_id",
            "at",
            "verb",
            "subject_type",
            "subject_id",
            "actor_kind",
            "actor_id",
            "actor_label",
            "correlation_id",
            "detail",
        )
        read_only_fields = fields
