"""`@requires`: who gets in, and that the whole view, rendering included, runs in the tenant's block."""

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.template.response import SimpleTemplateResponse
from django.test import RequestFactory

from tenants import auth, scoping
from tenants.access import requires
from tenants.models import Tenant, Vendor
from tenants.scoping import bound
from tests.factories import VendorFactory

pytestmark = pytest.mark.django_db


def visit(user: User | AnonymousUser) -> Any:
    request = RequestFactory().get("/incidents?tab=open")
    request.user = user
    request.session = {}  # type: ignore[assignment]
    request.caller = auth.caller_of_session(request)  # type: ignore[attr-defined]
    return request


@requires("resolve")
def resolve(request: HttpRequest) -> HttpResponse:
    block = scoping.current()
    return HttpResponse(str(block and block.tenant_id))


def test_who_has_the_verb_gets_in_to_the_tenants_block(acme: Tenant, alice: User) -> None:
    assert resolve(visit(alice)).content.decode() == str(acme.pk)  # type: ignore[attr-defined]
    assert scoping.current() is None


def test_a_viewer_is_refused(bob: User) -> None:
    with pytest.raises(PermissionDenied):
        resolve(visit(bob))


def test_who_is_not_signed_in_is_sent_there_and_back() -> None:
    response = resolve(visit(AnonymousUser()))
    assert response.status_code == 302
    assert response["Location"].endswith("?next=/incidents%3Ftab%3Dopen")


def test_who_belongs_to_no_tenant_is_told_so(staff: User) -> None:
    assert resolve(visit(staff)).status_code == 302


def test_templates_are_rendered_inside_the_block(acme: Tenant, alice: User) -> None:
    VendorFactory(tenant=acme, name="stripe")
    template = engines["django"].from_string("{% for v in vendors %}{{ v.name }}{% endfor %}")

    @requires("view")
    def lazy(request: HttpRequest) -> SimpleTemplateResponse:
        return SimpleTemplateResponse(template, {"vendors": Vendor.objects.all()})

    assert lazy(visit(alice)).content == b"stripe"  # type: ignore[attr-defined]


def test_an_exception_undoes_what_the_view_wrote(acme: Tenant, alice: User) -> None:
    @requires("view")
    def broken(request: HttpRequest) -> HttpResponse:
        Vendor.objects.create(tenant=acme, name="half done")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken(visit(alice))
    with bound(acme.pk):
        assert not Vendor.objects.for_tenant(acme).exists()


def test_the_verb_can_be_read_from_the_view() -> None:
    assert resolve.verb == "resolve"  # type: ignore[attr-defined]
