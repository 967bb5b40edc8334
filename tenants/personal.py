"""The decorator of a person's own pages: anybody signed in, in the frame of their tenant when they have one."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse

from tenants.access import Caller
from tenants.scoping import bound

View = Callable[..., HttpResponseBase]


def personal(view: View) -> View:
    """The view works outside every block, since what it changes is of no tenant; only the frame is read in one."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        return framed(request, view(request, *args, **kwargs))

    return guarded


def framed(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Render what is still to be rendered, where the console's frame finds its tenant."""
    caller: Caller | None = getattr(request, "caller", None)
    if isinstance(response, TemplateResponse) and not response.is_rendered:
        with bound(caller.tenant.id) if caller else nullcontext():
            response.render()
    return response
