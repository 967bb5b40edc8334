"""The client of AWFDRS: Python's library and nothing else, so that this directory can be copied alone."""

from .client import Client, Sent
from .http import Away, Denied, Refused
from .spool import SpoolFull

__all__ = ["Away", "Client", "Denied", "Refused", "Sent", "SpoolFull"]
