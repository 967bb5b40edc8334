"""What is allowed."""

from django.apps import AppConfig


class SafetyConfig(AppConfig):
    name = "safety"

    def ready(self) -> None:
        from safety import checks

        assert checks  # importing registers `manage.py check`'s rulebook check
