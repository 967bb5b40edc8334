"""Blocks: what they give, give back and refuse. (What Postgres makes of them: tests/architecture.)"""

import pytest
from django.db import connection, transaction

from awfdrs_site.lib import clock
from tenants import scoping
from tenants.models import Tenant, Vendor
from tenants.scoping import Block, bound
from tests.cast import Travel

pytestmark = pytest.mark.django_db


def role() -> str:
    with connection.cursor() as cursor:
        cursor.execute("select current_user")
        return str(cursor.fetchone()[0])


def test_a_block_knows_who_it_is_and_forgets_it(acme: Tenant) -> None:
    assert scoping.current() is None
    with bound(acme.pk):
        assert scoping.current() == Block("awf_app", acme.pk)
    with scoping.platform():
        assert scoping.current() == Block("awf_platform", None)
    assert scoping.current() is None


def test_a_block_holds_its_time(acme: Tenant, time_travel: Travel) -> None:
    with bound(acme.pk) as now:
        time_travel(hours=1)
        assert clock.now() == now  # one moment for everything the block decides
        assert (clock.read() - now).total_seconds() >= 3600
        with bound(acme.pk) as inner:
            assert inner == now
    assert (clock.now() - now).total_seconds() >= 3600


def test_an_exception_undoes_the_block_and_gives_the_role_back(acme: Tenant) -> None:
    before = role()
    with pytest.raises(ZeroDivisionError), bound(acme.pk):
        1 / len(Vendor.objects.create(tenant=acme, name="").name)
    assert (role(), scoping.current()) == (before, None)
    with bound(acme.pk):
        assert not Vendor.objects.for_tenant(acme).exists()


def test_a_rollback_that_was_asked_for_gives_the_role_back(acme: Tenant) -> None:
    with scoping.platform():
        with bound(acme.pk):
            Vendor.objects.create(tenant=acme, name="stripe")
            transaction.set_rollback(True)
        assert role() == "awf_platform"
    with bound(acme.pk):
        assert not Vendor.objects.for_tenant(acme).exists()


def test_for_tenant_takes_the_tenant_or_its_id(acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        with bound(tenant.pk):
            Vendor.objects.create(tenant=tenant, name="stripe")
    with scoping.platform():
        assert Vendor.objects.count() == 2
        for named in (acme, acme.pk):
            assert [v.tenant_id for v in Vendor.objects.for_tenant(named)] == [acme.pk]
        # every queryset made from it remembers that the tenant was named
        chained = Vendor.objects.for_tenant(acme).order_by("id").exclude(name="x")
        assert chained.tenant_id == acme.pk
