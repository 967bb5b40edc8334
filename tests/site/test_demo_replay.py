"""Real failures told again: read strictly, sent in order, and the same events the next time."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError
from pytest_django.fixtures import Settings

from awfdrs_site.demo import cast, replay
from awfdrs_site.demo.client import Client, Reply
from awfdrs_site.demo.workflow_side import Retry, WorkflowSide

LINE = {
    "at_offset_seconds": 0,
    "workflow": "build",
    "event_type": "job.failed",
    "payload": {"error_message": "Connection reset"},
    "run_id": "r-1",
    "idempotency_key": "r-1-failed",
}


class Recorded(Client):
    """Remembers what was posted; answers events with the given statuses, then 201."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.registered: list[str] = []
        self.events: list[Mapping[str, Any]] = []

    def post(self, path: str, body: Mapping[str, Any]) -> Reply:
        if path == "/workflows":
            self.registered.append(body["slug"])
            assert body["idempotent"] == "key"
            return Reply(201, {"retry_secret": "whsec_c2VjcmV0"})
        self.events.append(body)
        return Reply(self.statuses.pop(0) if self.statuses else 201, {})


@pytest.fixture(autouse=True)
def data(settings: Settings, tmp_path: Path) -> None:
    settings.AWFDRS_DATA = tmp_path


def written(tmp_path: Path, *lines: Mapping[str, Any] | str) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path = tmp_path / "events.ndjson"
    path.write_text("\n".join(texts) + "\n")
    return path


def played(path: Path, client: Recorded, *, workflow: str | None = None) -> Mapping[int, int]:
    return replay.play(
        replay.read(path, workflow=workflow),
        client=client,
        company=cast.ACME,
        side=WorkflowSide(),
        speed=0,
        say=lambda _: None,
    )


def test_the_last_failure_happened_now_and_the_others_before_it(tmp_path: Path) -> None:
    client = Recorded()
    path = written(tmp_path, LINE, LINE | {"at_offset_seconds": 90, "run_id": "r-2"})
    played(path, client)
    first, last = (datetime.fromisoformat(event["occurred_at"]) for event in client.events)
    assert last - first == timedelta(seconds=90)
    assert timedelta() <= datetime.now(UTC) - last < timedelta(seconds=30)


def test_told_again_they_are_the_same_events(tmp_path: Path) -> None:
    once, again = Recorded(), Recorded()
    path = written(tmp_path, LINE)
    played(path, once)
    played(path, again)
    assert again.events == once.events


def test_every_workflow_is_registered_once_before_its_events(tmp_path: Path) -> None:
    client = Recorded()
    path = written(tmp_path, LINE, LINE, LINE | {"workflow": "deploy"})
    played(path, client)
    assert client.registered == ["build", "deploy"]
    assert [event["workflow"] for event in client.events] == ["build", "build", "deploy"]


def test_all_as_one_workflow_they_are_other_events(tmp_path: Path) -> None:
    client = Recorded()
    path = written(tmp_path, LINE, LINE | {"workflow": "deploy"})
    played(path, client, workflow="ci")
    assert client.registered == ["ci"]
    assert {event["workflow"] for event in client.events} == {"ci"}
    assert client.events[0]["idempotency_key"] == "ci.r-1-failed"


def test_answers_are_counted_by_status(tmp_path: Path) -> None:
    path = written(tmp_path, LINE, LINE, LINE, LINE)
    assert played(path, Recorded(201, 200, 422)) == {201: 2, 200: 1, 422: 1}


@pytest.mark.parametrize(
    "bad",
    ["{", "[]", json.dumps({"workflow": "build"}), json.dumps(LINE | {"surprise": 1})],
    ids=["no JSON", "no object", "too little", "too much"],
)
def test_a_line_that_is_no_event_is_named(tmp_path: Path, bad: str) -> None:
    with pytest.raises(CommandError, match="line 3"):
        replay.read(written(tmp_path, LINE, "", bad), workflow=None)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        replay.read(tmp_path / "nowhere", workflow=None)


def test_some_runs_recover_and_some_never_do() -> None:
    answers = [replay.recovers(Retry("build", f"r-{n}", 1, {})) for n in range(100)]
    assert 50 < sum(answers) < 95
    assert answers == [replay.recovers(Retry("build", f"r-{n}", 2, {})) for n in range(100)]
