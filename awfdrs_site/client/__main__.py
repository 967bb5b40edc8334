"""`python -m awfdrs_site.client`: the command `awfdrs` where it is not installed."""

import sys

from .cli import main

sys.exit(main())
