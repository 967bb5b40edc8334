"""The only place that learns where texts of one failure differ, when masking cannot see it.

A tree of fixed depth after Drain (He, Zhu, Zheng, Lyu: "Drain: An Online Log Parsing Approach with
Fixed Depth Tree", ICWS 2017): a text goes by its length and its first tokens to a leaf, and there
to the template it resembles. Three things are ours, because a wrong join hides a failure:

1. Who and where a failure happened to may vary, what went wrong may not: a token varies only when
   it looks like a value, is the value of a key, or stands where a name stands, and the shorter
   the rest of the text, the better that has to be (`_JOIN_DEMANDS`).
2. A wildcard takes what it was learned from: `<value>` only tokens that look like values.
3. No text fits two templates of a leaf, ever: a template generalises only where it stays disjoint
   from its neighbours, so a text keeps its template whatever is learned after it.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

ANY = "<*>"
VALUE = "<value>"
LEAF_LIMIT = 200  # templates; a text that needs another one joins the leaf's overflow template
_LEAF_NAME_LIMIT = 80
_DEPTH = 2  # tokens that lead to a leaf

# How many words two texts must share for each place where they differ.
_PLACEHOLDERS = 1  # <num> and <id>
_VALUES = 2  # node<num> and <ip>, com.acme.a and com.acme.b, key=a and key=b, user alice and bob
_WORDS = 12  # a word in a long sentence


@dataclass(frozen=True)
class Template:
    """What the texts of one group share. The key is the founding text's and never changes."""

    key: str
    leaf: str
    tokens: tuple[str, ...]


def leaf_of(masked: str) -> str:
    """The leaf of the tree where templates of this text hang."""
    return _leaf(_tokens(masked))


def place(masked: str, leaf: Sequence[Template]) -> Template:
    """The template of a normalised text: one of the leaf's, perhaps generalised, or a new one.

    `leaf` is every template of `leaf_of(masked)`, in order of founding. A full leaf learns nothing
    more: what fits none of its templates is the overflow's.
    """
    tokens = _tokens(masked)
    for template in leaf:
        if _covers(template.tokens, tokens):
            return template
    if len(leaf) >= LEAF_LIMIT:
        return _overflow(tokens)
    return _joined(tokens, leaf) or Template(_digest(masked), _leaf(tokens), tokens)


def learn(masked: str, leaves: dict[str, list[Template]]) -> Template:
    """Place a text in a tree held in memory."""
    leaf = leaves.setdefault(leaf_of(masked), [])
    placed = place(masked, leaf)
    for at, template in enumerate(leaf):
        if template.key == placed.key:
            leaf[at] = placed
            return placed
    leaf.append(placed)
    return placed


def _tokens(masked: str) -> tuple[str, ...]:
    # A text that contains our wildcards must not found a template that has them.
    return tuple(masked.replace(ANY, "<any>").replace(VALUE, "<any>").split(" "))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _leaf(tokens: tuple[str, ...]) -> str:
    name = " ".join((str(len(tokens)), *map(_branch, tokens[:_DEPTH])))
    return name if len(name) <= _LEAF_NAME_LIMIT else f"{len(tokens)} #{_digest(name)}"


def _branch(token: str) -> str:
    if looks_like_a_value(token):
        return "*"
    key = _KEY.match(token)
    return key[0] if key else token


def _overflow(tokens: tuple[str, ...]) -> Template:
    name = _leaf(tokens)
    return Template(_digest(f"overflow {name}"), name, (ANY,) * len(tokens))


# --- what a token may be ----------------------------------------------------------------------

_KEY = re.compile(r"""[(\[{"']{0,4}[^\W\d][\w.-]*+=""")
_LABEL = re.compile(r"""[(\[{"']{0,4}[^\W\d][\w.-]*+:(?=.)""")
_PROBLEM_KEY = re.compile(
    r"(?:code|err(?:or|no)?|reason|status|state|type|message|msg|exception|cause|result|event"
    r"|action|method|level|severity|category|kind|op(?:eration)?|step|phase|stage|outcome|signal)="
    r"\Z"
)
_PROBLEM = re.compile(
    r"error|exception|fault|fail|time[_-]?out|denied|refused|unavail|exceed|not[_-]?found|abort"
    r"|panic|invalid|illegal|missing|conflict|violat|expired|reject|declin|limit|forbid|unauthor"
)
_PLACEHOLDER = re.compile(r"<[a-z]{2,8}>")
_DOTTED = re.compile(r"[^\W\d][\w$-]*+(?:\.[\w$-]++)++")
_WORD = re.compile(r"[^\W\d_]{2}")
_EDGES = "()[]{}\"',;:!?.*"
_EMPTY = frozenset({"null", "nil", "undefined", "nan", "n/a", "true", "false"})


@lru_cache(maxsize=8192)
def looks_like_a_value(token: str) -> bool:
    """It has a placeholder or dots inside, is null or a boolean, or has no letter at all."""
    if _KEY.match(token) or _LABEL.match(token):
        return False
    if _PLACEHOLDER.search(token):
        return True
    core = token.strip(_EDGES)
    if not core or core in _EMPTY or not any(map(str.isalnum, core)):
        return True
    return _DOTTED.fullmatch(core) is not None and not _PROBLEM.search(core)


@lru_cache(maxsize=8192)
def _is_word(token: str) -> bool:
    return _WORD.search(_PLACEHOLDER.sub("", token)) is not None


_WHO = frozenset("user username account host hostname client peer node agent device".split())
_OF_WHOM = frozenset("for by of as to from on at with invalid illegal unknown".split())
_ACCESS = frozenset("password publickey login access session permission".split())


def _names_somebody(tokens: tuple[str, ...], at: int) -> bool:
    """Where the name of a person or a machine stands: "by user …", "password for …"."""
    if at < _DEPTH or not tokens[at].strip(_EDGES):
        return False
    before, between = tokens[at - 2], tokens[at - 1]
    return (before in _OF_WHOM and between in _WHO) or (before in _ACCESS and between == "for")


# --- patterns ---------------------------------------------------------------------------------


def _covers(pattern: tuple[str, ...], tokens: tuple[str, ...]) -> bool:
    return all(map(_takes, pattern, tokens))


def _takes(pattern: str, token: str) -> bool:
    """Whether a template with `pattern` in a place takes a text with `token` there."""
    if pattern in (token, ANY):
        return True
    if pattern == VALUE:
        return looks_like_a_value(token)
    return pattern.endswith(ANY) and token.startswith(pattern[: -len(ANY)])


def _meet(one: str, other: str) -> bool:
    """Whether some token is taken by both."""
    return _takes(one, other) or _takes(other, one)


# --- joining ----------------------------------------------------------------------------------


def _joined(tokens: tuple[str, ...], leaf: Sequence[Template]) -> Template | None:
    """The template that resembles the text most, generalised so far that it takes the text."""
    candidates = []
    for order, template in enumerate(leaf):
        wider = _wider(template.tokens, tokens)
        if wider and _stays_apart(wider, template, leaf):
            equal = sum(map(str.__eq__, wider, tokens))
            candidates.append((-equal, order, replace(template, tokens=wider)))
    return min(candidates)[2] if candidates else None


def _stays_apart(wider: tuple[str, ...], template: Template, leaf: Sequence[Template]) -> bool:
    return not any(
        other.key != template.key and all(map(_meet, wider, other.tokens)) for other in leaf
    )


def _wider(pattern: tuple[str, ...], tokens: tuple[str, ...]) -> tuple[str, ...] | None:
    """The least general pattern that takes both, None when the texts are too different."""
    wider, shared, demanded = [], 0, 0
    for at, (known, token) in enumerate(zip(pattern, tokens, strict=True)):
        if _takes(known, token):
            wider.append(known)
            shared += known == token and _is_word(token)
            continue
        both = _either(known, token, is_name=_names_somebody(tokens, at), at=at)
        if both is None:
            return None
        wider.append(both[0])
        demanded += both[1]
    return tuple(wider) if shared >= demanded else None


def _either(known: str, token: str, *, is_name: bool, at: int) -> tuple[str, int] | None:
    """What takes both tokens, and how many words the texts must share for it."""
    if (key := _shared_key(known, token)) is not None:
        return f"{key}{ANY}", _VALUES
    if looks_like_a_value(known) and looks_like_a_value(token):
        bare = not _is_word(known) and not _is_word(token)
        return VALUE, _PLACEHOLDERS if bare else _VALUES
    if is_name:
        return ANY, _VALUES
    if at >= _DEPTH and not (_names_a_problem(known) or _names_a_problem(token)):
        return ANY, _WORDS
    return None


def _shared_key(known: str, token: str) -> str | None:
    """`key=` or `key:` when both have it and their values may differ."""
    for key in (_KEY, _LABEL):
        found = key.match(known)
        if found and token.startswith(found[0]):
            values = known[found.end() :], token[found.end() :]
            if all(map(looks_like_a_value, values)):
                return found[0]
            return None if key is _LABEL or _PROBLEM_KEY.search(found[0]) else found[0]
    return None


def _names_a_problem(token: str) -> bool:
    return token.isdecimal() or bool(_KEY.match(token) or _PROBLEM.search(token))
