"""What we do about it."""

from django.apps import AppConfig


class ActionsConfig(AppConfig):
    name = "actions"
