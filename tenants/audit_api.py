"""The HTTP answer about who did what."""

from collections.abc import Mapping
from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from awfdrs_site.lib.pagination import Listing
from tenants.api import TenantAPIView
from tenants.audit_serializers import AuditFilters, AuditSerializer
from tenants.models import JournalEntry


class Audit(TenantAPIView):
    """The tenant's journal, newest first: for people who audit, and for keys that configure."""

    verbs: ClassVar[Mapping[str, str]] = {"get": "audit"}
    listing = Listing(AuditSerializer, AuditFilters, {"at": "at"}, "-at")

    def get(self, request: Request) -> Response:
        return self.listing.answer(request, JournalEntry.objects.for_tenant(self.caller.tenant))
