"""The incident page says what is counted on it, and merges and splits with plain forms."""

import json
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from incidents.models import Incident
from tests.incidents.test_merging import again, merge, resolve
from tests.support.console import World, client_of, incident_of, report, world

pytestmark = pytest.mark.django_db(transaction=True)

FROM_DIALOG = {"HX-Request": "true", "HX-Target": "form#merge-form"}


@pytest.fixture
def cast() -> World:
    return world()


@pytest.fixture
def alice(cast: World) -> Client:
    return client_of(cast.alice)


@pytest.fixture
def pair(cast: World) -> tuple[Incident, Incident]:
    report(cast.acme, runs=["run-1", "run-2"])
    report(cast.acme, error_code="card_declined", error_message="No money", runs=["run-3"])
    return incident_of(cast.acme, number=1), incident_of(cast.acme, number=2)


def url(verb: str, incident: Incident) -> str:
    return reverse(f"incidents:{verb}", args=[incident.pk])


def text_of(answer: Any) -> str:
    return unescape(answer.content.decode())


def test_an_incident_of_one_signature_offers_to_merge_others_into_it(
    alice: Client, pair: tuple[Incident, Incident]
) -> None:
    page = text_of(alice.get(pair[0].get_absolute_url()))
    assert "Only its own signature" in page
    assert url("merge", pair[0]) in page
    assert 'data-verb="split"' not in page


def test_numbers_as_people_write_them_are_merged(
    alice: Client, cast: World, pair: tuple[Incident, Incident]
) -> None:
    report(cast.acme, error_code="no_route", error_message="No route")
    target, other = pair
    asked = {"incidents": " inc-2, 3;INC-2 ", "reason": "one cause"}
    page = alice.post(url("merge", target), asked, follow=True)
    assert page.redirect_chain[-1][0] == target.get_absolute_url()
    text = text_of(page)
    assert "Merged INC-2, INC-3 into INC-1" in text  # the toast
    assert "2 events of its own signature" in text
    assert f"{other} · 1 event here" in text
    assert "Others merged into it" in text  # the timeline
    assert "one cause" in text


def test_the_form_is_a_page_of_its_own_and_a_dialog(
    alice: Client, pair: tuple[Incident, Incident]
) -> None:
    page = text_of(alice.get(url("merge", pair[0])))
    assert "<h1>Merge into" in page
    dialog = text_of(alice.get(url("merge", pair[0]), headers={"HX-Request": "true"}))
    assert "<h1>" not in dialog
    assert 'name="incidents"' in dialog


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ("", 422, "This field is required"),
        (" , ", 422, "is no incident's number"),
        ("INC-2 soon", 422, "“soon” is no incident's number"),
        ("INC-77", 422, "There is no INC-77."),
        (" ".join(map(str, range(100, 151))), 422, "At most 50 at once."),
        ("INC-1", 409, "An incident cannot be merged into itself."),
    ],
)
@pytest.mark.parametrize("headers", [{}, FROM_DIALOG])
def test_what_cannot_be_merged_is_said_in_the_form(
    alice: Client,
    pair: tuple[Incident, Incident],
    asked: str,
    status: int,
    says: str,
    headers: dict[str, str],
) -> None:
    target, other = pair
    answer = alice.post(url("merge", target), {"incidents": asked}, headers=headers)
    assert answer.status_code == status
    assert says in text_of(answer)
    assert again(other).merged_into_id is None


def test_the_dialog_goes_to_the_incident_when_it_is_done(
    alice: Client, pair: tuple[Incident, Incident]
) -> None:
    target, _ = pair
    answer = alice.post(url("merge", target), {"incidents": "INC-2"}, headers=FROM_DIALOG)
    assert answer["HX-Redirect"] == target.get_absolute_url()


def test_a_closed_incident_says_in_the_form_that_it_must_be_reopened(
    alice: Client, pair: tuple[Incident, Incident]
) -> None:
    target, _ = pair
    resolve(target)
    assert url("merge", target) not in text_of(alice.get(target.get_absolute_url()))
    answer = alice.post(url("merge", target), {"incidents": "INC-2"})
    assert answer.status_code == 409
    assert "INC-1 is resolved: reopen it first." in text_of(answer)


def test_a_merged_incident_says_where_it_went_and_offers_nothing(
    alice: Client, pair: tuple[Incident, Incident]
) -> None:
    target, other = pair
    merge(target, other)
    page = text_of(alice.get(other.get_absolute_url()))
    assert f'Merged into <a class="link" href="{target.get_absolute_url()}">INC-1</a>' in page
    assert page.count("data-verb") == page.count('data-verb="copy"')  # reading is all that is left
    refused = alice.post(url("reopen", other), headers={"HX-Request": "true"})
    toast = json.loads(refused["HX-Trigger"])["toast"]["text"]
    assert (refused.status_code, toast) == (409, "Split it from INC-1 instead.")


def test_a_signature_is_split_off_by_its_button(
    alice: Client, pair: tuple[Incident, Incident]
) -> None:
    target, other = pair
    merge(target, other)
    page = text_of(alice.get(target.get_absolute_url()))
    assert 'data-verb="split"' in page
    assert f'name="signature" value="{other.signature}"' in page
    asked = {"signature": other.signature, "reason": "two causes"}
    page = text_of(alice.post(url("split", target), asked, follow=True))
    assert "Split INC-2 from INC-1" in page
    assert "Only its own signature" in page
    assert "two causes" in page
    assert again(other).status == "detected"


@pytest.mark.parametrize(
    ("signature", "says"),
    [
        ("", "Say which signature"),
        ("f" * 32, "No merge brought this signature here."),
        ("f" * 33, "Say which signature"),
    ],
)
def test_a_split_that_cannot_be_is_said_on_the_page(
    alice: Client, pair: tuple[Incident, Incident], signature: str, says: str
) -> None:
    page = alice.post(url("split", pair[0]), {"signature": signature}, follow=True)
    assert says in text_of(page)


def test_a_viewer_sees_what_is_grouped_and_changes_nothing(
    cast: World, pair: tuple[Incident, Incident]
) -> None:
    target, other = pair
    merge(target, other)
    bob = client_of(cast.bob)
    page = text_of(bob.get(target.get_absolute_url()))
    assert f"{other} · 1 event here" in page
    assert 'data-verb="split"' not in page
    assert url("merge", target) not in page
    assert bob.get(url("merge", target)).status_code == 403
    assert bob.post(url("merge", target), {"incidents": "INC-2"}).status_code == 403
    assert bob.post(url("split", target), {"signature": other.signature}).status_code == 403


def test_an_outsider_finds_nothing_and_names_nothing(
    cast: World, pair: tuple[Incident, Incident]
) -> None:
    report(cast.globex)
    target, other = pair
    mallory = client_of(cast.mallory)
    assert mallory.get(url("merge", target)).status_code == 404
    assert mallory.post(url("merge", target), {"incidents": "INC-2"}).status_code == 404
    assert mallory.post(url("split", target), {"signature": other.signature}).status_code == 404
    # numbers are each tenant's own: INC-2 is Acme's, and Globex has none
    theirs = incident_of(cast.globex)
    answer = mallory.post(url("merge", theirs), {"incidents": "INC-2"})
    assert "There is no INC-2." in text_of(answer)
