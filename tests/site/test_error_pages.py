"""Errors raised outside the API framework are problems too, and pages only for browsers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core import exceptions as django_errors
from django.db import OperationalError
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    JsonResponse,
    StreamingHttpResponse,
)
from django.test import Client, RequestFactory
from django.urls import path

from awfdrs_site.lib import api_errors
from awfdrs_site.lib.problems import Problem
from tests.support.problem_answers import members

SECRET = "relation tenants_apikey does not exist"
BROWSER = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


def _raise(exc: Exception) -> Callable[[HttpRequest], HttpResponse]:
    def view(request: HttpRequest) -> HttpResponse:
        raise exc

    return view


def _reads_its_body(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body)


def _asks_its_host(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.get_host())


def _refuses_with_cookie(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("no", status=403)
    response.set_cookie("kept", "yes")
    response["Content-Length"] = "2"
    return response


ROUTES: dict[str, Callable[[HttpRequest], HttpResponse | StreamingHttpResponse]] = {
    "body": _reads_its_body,
    "host": _asks_its_host,
    "denied": _raise(django_errors.PermissionDenied(SECRET)),
    "missing": _raise(Http404(SECRET)),
    "broken": _raise(RuntimeError(SECRET)),
    "problem": _raise(Problem("conflict", "The job is done.", allowed=["undo"])),
    "outage": _raise(OperationalError(SECRET)),
    "post-only": lambda request: HttpResponseNotAllowed(["POST"]),
    "cookie": _refuses_with_cookie,
    "own-json": lambda request: JsonResponse({"status": "down"}, status=503),
    "own-html": lambda request: HttpResponse("<p>refused</p>", status=409),
    "stream": lambda request: StreamingHttpResponse([b"x"], status=404),
    "fine": lambda request: HttpResponse("fine"),
}
urlpatterns = [
    path(f"{prefix}{name}", view) for name, view in ROUTES.items() for prefix in ("", "api/v1/")
]
handler400 = api_errors.bad_request
handler403 = api_errors.permission_denied
handler404 = api_errors.page_not_found
handler500 = api_errors.server_error


@pytest.fixture(params=[False, True], ids=["production", "debug"])
def site(request: pytest.FixtureRequest, settings: Any) -> Client:
    """The routes above behind the middleware alone, without database; DEBUG must not matter."""
    settings.DEBUG = request.param
    settings.ROOT_URLCONF = __name__
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    settings.MIDDLEWARE = [
        "awfdrs_site.lib.api_errors.problem_middleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ]
    return Client(raise_request_exception=False)


@pytest.mark.parametrize("prefix", ["/", "/api/v1/"])
@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("denied", 403, "forbidden"),
        ("missing", 404, "not_found"),
        ("nowhere", 404, "not_found"),
        ("%00", 404, "not_found"),
        ("broken", 500, "internal_error"),
        ("problem", 409, "conflict"),
        ("outage", 503, "unavailable"),
        ("post-only", 405, "method_not_allowed"),
        ("cookie", 403, "forbidden"),
    ],
)
def test_django_answers_problems_too(
    site: Client, prefix: str, name: str, status: int, code: str
) -> None:
    response = site.get(f"{prefix}{name}")
    assert response.status_code == status
    assert members(response)["code"] == code
    assert SECRET not in response.content.decode()
    assert "Traceback" not in response.content.decode()


def test_a_page_may_raise_a_problem(site: Client) -> None:
    assert members(site.get("/problem"))["allowed"] == ["undo"]
    response = site.get("/problem", headers=BROWSER)
    assert response.status_code == 409
    assert "The job is done." in response.content.decode()


def test_an_outage_tells_when_to_come_back(site: Client) -> None:
    assert site.get("/outage")["Retry-After"] == "1"
    assert site.get("/outage", headers=BROWSER)["Retry-After"] == "1"


def test_the_unforeseen_is_reported_by_django(
    site: Client, caplog: pytest.LogCaptureFixture
) -> None:
    site.get("/broken")
    (record,) = [record for record in caplog.records if record.name == "django.request"]
    assert record.exc_info is not None


def test_an_unknown_host_is_a_problem(site: Client) -> None:
    response = site.get("/api/v1/fine", headers={"Host": "evil.example"})
    assert response.status_code == 400
    assert "evil.example" not in response.content.decode()
    members(response)


def test_a_body_over_djangos_limit_is_413(site: Client) -> None:
    response = site.post("/api/v1/body", b"x" * 11, content_type="text/plain")
    assert members(response)["code"] == "too_large"


def test_a_missing_csrf_token_is_a_problem(settings: Any, site: Client) -> None:
    settings.CSRF_FAILURE_VIEW = "awfdrs_site.lib.api_errors.csrf_failure"
    response = Client(enforce_csrf_checks=True).post("/fine")
    assert members(response)["code"] == "forbidden"
    assert "CSRF" in members(response)["detail"]


def test_allow_cookies_and_length_of_a_reshaped_answer_stay_right(site: Client) -> None:
    assert site.get("/api/v1/post-only")["Allow"] == "POST"
    response = site.get("/api/v1/cookie")
    assert response.cookies["kept"].value == "yes"
    assert response["Content-Length"] == str(len(response.content))


def test_an_answer_of_another_making_is_left_alone(site: Client) -> None:
    assert site.get("/api/v1/own-json").json() == {"status": "down"}
    assert b"".join(site.get("/stream").streaming_content) == b"x"  # type: ignore[attr-defined]
    assert site.get("/fine").content == b"fine"


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
def test_a_page_answers_html_only_to_who_asks_for_it(site: Client, accept: str) -> None:
    members(site.get("/nowhere", headers={"Accept": accept}))


@pytest.mark.parametrize("path_", ["/api", "/api/", "/api/v1/nowhere"])
def test_under_api_html_is_never_answered(site: Client, path_: str) -> None:
    members(site.get(path_, headers=BROWSER))


def test_a_path_that_only_begins_like_the_api_is_a_page(rf: RequestFactory) -> None:
    assert api_errors.wants_html(rf.get("/apiary", headers=BROWSER))
    assert not api_errors.wants_html(rf.get("/api", headers=BROWSER))


def test_a_refusal_that_a_page_rendered_itself_is_left_alone(site: Client) -> None:
    # STYLE.md 7: expected refusals become 409/422 with the re-rendered partial
    assert site.get("/own-html", headers=BROWSER).content == b"<p>refused</p>"
    members(site.get("/own-html"))


def test_an_empty_refusal_of_a_page_gets_a_page(site: Client) -> None:
    response = site.get("/post-only", headers=BROWSER)
    assert response["Content-Type"].startswith("text/html")
    assert b"405" in response.content
    assert response["Allow"] == "POST"


# --- error pages -----------------------------------------------------------------------------


@pytest.fixture
def pages(tmp_path: Path, settings: Any) -> Path:
    """An empty template directory in the place of the real one."""
    settings.TEMPLATES = [
        {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [tmp_path]}
    ]
    (tmp_path / "errors").mkdir()
    return tmp_path / "errors"


def shown(rf: RequestFactory, code: str = "not_found") -> str:
    request = rf.get("/nowhere", headers=BROWSER)
    request.correlation_id = "c-1"  # type: ignore[attr-defined]
    response = api_errors.page_not_found(request, Problem(code))
    assert response["Content-Type"].startswith("text/html")
    return response.content.decode()


def test_a_page_shows_the_problem(pages: Path, rf: RequestFactory) -> None:
    (pages / "404.html").write_text(
        "{{ title }} {{ correlation_id }} {{ problem.code }} {{ request.path }}"
    )
    assert shown(rf) == "There is nothing here c-1 not_found /nowhere"


def test_without_a_template_a_tiny_page_is_shown(pages: Path, rf: RequestFactory) -> None:
    page = shown(rf)
    assert "404" in page
    assert "There is nothing here" in page
    assert "c-1" in page


def test_a_broken_template_does_not_break_the_answer(
    pages: Path, rf: RequestFactory, caplog: pytest.LogCaptureFixture
) -> None:
    (pages / "404.html").write_text("{% no_such_tag %}")
    assert "There is nothing here" in shown(rf)
    assert caplog.records


def test_a_tiny_page_escapes_what_it_shows(pages: Path, rf: RequestFactory) -> None:
    request = rf.get("/", headers=BROWSER)
    response = api_errors.bad_request(request, Problem("conflict", "<script>"))
    assert "<script>" not in response.content.decode()
    assert "&lt;script&gt;" in response.content.decode()


def test_the_other_handlers_keep_their_status(pages: Path, rf: RequestFactory) -> None:
    request = rf.get("/", headers=BROWSER)
    assert api_errors.server_error(request).status_code == 500
    assert api_errors.csrf_failure(request).status_code == 403
    assert api_errors.permission_denied(request, PermissionError()).status_code == 500
    denied = api_errors.permission_denied(request, django_errors.PermissionDenied())
    assert denied.status_code == 403
