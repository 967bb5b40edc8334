"""The admin's pages under the strict content security policy, without Django's own log."""

import re

from django.contrib.auth.models import User
from django.urls import reverse

from tenants.models import Tenant
from tests.admin.pages import client_of, global_switch, pages, rows_of

# What `script-src 'self'; style-src 'self'` would refuse.
INLINE = re.compile(
    r"<style|<script(?![^>]*\bsrc=)|<[^>]*\sstyle=|<[a-z][^>]*\son[a-z]+=|href=.javascript:", re.I
)


def test_no_page_holds_a_script_or_style_of_its_own(staff: User, acme: Tenant) -> None:
    rows, client = rows_of(acme, "own"), client_of(staff)
    rows[None] = global_switch()
    for route in pages():
        row = rows.get(route.model)
        if route.name != "logout" and (row or not route.of_object):
            shown = client.get(route.path(row.pk if row and route.of_object else None))
            assert not INLINE.search(shown.content.decode()), route
            assert "unsafe" not in shown.get("Content-Security-Policy", "")


def test_the_pattern_finds_what_it_is_for() -> None:
    for refused in ("<style>", "<script>x()", '<p class="x" style="x">', '<a onclick="x()">'):
        assert INLINE.search(refused)
    for allowed in ('<script src="x.js">', '<link rel="stylesheet">', "<p>one=two</p>"):
        assert not INLINE.search(allowed)


def test_every_page_uses_the_consoles_colours(ann: User) -> None:
    shown = client_of(ann).get(reverse("admin:index")).content.decode()
    assert "admin.css" in shown
    assert "dark_mode.css" not in shown
