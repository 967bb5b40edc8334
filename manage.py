#!/usr/bin/env python
"""Django's command line, with a wrong setting reported in one line instead of a traceback."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "awfdrs_site.settings")
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        _ = settings.INSTALLED_APPS
    except ImproperlyConfigured as wrong:
        sys.exit(f"awfdrs: {wrong}")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
