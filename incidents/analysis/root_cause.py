"""The only place that says why an incident happened: hypotheses that the data support, best first."""

from incidents.analysis import cause_attribute, cause_change, cause_cycle, cause_step, cause_vendor
from incidents.analysis.case import Case
from incidents.analysis.hypothesis import Hypothesis

CARDS = 5
LEAST_SCORE = 4.0  # a card that explains less is a coincidence
# What two kinds explain about equally well is told by the one that says more.
_RANK = {"change": 0, "vendor": 1, "cycle": 2, "attribute": 3, "step": 4}
_ABOUT = 0.9  # of the best score


def explain(case: Case) -> list[Hypothesis]:
    """Supported hypotheses, best first; empty: no supported cause."""
    if not case.mine:
        return []
    found = [
        *cause_vendor.hypotheses(case),
        *cause_change.hypotheses(case),
        *cause_attribute.hypotheses(case),
        *cause_cycle.hypotheses(case),
    ]
    found = [card for card in found if card.score >= LEAST_SCORE]
    found.sort(key=lambda card: -card.score)
    # a step that fails first is where it starts, and asks for a cause itself: it comes last
    return [*_near_ties(found), *cause_step.hypotheses(case)][:CARDS]


def _near_ties(found: list[Hypothesis]) -> list[Hypothesis]:
    if not found:
        return []
    best = found[0].score
    near = [card for card in found if card.score >= _ABOUT * best]
    return [*sorted(near, key=lambda card: (_RANK[card.kind], card.q_value)), *found[len(near) :]]
