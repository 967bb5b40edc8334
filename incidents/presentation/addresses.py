"""The only place that writes the addresses of the incident list: all that a view is, is in them."""

from urllib.parse import urlencode

from django.urls import reverse


def listed(tab: str = "", q: str = "", ordering: str = "", *, name: str = "list") -> str:
    """The list, or a page about it, with what is not left to its default."""
    said = {"tab": tab, "q": q, "ordering": ordering}
    asked = urlencode({key: value for key, value in said.items() if value})
    return f"{reverse(f'incidents:{name}')}{'?' if asked else ''}{asked}"
