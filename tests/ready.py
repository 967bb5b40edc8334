"""The only place that makes Django ready for tests; settings read the environment once, so it is set before."""

import os
from pathlib import Path

from tests import servers

# Only while settings load: what a test starts gets an environment without them.
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "awfdrs_site.settings",
    "REDIS_URL": servers.start_valkey(Path(os.environ["AWFDRS_DATA"])),
}

import django
from hypothesis import settings as hypothesis_settings

django.setup()
del os.environ["DJANGO_SETTINGS_MODULE"], os.environ["REDIS_URL"]

from django.conf import settings  # noqa: E402

from tests import quick  # noqa: E402
from tests.faults.sizes import sized  # noqa: E402

# The product's is slow on purpose.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

quick.look_for_static_files_once()
quick.take_probes_out_seldom()
quick.sign_in_at_once()

# On a busy machine a slow example is no failure.
hypothesis_settings.register_profile(
    "suite", deadline=None, max_examples=sized(small=25, full=500), print_blob=True
)
hypothesis_settings.load_profile("suite")
