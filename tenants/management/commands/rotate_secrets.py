"""`manage.py rotate_secrets`: every stored secret under the key in use; 1 when some cannot be read."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from tenants import rotating
from tenants.journal import Actor

BY = Actor("system", "", "manage.py rotate_secrets")


class Command(BaseCommand):
    help = "Encrypt every stored secret with the first key of ENCRYPTION_KEY; safe to run again."

    def handle(self, *args: Any, **options: Any) -> None:
        is_complete = True
        for done in rotating.rotate(by=BY):
            self.stdout.write(f"{done.place}: {done.n_sealed} encrypted anew")
            if done.unreadable:
                is_complete = False
                named = ", ".join(done.unreadable)
                self.stdout.write(f"{done.place}: {len(done.unreadable)} cannot be read: {named}")
        if not is_complete:
            self.stdout.write("Keep the old key until they were entered again.")
            sys.exit(1)
        self.stdout.write("Nothing needs ENCRYPTION_KEYS_OLD any more.")
