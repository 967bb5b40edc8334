"""The image is built in our heads where there is no builder: what it copies is there, and what it runs runs on that."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.receiver import Receiver, Reply

ROOT = Path(__file__).parents[2]
PYTHON = Path(sys.executable)


def instructions() -> Iterator[tuple[str, str]]:
    """Of the Dockerfile, in order, each on one line."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        word, _, rest = line.partition(" ")
        if word:
            yield word, rest


def said(word: str) -> list[str]:
    return [rest for found, rest in instructions() if found == word]


def _as_regex(pattern: str) -> re.Pattern[str]:
    parts = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return re.compile(
        "".join(parts.get(p) or re.escape(p) for p in re.split(r"(\*\*/|\*)", pattern))
    )


def is_ignored(path: str) -> bool:
    """As Docker reads .dockerignore: the last line that fits the path, or a folder that it is in, decides."""
    above = [path, *(str(folder) for folder in Path(path).parents)]
    verdict = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            fits = _as_regex(line.removeprefix("!"))
            if any(fits.fullmatch(one) for one in above):
                verdict = not line.startswith("!")
    return verdict


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `COPY . .` would copy."""

    def left_out(folder: str, names: list[str]) -> set[str]:
        there = Path(folder).relative_to(ROOT)
        return {name for name in names if is_ignored((there / name).as_posix())}

    made = tmp_path_factory.mktemp("image") / "app"
    shutil.copytree(ROOT, made, ignore=left_out)
    return made


def in_it(context: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run there as the image would: its environment, and nothing of this project but what was copied."""
    home = context.parent
    environment = {
        "PATH": f"{PYTHON.parent}:{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "STATIC_ROOT": str(home / "static"),
        "AWFDRS_DATA": str(home / "data"),
    }
    return subprocess.run(command, cwd=context, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("manage.py", False),
        ("docs/help/start.md", False),
        ("docs/operations.md", True),
        (".env.production", True),
        (".env.example", True),
        ("tests/site/test_image.py", True),
        ("actions/__pycache__/asking.pyc", True),
        ("deploy/alive.py", False),
        ("deploy/k8s/web.yaml", True),
    ],
)
def test_we_read_the_list_of_what_stays_out_as_docker_does(path: str, ignored: bool) -> None:
    assert is_ignored(path) is ignored


def test_what_the_image_copies_is_in_its_context() -> None:
    ours = [line for line in said("COPY") if not line.startswith("--from=")]
    sources = [source for line in ours for source in line.split()[:-1]]
    assert {"requirements.txt", "."} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not is_ignored(source), source
    stages = {line.split(" AS ")[1] for line in said("FROM") if " AS " in line}
    froms = {match[1] for line in said("COPY") if (match := re.match(r"--from=(\S+)", line))}
    assert froms == stages


def test_the_last_step_of_the_image_works_on_what_was_copied(context: Path) -> None:
    assert not (context / "tests").exists()
    steps = [line for line in said("RUN") if "manage.py" in line]
    assert len(steps) == 1
    made = in_it(context, "sh", "-c", steps[0])
    assert made.returncode == 0, made.stderr
    assert any((context.parent / "static").rglob("*.css"))
    # every page and task of the product can be imported from there
    variables = dict(word.split("=", 1) for word in shlex.split(steps[0]) if "=" in word)
    given = [f"{name}={value}" for name, value in variables.items()]
    checked = in_it(context, "env", *given, "python", "manage.py", "check")
    assert checked.returncode == 0, checked.stderr


def test_the_image_says_that_it_is_well_when_its_door_answers(context: Path) -> None:
    [told] = said("HEALTHCHECK")
    command = json.loads(told.partition("CMD ")[2])
    assert command[:2] == ["python", "deploy/alive.py"]
    path = command[2].removeprefix("http://127.0.0.1:8000")
    for status, code in ((200, 0), (503, 1)):
        with Receiver({path: Reply(status=status)}) as door:
            assert in_it(context, *command[:2], door.url(path)).returncode == code
