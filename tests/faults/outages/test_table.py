"""The outage table says what was shown, and changes nothing else of its page."""

from tests.faults import outage_table

REDIS = {
    "outage": "Redis refused",
    "part": "ingest",
    "promise": "201",
    "result": "shown",
    "test": "t",
}
NAMES = {"outage": "DNS down", "part": "calls", "promise": "no", "result": "FAILS", "test": "t"}


def test_each_cell_is_a_line_and_failures_show() -> None:
    made = outage_table.table([NAMES, REDIS])
    assert made.splitlines()[2:] == [
        "| Redis refused | ingest | 201 | shown |",
        "| DNS down | calls | no | FAILS |",
    ]


def test_only_what_stands_between_the_markers_changes() -> None:
    page = f"before\n{outage_table.BEGIN}\nold\n{outage_table.END}\nafter\n"
    made = outage_table.within(page, "new")
    assert made == f"before\n{outage_table.BEGIN}\nnew\n{outage_table.END}\nafter\n"


def test_the_operators_page_has_the_table_that_was_shown() -> None:
    page = outage_table.PAGE.read_text()
    assert outage_table.within(page, outage_table.shown()) == page
