"""The only tables about people, whatever their tenant: their sessions, what they prefer, and letters to them."""

from importlib import import_module
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models

from awfdrs_site.lib.ids import uuid7
from tenants.states import Density, Theme


class PersonSession(AbstractBaseSession):
    """Django's session, and whose it is: so that people see where they are signed in and end it."""

    id = models.UUIDField(default=uuid7, unique=True, editable=False)  # pages never hold the key
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+"
    )
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    address = models.GenericIPAddressField(null=True)
    agent = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return f"session of {self.user}"

    @classmethod
    def get_session_store_class(cls) -> type[Any]:
        store: type[Any] = import_module(settings.SESSION_ENGINE).SessionStore
        return store


class Person(models.Model):
    """What a person prefers; without a row everything is as it comes."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="person"
    )
    theme = models.CharField(max_length=10, choices=Theme.choices, default=Theme.SYSTEM)
    density = models.CharField(max_length=15, choices=Density.choices, default=Density.COMFORTABLE)
    time_zone = models.CharField(max_length=64, default="UTC")
    single_keys = models.BooleanField(default=True)

    def __str__(self) -> str:
        return f"what {self.user} prefers"


class Letter(models.Model):
    """An e-mail to a person that carries a link: its text is kept, sealed, until it has been sent."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.CharField(max_length=254)
    subject = models.CharField(max_length=200)
    text_sealed = models.TextField()
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            # what the sweep asks for every second
            models.Index(fields=["due_at"], name="letters_due"),
            # whether somebody was written to just now
            models.Index(fields=["email", "-created_at"], name="letters_to_address"),
        ]

    def __str__(self) -> str:
        return self.subject
