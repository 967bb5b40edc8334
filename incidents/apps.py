"""What is wrong, and why."""

from django.apps import AppConfig


class IncidentsConfig(AppConfig):
    name = "incidents"

    def ready(self) -> None:
        from events import partitions
        from events.signals import events_stored
        from incidents import receivers

        partitions.register("incidents_eventlink")
        events_stored.connect(receivers.on_events_stored, dispatch_uid="wake the digest")
