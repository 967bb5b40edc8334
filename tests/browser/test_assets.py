"""The vendored files are the ones we checked in, and everything the templates name exists."""

import hashlib
import re
from pathlib import Path

import pytest

from actions import presentation
from awfdrs_site.lib.assets import BUNDLES
from incidents.presentation import details, rows, runs, timeline

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ROOT / "static" / "vendor"
OF_ANOTHER_PAGE = {
    "js/swagger.js",  # Swagger and the admin have pages without the console around them
    "css/admin_pages.css",
}
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


def test_every_vendored_file_has_its_checksum() -> None:
    lines = [line for line in (VENDOR / "CHECKSUMS").read_text().splitlines() if line[0] != "#"]
    named = {line.split()[1]: line.split()[0] for line in lines}
    for name, digest in named.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name
    shipped = {path.name for path in VENDOR.iterdir() if path.suffix in {".js", ".svg", ".woff2"}}
    assert shipped <= set(named)


def test_every_icon_that_is_named_is_in_the_sprite() -> None:
    sprite = set(re.findall(r'<symbol id="([\w-]+)"', (VENDOR / "icons.svg").read_text()))
    used = {n for path in TEMPLATES for n in re.findall(r'{% icon "([\w-]+)"', path.read_text())}
    pills = [
        *runs.PILLS.values(),
        *presentation.PILLS.values(),
        *presentation.VERIFIED.values(),
    ]
    worded = {icon for _, icon, _ in timeline.WORDS.values()} | {pill.icon for pill in pills}
    worded |= {icon for icon, _, _ in details.CHOICES.values()}
    worded |= {step.icon for step in runs.STEPS.values()}
    worded |= {icon for _, icon, _ in timeline.REPORTED.values()}
    worded |= set(
        re.findall(r'(?:Pill|NextStep)\(\s*"\w+", "([\w-]+)"', Path(rows.__file__).read_text())
    )
    assert len(used) > 15
    assert len(worded) > 20
    assert used | worded <= sprite


def test_every_stylesheet_and_script_is_in_a_bundle() -> None:
    bundled = {part for parts in BUNDLES.values() for part in parts}
    static = ROOT / "static"
    written = {
        str(p.relative_to(static))
        for p in [*static.rglob("css/**/*.css"), *static.rglob("js/*.js")]
    }
    assert written - OF_ANOTHER_PAGE <= bundled


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_templates_hold_no_inline_style_script_or_handler(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\sstyle=|\son\w+=|<style|hx-on|js:|javascript:", text)
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert "http://" not in text
    assert "https://" not in text
