"""What `manage.py check --deploy` says of settings that are fine on a desk and dangerous in production."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register


@register(Tags.security, deploy=True)
def check_outbound(**_: Any) -> list[CheckMessage]:
    """Private networks are closed to retry calls unless somebody opened them on purpose."""
    if not settings.OUTBOUND_ALLOW_CIDRS:
        return []
    networks = ", ".join(map(str, settings.OUTBOUND_ALLOW_CIDRS))
    return [
        Warning(
            f"OUTBOUND_ALLOW_CIDRS lets tenants' retry URLs reach {networks}.",
            hint="Leave it empty unless every host in there may be called by every tenant.",
            id="site.W001",
        )
    ]


@register(Tags.security, deploy=True)
def check_public_url(**_: Any) -> list[CheckMessage]:
    """A person who is woken by a message has to reach the incident from it."""
    if settings.PUBLIC_URL:
        return []
    return [
        Warning(
            "PUBLIC_URL is not set: links in e-mails, chats and tickets are bare paths.",
            hint="Set it to the address people open, such as https://awfdrs.example.org.",
            id="site.W002",
        )
    ]
