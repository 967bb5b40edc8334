"""The only keyboard table: the `?` sheet, the hints on buttons and keys.js are all made from it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Binding:
    """`where` is list, detail or everywhere; a key such as "g i" is pressed in two strokes."""

    does: str
    keys: tuple[str, ...]
    label: str
    where: str = "everywhere"
    words: str = ""  # by which else the command palette finds it


BINDINGS = (
    Binding("next", ("j", "ArrowDown"), "Next incident", "list"),
    Binding("previous", ("k", "ArrowUp"), "Previous incident", "list"),
    Binding("open", ("o", "Enter"), "Open", "list"),
    Binding("show-new", (".",), "Show new incidents", "list"),
    Binding("search", ("/",), "Search", "list"),
    Binding("filter", ("f",), "Filter by values", "list"),
    Binding("show-changed", (".",), "Show what came meanwhile", "detail"),
    Binding("next-incident", ("j",), "Next incident", "detail"),
    Binding("previous-incident", ("k",), "Previous incident", "detail"),
    Binding("back", ("Backspace",), "Back to the list", "detail"),
    Binding("approve", ("y",), "Approve", "detail"),
    Binding("reject", ("n",), "Reject", "detail"),
    Binding("select", ("x",), "Select", "list"),
    Binding("select-to-here", ("X",), "Select from the last one to here", "list"),
    Binding("select-next", ("J",), "Select the next one too", "list"),
    Binding("select-page", ("Ctrl+a",), "Select the page", "list"),
    Binding("note", ("c",), "Write a note", "detail"),
    Binding("label", ("l",), "Say what kind of failure it was", "detail", words="category label"),
    Binding("run", ("r",), "Send again what is unclear", "detail", words="retry now"),
    Binding("copy", ("M",), "Copy as Markdown", "detail", words="post-mortem report"),
    Binding("acknowledge", ("a",), "Acknowledge"),
    Binding("snooze-1", ("s 1",), "Snooze 30 minutes"),
    Binding("snooze-2", ("s 2",), "Snooze 1 hour"),
    Binding("snooze-3", ("s 3",), "Snooze 2 hours"),
    Binding("snooze-4", ("s 4",), "Snooze 6 hours"),
    Binding("snooze-5", ("s 5",), "Snooze until tomorrow 9:00"),
    Binding("snooze", ("s 6",), "Snooze until something happens"),
    Binding("assign", ("i",), "Assign"),
    Binding("assign-me", ("i i",), "Assign to me"),
    Binding("undo", ("z",), "Undo", words="take back"),
    Binding("resolve", ("e",), "Resolve"),
    Binding("escalate", ("p",), "Escalate"),
    Binding("merge", ("m",), "Merge"),
    Binding("overview", ("g o",), "Go to the overview"),
    Binding("incidents", ("g i",), "Go to incidents"),
    Binding("runs", ("g r",), "Go to runs"),
    Binding("workflows", ("g w",), "Go to workflows"),
    Binding("analytics", ("g n",), "Go to analytics"),
    Binding("events", ("g e",), "Go to events"),
    Binding("approvals", ("g a",), "Go to approvals"),
    Binding("inbox", ("g m",), "Go to your messages"),
    Binding("campaigns", ("g c",), "Go to campaigns"),
    Binding("deliveries", ("g d",), "Go to deliveries"),
    Binding("rules", ("g u",), "Go to rules"),
    Binding("safety", ("g s",), "Go to the safety overview"),
    Binding("vendors", ("g v",), "Go to vendors"),
    Binding("kill-switches", ("g k",), "Go to kill switches"),
    Binding("help-pages", ("g h",), "Go to help"),
    Binding("stop", ("!",), "STOP", words="kill switch stop halt hold runaway"),
    Binding("commands", ("Ctrl+k",), "Commands"),
    Binding("clear", ("Escape",), "Clear the selection, close what is open"),
    Binding("utc", ("u",), "Times in UTC, and back"),
    Binding("sidebar", ("[",), "Hide or show the sidebar"),
    Binding("theme", ("t",), "Switch theme", words="dark light colours"),
    Binding("help", ("?",), "Every key, on a sheet", words="keyboard shortcuts help"),
)
# Moves are for the hand on the keyboard; in a list of commands they would only be in the way.
_MOVES = {
    "next",
    "previous",
    "open",
    "next-incident",
    "previous-incident",
    "select-next",
    "commands",
    "clear",
}
_WHERE = {"list": "In the list", "detail": "On an incident", "everywhere": "Everywhere"}
_SHOWN_AS = {"ArrowDown": "↓", "ArrowUp": "↑", "Backspace": "⌫", "Enter": "↵", "Escape": "Esc"}


@dataclass(frozen=True)
class Group:
    """The bindings of one place, for the sheet."""

    label: str
    bindings: tuple[Binding, ...]


def groups() -> tuple[Group, ...]:
    return tuple(
        Group(label, tuple(binding for binding in BINDINGS if binding.where == where))
        for where, label in _WHERE.items()
    )


def commands() -> tuple[Binding, ...]:
    """What the command palette offers."""
    return tuple(binding for binding in BINDINGS if binding.does not in _MOVES)


def for_browser() -> list[dict[str, object]]:
    """Without the words: the page has them where they are read."""
    return [
        {"does": binding.does, "keys": binding.keys, "where": binding.where} for binding in BINDINGS
    ]


def shown(key: str) -> str:
    """A key as it stands on a key cap."""
    return " ".join(_SHOWN_AS.get(stroke, _cap(stroke)) for stroke in key.split(" "))


def first_key(does: str) -> str:
    """The key cap of a binding, or nothing when it has no key."""
    return next((shown(binding.keys[0]) for binding in BINDINGS if binding.does == does), "")


def _cap(stroke: str) -> str:
    """A capital is pressed with Shift, and says so."""
    held, _, letter = stroke.rpartition("+")
    cap = (
        f"⇧ {letter}"
        if letter.isalpha() and len(letter) == 1 and letter.isupper()
        else letter.upper()
    )
    return f"{held} {cap}" if held else cap
