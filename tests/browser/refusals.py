"""The only place that shows a browser what the server answers when it refuses or fails, without breaking it."""

from django.http import HttpResponse
from django.test import RequestFactory
from playwright.sync_api import Page, Route

CODES = ("forbidden", "conflict", "rate_limited", "internal_error", "unavailable")


def show(page: Page) -> None:
    """From now on /refused/<code>/ is the page of that problem."""
    page.route("**/refused/*/", _refuse)


def _refuse(route: Route) -> None:
    from awfdrs_site.lib import correlation
    from awfdrs_site.lib.api_errors import ProblemMiddleware
    from awfdrs_site.lib.problems import Problem

    code = route.request.url.rstrip("/").rpartition("/")[2]
    request = RequestFactory().get("/incidents/", headers={"Accept": "text/html"})
    request.correlation_id = correlation.current()  # type: ignore[attr-defined]
    answer = ProblemMiddleware(lambda _: HttpResponse()).process_exception(request, Problem(code))
    assert answer is not None
    route.fulfill(status=answer.status_code, content_type="text/html", body=answer.content.decode())
