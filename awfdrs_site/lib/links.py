"""The only place where a path becomes an address that opens from a message, outside the console."""

from django.conf import settings


def absolute(path: str) -> str:
    """`/incidents/…/` as people can open it from an e-mail or a ticket: under PUBLIC_URL."""
    return f"{settings.PUBLIC_URL}{path}"
