"""The command `awfdrs` against the living API: what it says, and the number it ends with."""

import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from actions import simulation_work
from awfdrs_site.client import Client, sending
from awfdrs_site.client.cli import main
from awfdrs_site.client.http import Away, Http, Problem
from incidents.models import Incident
from tenants import scoping
from tenants.models import ApiKey, Tenant
from tenants.states import Scope
from tests.cast import digest_all, event, key_of, stored, submit
from tests.factories import IncidentFactory

pytestmark = pytest.mark.django_db(transaction=True)
NOWHERE = "http://127.0.0.1:1"
Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def environment(api_origin: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWFDRS_URL", api_origin)
    monkeypatch.setenv("AWFDRS_KEY", key)
    monkeypatch.setenv("AWFDRS_SPOOL", str(tmp_path / "spools"))


def said(printed: Printed, *arguments: str) -> tuple[int, Any]:
    """What it ended with and the last JSON value it wrote."""
    code = main(["--json", *arguments])
    lines = printed.readouterr().out.splitlines()
    return code, json.loads(lines[-1]) if lines else None


def test_send_stores_an_event_or_keeps_it_until_the_next_call(
    capsys: Printed, acme: Tenant, monkeypatch: pytest.MonkeyPatch, api_origin: str
) -> None:
    code, first = said(
        capsys, "send", "payment.failed", "--workflow", "checkout", "--field", "error_code=timeout"
    )
    assert (code, first["status"]) == (0, "accepted")
    # The spool belongs to address and key: here the address answers later.
    monkeypatch.setattr("awfdrs_site.client.cli.Client", away := absent(api_origin))
    assert (
        said(capsys, "send", "payment.failed", "--workflow", "checkout")[1]["status"] == "spooled"
    )
    monkeypatch.setattr("awfdrs_site.client.cli.Client", Client)
    assert away is not Client
    assert said(capsys, "doctor")[0] == 1  # one waits
    assert said(capsys, "drain") == (0, {"done": 1, "waiting": 0})
    assert said(capsys, "doctor")[0] == 0
    assert [row.payload for row in stored(acme)] == [{"error_code": "timeout"}, {}]
    assert said(capsys, "send", "No Type", "--workflow", "checkout")[0] == 1
    assert said(capsys, "send", "a.failed", "--workflow", "w", "--payload", "[1]")[0] == 2


def absent(origin: str) -> Any:
    def made(url: str, key: str, **options: Any) -> Client:
        client = Client(url, key, **options)
        client.http.url = NOWHERE
        return client

    return made


def test_it_ends_with_three_while_away_and_with_four_without_the_right_key(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch, acme: Tenant
) -> None:
    assert said(capsys, "--url", NOWHERE, "incidents", "ls")[0] == 3
    assert said(capsys, "--url", NOWHERE, "doctor")[0] == 1
    monkeypatch.setenv("AWFDRS_KEY", key_of(acme, Scope.EVENTS_WRITE))
    assert main(["incidents", "ls"]) == 4
    assert "incidents ls and rules effective read" in capsys.readouterr().err
    monkeypatch.setenv("AWFDRS_KEY", "awf_nobody_knows")
    assert said(capsys, "incidents", "ls")[0] == 4
    monkeypatch.delenv("AWFDRS_KEY")
    assert said(capsys, "incidents", "ls")[0] == 2


def test_a_file_replayed_twice_is_stored_once(
    capsys: Printed, acme: Tenant, tmp_path: Path
) -> None:
    body = {**event(), "occurred_at": "2026-01-19T10:00:00Z"}
    refusal = {"event": {**body, "run_id": "mended"}, "problem": {"code": "validation_failed"}}
    file = tmp_path / "events.ndjson"
    # the same line twice is two events; a line of refused.ndjson is the event in it
    file.write_text("\n".join(json.dumps(each) for each in (body, body, refusal)))
    assert said(capsys, "replay", str(file)) == (
        0,
        {"accepted": 3, "replayed": 0, "rejected": 0},
    )
    assert said(capsys, "replay", str(file))[1]["replayed"] == 3
    assert len(stored(acme)) == 3
    file.write_text(json.dumps({**body, "event_type": "Not one"}))
    assert main(["replay", str(file)]) == 1
    assert "line 1: " in capsys.readouterr().err
    file.write_text("{}")
    assert main(["replay", str(file)]) == 2
    assert main(["replay", str(tmp_path / "none")]) == 1


def test_a_wrapped_command_reports_how_it_started_and_ended_and_ends_as_the_command_did(
    capsys: Printed, acme: Tenant
) -> None:
    run = ("run", "--workflow", "nightly", "--run-id", "r-1", "--", sys.executable, "-c")
    assert main([*run, "import sys; sys.exit('disk full')"]) == 1
    assert main([*run, "pass"]) == 0
    assert main([*run, "import os; os.kill(os.getpid(), 9)"]) == 137
    assert main(["run", "--workflow", "nightly", "--", "/no/such/program"]) == 127
    events = stored(acme)
    assert [row.event_type.removeprefix("job.") for row in events] == [
        *("started", "failed"),
        *("started", "completed"),
        *("started", "failed"),
        *("started", "failed"),
    ]
    assert {row.run_ref for row in events[:6]} == {"r-1"}
    failed = events[1].payload
    assert (failed["error_code"], failed["error_message"]) == ("exit_1", "disk full")
    assert failed["stderr"] == ["disk full"]
    assert "sys.exit" not in json.dumps(failed)  # arguments may be secrets
    assert events[5].payload["error_code"] == "sigkill"


@pytest.mark.parametrize("without", ["the right key", "an answer", "an answer and a disk"])
def test_a_wrapped_command_runs_also_when_nobody_takes_the_reports(
    without: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if without == "the right key":
        monkeypatch.setenv("AWFDRS_KEY", "awf_nobody_knows")
    else:
        monkeypatch.setenv("AWFDRS_URL", NOWHERE)
    if "disk" in without:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("AWFDRS_SPOOL", str(tmp_path / "file" / "spools"))
    assert main(["run", "--workflow", "nightly", "--", sys.executable, "-c", "exit(3)"]) == 3


def test_replay_waits_where_the_limit_of_the_key_says_so(
    capsys: Printed, acme: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        with scoping.bound(acme.pk):
            ApiKey.objects.for_tenant(acme).update(rate_per_second=1e6, burst=1000)

    monkeypatch.setenv("AWFDRS_KEY", key_of(acme, rate_per_second=0.01, burst=2))
    monkeypatch.setattr(sending, "sleep", wait)
    file = tmp_path / "events.ndjson"
    body = {**event(), "occurred_at": "2026-01-19T10:00:00Z"}
    file.write_text("\n".join(json.dumps({**body, "run_id": f"r-{n}"}) for n in range(5)))
    assert said(capsys, "replay", str(file))[1] == {"accepted": 5, "replayed": 0, "rejected": 0}
    assert [seconds >= 1 for seconds in waited] == [True]


def test_tail_shows_the_latest_events_oldest_first(capsys: Printed, acme: Tenant) -> None:
    for number in range(3):
        submit(acme, run_id=f"order-{number}")
    submit(acme, workflow="other")
    assert main(["tail", "--once", "-n", "2", "--workflow", "checkout"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines] == ["order-1", "order-2"]


def test_tail_outlives_a_server_that_is_away_for_a_while(
    capsys: Printed, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(acme, run_id="before")
    call = Http.call
    story = iter(
        ["", "away", "new", "enough"]
    )  # what happens while it rests, from the first time on

    def rest(seconds: float) -> None:
        now = next(story)
        if now == "enough":
            raise KeyboardInterrupt
        if now == "new":
            submit(acme, run_id="after")
        monkeypatch.setattr(Http, "call", gone if now == "away" else call)

    def gone(*arguments: Any, **options: Any) -> Any:
        raise Away("AWFDRS answers 503: later.")

    monkeypatch.setattr(sending, "sleep", rest)
    assert main(["tail"]) == 130
    printed = capsys.readouterr()
    assert [line.split()[-1] for line in printed.out.splitlines()] == ["before", "after"]
    assert "Asking again" in printed.err


def test_incidents_are_listed_shown_acknowledged_and_resolved(
    capsys: Printed, acme: Tenant
) -> None:
    incident: Incident = IncidentFactory(tenant=acme, title="Cards \x1b[31m declined")
    assert main(["incidents", "ls"]) == 0
    printed = capsys.readouterr().out
    # what others reported does not steer the terminal
    assert str(incident) in printed
    assert "\x1b" not in printed
    code, found = said(capsys, "incidents", "show", str(incident))
    assert (code, found["id"]) == (0, str(incident.pk))
    assert main(["incidents", "show", str(incident.pk)]) == 0
    capsys.readouterr()
    assert said(capsys, "incidents", "ack", str(incident))[1]["acknowledged_at"]
    resolve = ("incidents", "resolve", str(incident), "--reason", "mended")
    assert said(capsys, *resolve)[1]["status"] == "resolved"
    assert said(capsys, "incidents", "ls")[1] is None
    assert said(capsys, "incidents", "show", "INC-999999")[0] == 1
    assert said(capsys, "incidents", "ls", "stauts:open")[0] == 1


def test_an_incident_with_runs_left_is_resolved_only_when_they_are_waived(
    capsys: Printed, acme: Tenant
) -> None:
    submit(acme, run_id="order-1")
    digest_all()
    number = said(capsys, "incidents", "ls")[1]["number"]
    code, refusal = said(capsys, "incidents", "resolve", number, "--reason", "mended")
    assert (code, refusal["problem"]["code"]) == (1, "unrecovered_runs")
    waived = ("incidents", "resolve", number, "--reason", "lost", "--waive-unrecovered")
    assert said(capsys, *waived)[1]["status"] == "resolved"


def test_rules_are_exported_tried_and_imported_as_one_file(
    capsys: Printed, acme: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("overrides: {workflow: {checkout: {retry.max_retries: 2}}}")
    waited = lambda _: simulation_work.work_due()  # noqa: E731
    monkeypatch.setattr("awfdrs_site.client.rules_cli.sleep", waited)
    code, tried = said(capsys, "rules", "simulate", str(file))
    assert (code, tried["state"], tried["result"]["is_empty"]) == (0, "done", True)
    assert main(["rules", "import", str(file), "--reason", "twice is enough"]) == 0
    assert "workflow checkout: version 1" in capsys.readouterr().out
    assert said(capsys, "rules", "import", str(file))[1] == {"changes": []}
    assert main(["rules", "export"]) == 0
    assert "retry.max_retries: 2" in capsys.readouterr().out
    file.write_text("overrides: {workflow: {checkout: {retry.max_retries: -2}}}")
    assert said(capsys, "rules", "import", str(file))[0] == 1


def test_rules_in_force_are_shown_and_what_has_no_api_ends_with_five(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, rules = said(capsys, "rules", "effective", "--error-code", "payment_timeout")
    assert code == 0
    assert all(value["source"] for value in rules["values"].values())
    gone = Problem({"status": 404, "code": "not_found"})
    monkeypatch.setattr("awfdrs_site.client.rules_cli._export", Mock(side_effect=gone))
    assert said(capsys, "rules", "export")[0] == 5
