"""Pages and cursors: nothing twice, nothing missing, and no cursor works elsewhere."""

from itertools import chain
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from awfdrs_site.lib import pagination
from tenants.models import Tenant
from tests.cast import Api, key_of
from tests.factories import IncidentFactory
from tests.support.problem_answers import members

LIST = "/api/v1/incidents"


@pytest.fixture
def api(acme: Tenant) -> Api:
    return Api(key_of(acme))


@pytest.fixture
def five(acme: Tenant) -> list[str]:
    """Five incidents, two of them with the same event count."""
    return [str(IncidentFactory(tenant=acme, event_count=n).pk) for n in (1, 2, 2, 3, 4)]


def _relative(link: str) -> str:
    parts = urlsplit(link)
    return f"{parts.path}?{parts.query}"


def _ids(page: dict[str, Any]) -> list[str]:
    return [row["id"] for row in page["results"]]


def _walk(api: Api, path: str, step: str = "next") -> list[list[str]]:
    pages = []
    while path:
        page = api.get(path).json()
        pages.append(_ids(page))
        path = _relative(page[step]) if page[step] else ""
    return pages


@pytest.mark.parametrize("ordering", ["event_count", "-event_count", "-last_seen_at", "number"])
@pytest.mark.parametrize("start", ["", "&page=1"])
def test_following_next_gives_every_row_once(
    api: Api, five: list[str], ordering: str, start: str
) -> None:
    pages = _walk(api, f"{LIST}?page_size=2&ordering={ordering}{start}")
    assert [len(page) for page in pages] == [2, 2, 1]
    walked = list(chain.from_iterable(pages))
    assert sorted(walked) == sorted(five)
    whole = _ids(api.get(f"{LIST}?ordering={ordering}").json())
    assert walked == whole


def test_previous_leads_back_the_same_way(api: Api, five: list[str]) -> None:
    first = api.get(f"{LIST}?page_size=2").json()
    second = api.get(_relative(first["next"])).json()
    last = api.get(_relative(second["next"])).json()
    assert (first["previous"], last["next"]) == (None, None)
    back = api.get(_relative(last["previous"])).json()
    assert _ids(back) == _ids(second)
    front = api.get(_relative(back["previous"])).json()
    assert (_ids(front), front["previous"]) == (_ids(first), None)
    assert _ids(api.get(_relative(front["next"])).json()) == _ids(second)


def test_a_row_that_arrives_meanwhile_moves_no_other_onto_the_next_page(
    api: Api, five: list[str], acme: Tenant
) -> None:
    first = api.get(f"{LIST}?page_size=2").json()
    IncidentFactory(tenant=acme)
    second = api.get(_relative(first["next"])).json()
    assert not set(_ids(first)) & set(_ids(second))
    assert second["count"] == 6


def _cursor(page: dict[str, Any]) -> str:
    return parse_qs(urlsplit(str(page["next"])).query)["cursor"][0]


def test_a_cursor_works_for_its_tenant_its_list_and_its_filters_only(
    api: Api, five: list[str], globex: Tenant
) -> None:
    cursor = _cursor(api.get(f"{LIST}?page_size=2&severity=medium").json())
    assert api.get(f"{LIST}?severity=medium&cursor={cursor}").status_code == 200
    foreign = Api(key_of(globex)).get(f"{LIST}?severity=medium&cursor={cursor}")
    others = [
        foreign,
        api.get(f"{LIST}?cursor={cursor}"),
        api.get(f"{LIST}?severity=medium&ordering=number&cursor={cursor}"),
        api.get(f"/api/v1/actions?cursor={cursor}"),
        api.get(f"{LIST}?severity=medium&cursor={cursor[:-1]}"),
        api.get(f"{LIST}?severity=medium&cursor=%21%21"),
    ]
    for answer in others:
        assert answer.status_code == 422
        assert members(answer)["errors"][0]["pointer"] == "/cursor"


def test_a_cursor_gets_too_old(api: Api, five: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    cursor = _cursor(api.get(f"{LIST}?page_size=2").json())
    monkeypatch.setattr(pagination, "CURSOR_SECONDS", -1)
    assert api.get(f"{LIST}?cursor={cursor}").status_code == 422


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=-1",
        "page=1.5",
        "page=99999999999999999999",
        "page=1;drop%20table",
        "page=²",
        "page=2",  # there is no second page
        "page_size=0",
        "page_size=101",
        "page_size=all",
        "page=1&cursor=x",
        "page=5001&page_size=100",
    ],
)
def test_a_page_that_cannot_be_is_refused(api: Api, query: str) -> None:
    assert api.get(f"{LIST}?{query}").status_code == 422


def test_an_empty_list_has_a_first_page(api: Api) -> None:
    empty: dict[str, Any] = {"count": 0, "next": None, "previous": None, "results": []}
    assert api.get(f"{LIST}?page=1").json() == empty
    assert api.get(LIST).json() == empty
