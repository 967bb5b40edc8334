"""Console pages of help, and the page behind the `type` of every error answer."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from awfdrs_site import help_pages
from awfdrs_site.lib import clock
from tenants.access import TenantRequest, requires


@require_safe
@requires("view")
def index(request: TenantRequest) -> HttpResponse:
    context = {"pages": help_pages.pages(site=_site(request)), "here": "help", "now": clock.now()}
    return render(request, "help/list.html", context)


@require_safe
@requires("view")
def page(request: TenantRequest, slug: str) -> HttpResponse:
    site = _site(request)
    context = {
        "page": help_pages.page(slug, site=site),
        "pages": help_pages.pages(site=site),
        "here": "help",
        "now": clock.now(),
    }
    return render(request, "help/page.html", context)


@require_safe
def problem(request: HttpRequest, code: str) -> HttpResponse:
    """Open to everybody: whoever gets an error may have no session, and no key that is valid."""
    return render(request, "help/problem.html", {"problem": help_pages.problem(code)})


def _site(request: HttpRequest) -> str:
    return request.build_absolute_uri("/").rstrip("/")
