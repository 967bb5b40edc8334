"""What we do about it."""

from django.apps import AppConfig


class ActionsConfig(AppConfig):
    name = "actions"

    def ready(self) -> None:
        from actions import receivers
        from incidents.signals import decision_recorded

        decision_recorded.connect(receivers.on_decision_recorded, dispatch_uid="wake planning")
