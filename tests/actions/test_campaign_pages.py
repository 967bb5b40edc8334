"""The pages of campaigns: proposed on the incident, planned, watched, moved, with and without htmx."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from actions.models import Campaign
from incidents.models import Incident
from tenants import scoping
from tenants.models import Tenant, Workflow
from tests.cast import digest_all, event, failure, only_incident, signed_in, submit_all
from tests.factories import CampaignFactory, CampaignRunFactory

PLAN = {"stages": [1, 9], "ineligible": {"waived": 7}, "calls": {}, "vendors": []}
PAGE = {"Accept": "text/html"}
HTMX = PAGE | {"HX-Request": "true"}


@pytest.fixture
def incident(acme: Tenant) -> Incident:
    submit_all(acme, [event(run_id=f"r-{n}", payload=failure()) for n in range(3)])
    digest_all()
    with scoping.bound(acme.pk):
        Workflow.objects.for_tenant(acme).update(
            retry_url="https://workflow.example/retry", idempotent="key"
        )
    return only_incident(acme)


def planned(client: Client, incident: Incident, **fields: str) -> Campaign:
    said = {"stages": "1, 100%", "failure_percent": "20", "verify_minutes": "15"} | fields
    answer = client.post("/campaigns/plan/", {"incident": str(incident.pk)} | said)
    assert answer.status_code == 302
    with scoping.bound(incident.tenant_id):
        found: Campaign = Campaign.objects.for_tenant(incident.tenant_id).order_by("-id")[0]
    assert answer["Location"] == f"/campaigns/{found.pk}/"
    return found


def read(client: Client, path: str, **headers: str) -> str:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200, path
    return answer.content.decode()


def test_an_incident_proposes_a_campaign_to_who_may_plan_one(
    alice: User, bob: User, incident: Incident
) -> None:
    panel = f"/incidents/{incident.pk}/actions/"
    assert "Plan a campaign for 3 runs" in read(signed_in(alice), panel)
    assert "Plan a campaign" not in read(signed_in(bob), panel)
    planned(signed_in(alice), incident)
    assert "Campaign of 3 runs of INC-1" in " ".join(read(signed_in(bob), panel).split())


def test_it_is_planned_seen_started_paused_resumed_and_aborted(
    alice: User, incident: Incident
) -> None:
    client = signed_in(alice)
    assert "Re-drive 3 runs of INC-1" in read(client, f"/campaigns/plan/?incident={incident.pk}")
    one = f"/campaigns/{planned(client, incident).pk}/"
    page = read(client, one)
    assert "Nothing is called before it is started" in page
    assert "Stage 2" in page
    for verb, word in (("start", "Running"), ("pause", "Paused"), ("resume", "Running")):
        answer = client.post(f"{one}{verb}/", {"reason": "look first"}, headers=HTMX)
        assert answer.status_code == 200
        assert word in answer.content.decode()
    assert client.post(f"{one}start/", headers=HTMX).status_code == 200
    answer = client.post(f"{one}abort/", {"reason": "enough"}, follow=True)  # without JavaScript
    assert "Aborted. Nothing more is called." in answer.content.decode()
    refused = client.post(f"{one}resume/", headers=HTMX)
    assert refused.status_code == 409
    assert "Aborted" in refused.content.decode()


def test_the_live_refresh_is_a_part_of_the_page(alice: User, incident: Incident) -> None:
    client = signed_in(alice)
    one = f"/campaigns/{planned(client, incident).pk}/"
    for path in ("/campaigns/", one):
        part = read(client, path, **HTMX)
        assert "<html" not in part
        assert "live:campaign" in part
        assert part.strip().splitlines()[-1] in read(client, path)


def test_a_paused_one_says_why_and_which_runs_did_not_recover(acme: Tenant, bob: User) -> None:
    why = "Stage 2: 4 of 10 calls failed, more than 20%."
    campaign = CampaignFactory(
        tenant=acme, status="paused", stage=2, n_runs=10, pause_reason=why, plan=PLAN
    )
    of: dict[str, object] = {"tenant": acme, "campaign": campaign, "stage": 2}
    CampaignRunFactory(**of, state="failed", run__run_id="run-lost", reason="not_verified")
    CampaignRunFactory(**of, state="recovered")
    page = read(signed_in(bob), f"/campaigns/{campaign.pk}/")
    assert why in page
    assert "Paused in stage 2 of 2" in page
    assert "run-lost" in page
    assert "accepted, and no success came" in page
    assert "given up by a person" in page
    assert 'name="reason"' not in page  # a viewer has no buttons
    assert why in read(signed_in(bob), "/campaigns/")


def test_an_empty_list_says_what_to_do(bob: User) -> None:
    page = read(signed_in(bob), "/campaigns/")
    assert "No campaign yet" in page
    assert "Plan a campaign" in page


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stages", "1, many"),
        ("stages", "1, 5%"),
        ("stages", "0, 100%"),
        ("failure_percent", "101"),
        ("verify_minutes", "60"),
        ("incident", "00000000-0000-4000-8000-00000000dead"),
    ],
)
def test_what_cannot_be_meant_comes_back_in_the_form(
    alice: User, incident: Incident, field: str, value: str
) -> None:
    said = {"stages": "100%", "failure_percent": "20", "verify_minutes": "15"}
    body = said | {"incident": str(incident.pk)} | {field: value}
    for headers in (PAGE, HTMX):
        answer = signed_in(alice).post("/campaigns/plan/", body, headers=headers)
        assert answer.status_code == 422
        assert "errorlist" in answer.content.decode() or field == "incident"


def test_outsiders_find_nothing_and_viewers_may_not(
    mallory: User, bob: User, alice: User, incident: Incident
) -> None:
    campaign = planned(signed_in(alice), incident)
    for path in (f"/campaigns/{campaign.pk}/", f"/campaigns/plan/?incident={incident.pk}"):
        assert signed_in(mallory).get(path).status_code == 404
    assert str(campaign.pk) not in read(signed_in(mallory), "/campaigns/")
    for verb in ("start", "pause", "resume", "abort"):
        path = f"/campaigns/{campaign.pk}/{verb}/"
        assert signed_in(mallory).post(path).status_code == 404
        assert signed_in(bob).post(path).status_code == 403
    assert signed_in(bob).get(f"/campaigns/plan/?incident={incident.pk}").status_code == 403


def test_pages_cost_the_same_however_much_they_show(acme: Tenant, bob: User) -> None:
    def fill() -> Campaign:
        campaign = CampaignFactory(tenant=acme, plan=PLAN, stage=1, status="paused")
        for state in ("failed", "recovered", "eligible"):
            CampaignRunFactory(tenant=acme, campaign=campaign, stage=1, state=state)
        made: Campaign = campaign
        return made

    client = signed_in(bob)
    one = fill()
    few = [asked(client, path) for path in ("/campaigns/", f"/campaigns/{one.pk}/")]
    for _ in range(3):
        fill()
    CampaignRunFactory(tenant=acme, campaign=one, stage=1, state="failed")
    many = [asked(client, path) for path in ("/campaigns/", f"/campaigns/{one.pk}/")]
    assert many == few


def asked(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        read(client, path)
    return len(queries)
