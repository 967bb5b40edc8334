"""What django-allauth asks us: nobody signs up, secrets are sealed, the picture to scan passes our CSP."""

from typing import Any
from uuid import UUID

import qrcode
from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.http import HttpRequest
from django.utils.html import format_html

from tenants import secrets

# Secrets of people belong to no tenant: sealed all the same, in one place of their own.
_PLACE = {"tenant_id": UUID(int=0), "row_id": UUID(int=0)}
_QUIET_ZONE = 4


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Letters are ours, see `tenants.letters`."""


class SecondStepAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    def encrypt(self, text: str) -> str:
        return secrets.seal(text, **_PLACE)

    def decrypt(self, encrypted_text: str) -> str:
        return secrets.open_sealed(encrypted_text, **_PLACE)

    def build_totp_svg(self, url: str) -> str:
        """One path, without the styles that the content security policy refuses."""
        code = qrcode.QRCode(border=_QUIET_ZONE)
        code.add_data(url)
        rows = code.get_matrix()
        path = "".join(
            f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, on in enumerate(row) if on
        )
        return format_html(
            '<svg class="qr" viewBox="0 0 {0} {0}" role="img" aria-label="Code to scan">'
            '<rect width="{0}" height="{0}" fill="#fff"/><path d="{1}" fill="#000"/></svg>',
            len(rows),
            path,
        )
