"""Pages of the whole: the way in."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """The overview says what needs a person now."""
    return redirect("actions:overview")
