"""The only place that writes the outage table of docs/operations.md: from what `make faults` has shown.

Run `python -m tests.faults.outage_table` after it.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "tests/faults/outages/results.json"
PAGE = ROOT / "docs/operations.md"
BEGIN = "<!-- outage table: python -m tests.faults.outage_table -->"
END = "<!-- end of the outage table -->"
_HEAD = ("| what breaks | for | what holds | shown |", "|---|---|---|---|")
_ORDER = ("Redis", "Postgres", "one worker", "all workers", "beat", "two beats", "worker clock")


def table(results: Iterable[Mapping[str, str]]) -> str:
    lines = [
        f"| {cell['outage']} | {cell['part']} | {cell['promise']} | {cell['result']} |"
        for cell in sorted(results, key=_place)
    ]
    return "\n".join([*_HEAD, *lines])


def within(page: str, made: str) -> str:
    """The page with the table between its markers, and nothing else changed."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def shown() -> str:
    return table(json.loads(RESULTS.read_text()).values())


def _place(cell: Mapping[str, str]) -> tuple[int, str, str]:
    known = [place for place, word in enumerate(_ORDER) if cell["outage"].startswith(word)]
    return (known[0] if known else len(_ORDER), cell["outage"], cell["part"])


if __name__ == "__main__":
    PAGE.write_text(within(PAGE.read_text(), shown()))
