"""A runbook says what to do, its steps are ticked for each incident, and every word and tick has its author."""

import pytest
from django.contrib.auth.models import User

from incidents import runbook_steps, runbooks, undo
from incidents.lifecycle import ChangedSince
from incidents.models import Incident, Runbook, StepTick
from incidents.runbooks import UnknownStep, WrittenSince
from tenants.journal import Actor
from tenants.models import JournalEntry, Tenant
from tenants.scoping import bound
from tests.cast import acting, journal_of, signed_in
from tests.factories import IncidentFactory, RunbookFactory

ALICE = Actor("user", "1", "alice")
TEXT = "Ask **finance** first.\n\n- [ ] Stop the importer\n- [ ] Restart `billing`\n\nThen wait."


def keys_of(text: str) -> dict[str, str]:
    """Words → key."""
    return {said: key for key, said in runbook_steps.steps(text).items()}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("Only prose.", ["Only prose."]),
        (
            TEXT,
            ["Ask **finance** first.\n", "*Stop the importer", "*Restart `billing`", "Then wait."],
        ),
        ("- [x] as if done", ["*as if done"]),  # who did it is said by ticks, not by the text
        ("1. [ ] first\n2. plain\n3. [ ] third", ["*first", "2. plain", "*third"]),
        ("- outer\n  - [ ] inner", ["- outer", "*inner"]),
        ("- [ ] one that\n  goes on", ["*one that goes on"]),
        ("- [ ]", ["- [ ]"]),
        ("```\n- [ ] in code\n```", ["```\n- [ ] in code\n```"]),
        ("[ ] no list", ["[ ] no list"]),
    ],
)
def test_the_lines_of_a_task_list_are_steps_and_the_rest_is_prose(
    text: str, parts: list[str]
) -> None:
    found = [f"*{one.text}" if one.key else one.text for one in runbook_steps.parts(text)]
    assert [one.strip("\n") for one in found] == [one.strip("\n") for one in parts]


def test_the_same_words_twice_are_two_steps_and_other_words_another_step() -> None:
    assert len(runbook_steps.steps("- [ ] Look\n- [ ] Look")) == 2
    before, after = keys_of("- [ ] Look\n- [ ] Wait"), keys_of("- [ ] Wait a bit\n- [ ] Look")
    assert before["Look"] == after["Look"]
    assert before["Wait"] != after["Wait a bit"]


def write(incident: Incident, text: str, *, signature: str = "", seen: int = 0) -> Runbook:
    with bound(incident.tenant_id) as now:
        return runbooks.write(
            incident.workflow, text, signature=signature, seen=seen, by=ALICE, now=now
        )


def ticked(incident: Incident) -> dict[str, tuple[str, str]]:
    """Words → who and when, as exactly as it is kept."""
    with bound(incident.tenant_id):
        mine = StepTick.objects.for_tenant(incident.tenant_id).filter(incident=incident)
        return {one.text: (one.ticked_by, one.ticked_at.isoformat()) for one in mine}


@pytest.mark.django_db
def test_every_version_is_in_the_journal_and_nobody_writes_over_anothers(acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme)
    book = write(incident, TEXT)
    assert write(incident, "Shorter.\r\n\r\n- [ ] Look", seen=1).version == 2
    for seen in (0, 1):
        with pytest.raises(WrittenSince):
            write(incident, "Mine!", seen=seen)
    with bound(acme.pk):
        lines = JournalEntry.objects.for_tenant(acme).filter(subject_id=str(book.pk))
        kept = {line.detail["version"]: line.detail["text"] for line in lines}
    assert kept == {1: TEXT, 2: "Shorter.\n\n- [ ] Look"}


@pytest.mark.django_db
def test_a_failures_own_runbook_comes_before_its_workflows_until_it_is_emptied(
    acme: Tenant,
) -> None:
    incident = IncidentFactory(tenant=acme)
    write(incident, "of the workflow")
    write(incident, "of the failure", signature=incident.signature)
    with bound(acme.pk):
        assert runbooks.of(incident).text == "of the failure"  # type: ignore[union-attr]
    write(incident, "", signature=incident.signature, seen=1)
    with bound(acme.pk):
        assert runbooks.of(incident).text == "of the workflow"  # type: ignore[union-attr]
        assert runbooks.of(IncidentFactory(tenant=acme)) is None


@pytest.mark.django_db
def test_ticks_are_told_once_and_taken_back_exactly(acme: Tenant, alice: User) -> None:
    incident, key = IncidentFactory(tenant=acme), keys_of(TEXT)["Restart `billing`"]
    write(incident, TEXT)
    with bound(acme.pk) as now:
        tick = runbooks.tick(incident, key, by=ALICE, now=now)
        assert runbooks.tick(incident, key, by=acting(alice), now=now) is None
        assert tick is not None
    done = ticked(incident)
    assert list(done) == ["Restart `billing`"]
    with bound(acme.pk) as now:
        untick = runbooks.untick(incident, key, by=acting(alice), now=now)
        assert untick is not None
        with pytest.raises(ChangedSince):
            undo.take_back(tick, by=ALICE, now=now)
        undo.take_back(untick, by=ALICE, now=now)
    assert ticked(incident) == done  # as Alice ticked it, and when
    with bound(acme.pk) as now:
        undo.take_back(tick, by=ALICE, now=now)
        undo.take_back(tick, by=ALICE, now=now)
        with pytest.raises(UnknownStep):
            runbooks.tick(incident, "f" * 32, by=ALICE, now=now)
    assert ticked(incident) == {}
    assert journal_of(acme, incident.pk) == ["step_done", "step_not_done", "undone", "undone"]


@pytest.mark.django_db
def test_it_is_written_and_ticked_in_the_console_without_a_script(
    acme: Tenant, alice: User, ann: User, bob: User
) -> None:
    incident = IncidentFactory(tenant=acme)
    address, workflow = f"/incidents/{incident.pk}/", f"/workflows/{incident.workflow_id}/"
    assert 'id="h-runbook"' not in signed_in(bob).get(address).content.decode()
    assert "Write one</a>" in signed_in(ann).get(address).content.decode()
    said = {"text": f"{TEXT}\n\n<script>alert(1)</script>", "version": "0"}
    assert signed_in(alice).post(f"{workflow}runbook/", said).status_code == 403
    assert signed_in(ann).post(f"{workflow}runbook/", said).status_code == 302
    assert signed_in(ann).post(f"{workflow}runbook/", said).status_code == 409
    assert "Then wait." in signed_in(bob).get(workflow).content.decode()
    client, key = signed_in(alice), keys_of(TEXT)["Stop the importer"]
    page = client.post(f"{address}step/", {"step": key, "done": "yes"}, follow=True)
    text = page.content.decode()
    assert "1 of 2 steps done" in text
    assert 'aria-checked="true"' in text
    assert "<strong>finance</strong>" in text
    assert "<script>alert" not in text
    assert "Undo</button>" in text
    assert list(ticked(incident)) == ["Stop the importer"]
    seen = signed_in(bob).get(address).content.decode()
    assert "Done:" in seen
    assert "aria-checked" not in seen
    client.post("/incidents/undo/")
    assert ticked(incident) == {}
    for body in ({}, {"step": "x", "done": "yes"}, {"step": "f" * 32, "done": "yes"}):
        client.post(f"{address}step/", body)
    assert ticked(incident) == {}


@pytest.mark.django_db
def test_a_tick_whose_step_has_other_words_now_is_shown_as_such(acme: Tenant, alice: User) -> None:
    incident = IncidentFactory(tenant=acme)
    RunbookFactory(tenant=acme, workflow=incident.workflow, text=TEXT)
    client, address = signed_in(alice), f"/incidents/{incident.pk}/"
    client.post(f"{address}step/", {"step": keys_of(TEXT)["Stop the importer"], "done": "yes"})
    write(incident, TEXT.replace("importer", "exporter"), seen=1)
    page = client.get(address).content.decode()
    assert "0 of 2 steps done" in page
    assert "the runbook has changed since" in page
    assert "Stop the importer" in page


@pytest.mark.django_db
def test_a_runbook_of_one_failure_is_written_from_its_incident(acme: Tenant, ann: User) -> None:
    incident, client = IncidentFactory(tenant=acme), signed_in(ann)
    path = f"/workflows/{incident.workflow_id}/runbook/?signature="
    assert incident.title in client.get(path + incident.signature).content.decode()
    answer = client.post(path + incident.signature, {"text": "- [ ] Look", "version": "0"})
    assert answer["Location"] == incident.get_absolute_url()
    page = client.get(f"/workflows/{incident.workflow_id}/").content.decode()
    assert "For one failure only" in page
    for wrong in ("f" * 32, "nonsense"):
        assert client.get(path + wrong).status_code == 404
    many = {"text": "- [ ] Look\n" * 101, "version": "1"}
    assert client.post(path + incident.signature, many).status_code == 422
