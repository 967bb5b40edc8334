"""The only place that changes passwords: by who knows the old one, and by link for who forgot it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.tokens import default_token_generator
from django.http import HttpRequest
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from awfdrs_site.lib import links
from tenants import journal, letters, scoping, sessions
from tenants.journal import Actor

AGAIN_AFTER = timedelta(minutes=2)  # nobody's mailbox is filled by others
_SUBJECT = "A new password"
_TEXT = """\
Somebody, hopefully you, asked for a new password for {name} at AWFDRS.

Choose one here within a day:
{link}

If it was not you, do nothing: your password stays.
"""


def is_right(request: HttpRequest, user: Any, password: str) -> bool:
    """Whether it is this person's; wrong ones count as at the door, so a borrowed session cannot guess."""
    known = authenticate(request, username=user.get_username(), password=password)
    return known is not None and known.pk == user.pk


def change(user: Any, password: str, *, by: Actor, this: UUID | None) -> None:
    """The new password holds at once, and everywhere but in this session they are signed out."""
    with scoping.platform() as now:
        user.set_password(password)
        user.save(update_fields=["password"])
        sessions.end_others(user.pk, but=this, by=by)
        about: dict[str, Any] = {"subject_type": "user", "subject_id": str(user.pk)}
        journal.record_platform(**about, verb="password_changed", by=by, at=now)


def ask(email: str) -> None:
    """Write a letter with a link to whoever has this address. Nobody is told whether anybody has."""
    with scoping.platform() as now:
        people = get_user_model().objects.filter(email__iexact=email, is_active=True)
        for user in people.order_by("pk")[:5]:
            subject = f"{_SUBJECT} for {user.get_username()}"
            if letters.was_written_to(user.email, subject=subject, since=now - AGAIN_AFTER):
                continue
            text = _TEXT.format(name=user.get_username(), link=link_for(user))
            letters.write(email=user.email, subject=subject, text=text, now=now)


def link_for(user: Any) -> str:
    """Good once and for a day: the password it was made for must still be the person's."""
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    token = default_token_generator.make_token(user)
    return links.absolute(reverse("tenants:new-password", args=[uid, token]))
