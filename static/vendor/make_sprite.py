"""Build icons.svg from an unpacked lucide-static package: `python make_sprite.py path/to/package`.

Only needed to add an icon: the sprite is committed. Severity glyphs and the logo are ours.
"""

import re
import sys
from pathlib import Path

ICONS = (
    "activity",
    "arrow-right",
    "arrow-up",
    "ban",
    "bell-off",
    "book-open",
    "check",
    "chevron-down",
    "chevron-left",
    "chevron-right",
    "chevrons-up-down",
    "circle-alert",
    "circle-check",
    "circle-x",
    "clock",
    "contrast",
    "copy",
    "ellipsis",
    "eye",
    "eye-off",
    "flame",
    "hourglass",
    "inbox",
    "info",
    "link",
    "list",
    "lock",
    "log-out",
    "menu",
    "message-square",
    "minus",
    "moon",
    "octagon-x",
    "plug",
    "plus",
    "power",
    "rotate-ccw",
    "rotate-cw",
    "search",
    "settings",
    "shield-alert",
    "shield-check",
    "sliders-horizontal",
    "sun",
    "trash-2",
    "triangle-alert",
    "undo-2",
    "user",
    "webhook",
    "workflow",
    "x",
    "zap",
)

# Severity is shape and colour, never colour alone. The mark in the octagon is a hole, so the
# glyph needs one colour and styles itself through <use>, where outer selectors do not reach.
OWN = {
    "severity-critical": (
        '<path fill="currentColor" stroke="none" fill-rule="evenodd" d="M8 1.5h8L22.500 8v8L16 '
        "22.500H8L1.500 16V8zM10.700 6.500v7.200a1.300 1.300 0 0 0 2.600 0V6.500a1.300 1.300 0 0 0"
        '-2.600 0zM12 16.300a1.600 1.600 0 1 0 0 3.200 1.600 1.600 0 0 0 0-3.200z"/>'
    ),
    "severity-high": '<path stroke-width="2.600" d="m5 12 7-7 7 7M5 19.500l7-7 7 7"/>',
    "severity-medium": '<path stroke-width="2.600" d="m5 15.500 7-7 7 7"/>',
    "severity-low": '<path stroke-width="2.600" d="M6 12h12"/>',
    "logo": (
        '<rect width="24" height="24" rx="6.500" fill="currentColor" stroke="none"/>'
        '<path stroke="#fff" stroke-width="2" d="M4.500 12.800h3l2.100-5.800 4 10.800 2.400-7.200 '
        '1 2.200h2.500"/>'
    ),
}


def main(package: Path) -> None:
    drawn = dict(OWN)
    for name in ICONS:
        source = (package / "icons" / f"{name}.svg").read_text()
        drawn[name] = re.sub(r"\s+", " ", re.search(r"<svg[^>]*>(.*)</svg>", source, re.DOTALL)[1])
    symbols = "\n".join(
        f'<symbol id="{name}" viewBox="0 0 24 24">{body.strip()}</symbol>'
        for name, body in sorted(drawn.items())
    )
    licence = re.search(r"<!--.*?-->", source, re.DOTALL)[0]
    (Path(__file__).parent / "icons.svg").write_text(
        f'{licence}\n<svg xmlns="http://www.w3.org/2000/svg">\n{symbols}\n</svg>\n'
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
