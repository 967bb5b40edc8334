"""The WSGI application, for servers that have no websockets to offer."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "awfdrs_site.settings")
application = get_wsgi_application()

from safety import checks  # noqa: E402  # apps are loaded by the line above

checks.demand()
