"""The second step of staff: no page of the administration opens without it, the test calls included."""

from django.contrib.auth.models import User
from django.urls import reverse
from pytest_django import Settings

from tenants.models import Tenant
from tests.admin.pages import client_of, pages, rows_of, unknown_id

DOORS = {"login", "logout"}


def test_staff_who_owe_it_get_to_no_page_and_send_no_test(
    staff: User, acme: Tenant, settings: Settings
) -> None:
    settings.STAFF_NEEDS_SECOND_STEP = True
    rows, client = rows_of(acme, "own"), client_of(staff)
    for route in pages():
        if route.name in DOORS:
            continue
        known = rows.get(route.model)
        path = route.path(known.pk if known else route.model and unknown_id(route.model))
        for sent in (client.get, client.post):
            answer = sent(path)
            assert answer.status_code == 302, route
            assert answer["Location"].startswith(reverse("mfa_index")), route
