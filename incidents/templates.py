"""The only place that learns where texts of one failure differ, when masking cannot see it.

A tree of fixed depth after Drain (He, Zhu, Zheng, Lyu: "Drain: An Online Log Parsing Approach with
Fixed Depth Tree", ICWS 2017): a text goes by its length and its first tokens to a leaf, and there
to the template it resembles. Three things are ours, because a wrong join hides a failure:

1. Who and where a failure happened to may vary, what went wrong may not: a token varies only when
   it looks like a value, is the value of a key, or stands where a name stands, and the shorter
   the rest of the text, the fewer such places it may have (the demands below).
2. A wildcard takes what it was learned from: `<value>` only tokens that look like values.
3. No text fits two templates of a leaf, ever: a template generalises only where it stays disjoint
   from its neighbours, so a text keeps its template whatever is learned after it.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from incidents.values import introduces_a_problem, is_about_a_problem

ANY = "<*>"
VALUE = "<value>"
LEAF_LIMIT = 200  # templates; a text that needs another one joins the leaf's overflow template
_LEAF_NAME_LIMIT = 80
_TOKEN_LIMIT = 64  # the rest of a longer text is one token
_NEW_WILDCARDS = 16  # texts that differ in more places than that are two templates
_DEPTH = 2  # tokens that lead to a leaf

# How many words two texts must share for each place where they differ.
_PLACEHOLDERS = 1  # <num> and <id>
_VALUES = 2  # node<num> and <ip>
_NAMES = 2  # user alice and user bob
_DOTS = 3  # com.acme.a and com.acme.b
_KEYED = 1  # key=a and key=b: the key is a word they share
_CODES = 4  # 404 where a number of no meaning stood: a field of a report, not what went wrong
_WORDS = 12  # a word in a long sentence


@dataclass(frozen=True)
class Template:
    """What the texts of one group share. The key is the founding text's and never changes."""

    key: str
    leaf: str
    tokens: tuple[str, ...]


def key_of(masked: str) -> str:
    """The key of the template this text would found."""
    return hashlib.sha256(masked.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def leaf_of(masked: str) -> str:
    """The leaf of the tree where templates of this text hang."""
    return _leaf(_tokens(masked))


def place(masked: str, leaf: Sequence[Template]) -> Template:
    """The template of a normalised text: one of the leaf's, perhaps generalised, or a new one.

    `leaf` is every template of `leaf_of(masked)`, in order of founding. A full leaf learns nothing
    more: what fits none of its templates is the overflow's.
    """
    tokens = _tokens(masked)
    differences = [_differences(template.tokens, tokens) for template in leaf]
    for template, places in zip(leaf, differences, strict=True):
        if all(_takes(template.tokens[at], tokens[at]) for at in places):
            return template
    if len(leaf) >= LEAF_LIMIT:
        return _overflow(tokens)
    return _joined(tokens, leaf, differences) or Template(key_of(masked), _leaf(tokens), tokens)


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
    text = masked.replace(ANY, "<any>").replace(VALUE, "<any>")
    return tuple(text.split(" ", _TOKEN_LIMIT - 1))


def _leaf(tokens: tuple[str, ...]) -> str:
    name = " ".join((str(len(tokens)), *map(_branch, tokens[:_DEPTH])))
    return name if len(name) <= _LEAF_NAME_LIMIT else f"{len(tokens)} #{key_of(name)}"


def _branch(token: str) -> str:
    if looks_like_a_value(token):
        return "*"
    key = _KEY.match(token)
    return key[0] if key else token


def _overflow(tokens: tuple[str, ...]) -> Template:
    name = _leaf(tokens)
    return Template(key_of(f"overflow {name}"), name, (ANY,) * len(tokens))


# --- what a token may be ----------------------------------------------------------------------

_KEY = re.compile(r"""[(\[{"']{0,4}[^\W\d][\w.-]*+=""")
_LABEL = re.compile(r"""[(\[{"']{0,4}[^\W\d][\w.-]*+:(?=[^/])""")
_PLACEHOLDER = re.compile(r"<[a-z]{2,8}>")
_DOTTED = re.compile(r"[^\W\d][\w$-]*+(?:\.[\w$-]++)++")
_NUMBERED = re.compile(r"([^\W\d_]{3,}+)[-_#]?<num>")  # disk<num> is another thing than fan<num>
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
    return _DOTTED.fullmatch(core) is not None and not is_about_a_problem(core)


@lru_cache(maxsize=8192)
def _is_word(token: str) -> bool:
    return _WORD.search(_PLACEHOLDER.sub("", token)) is not None


_WHO = frozenset(("user", "username", "account", "host", "hostname", "client", "peer", "node"))
_OF_WHOM = frozenset(("for", "by", "of", "as", "to", "from", "on", "at", "with", "invalid"))
_ACCESS = frozenset(("password", "publickey", "login", "access", "session", "permission"))


def _names_somebody(tokens: tuple[str, ...], at: int) -> bool:
    """Where the name of a person or a machine stands: "by user …", "password for …"."""
    if at < _DEPTH or not tokens[at].strip(_EDGES):
        return False
    before, between = tokens[at - 2], tokens[at - 1]
    return (before in _OF_WHOM and between in _WHO) or (before in _ACCESS and between == "for")


# --- patterns ---------------------------------------------------------------------------------


def _differences(pattern: tuple[str, ...], tokens: tuple[str, ...]) -> list[int]:
    both = zip(pattern, tokens, strict=True)
    return [at for at, (known, token) in enumerate(both) if known != token]


def _takes(pattern: str, token: str) -> bool:
    """Whether a template with `pattern` in a place takes a text with `token` there."""
    if pattern in (token, ANY):
        return True
    if pattern == VALUE:
        return looks_like_a_value(token)
    return pattern.endswith(ANY) and token.startswith(pattern[: -len(ANY)])


def _meet(one: str, other: str) -> bool:
    """Whether some token may be taken by both."""
    wildcards = sum(pattern == VALUE or pattern.endswith(ANY) for pattern in (one, other))
    return wildcards == 2 or _takes(one, other) or _takes(other, one)


# --- joining ----------------------------------------------------------------------------------


def _joined(
    tokens: tuple[str, ...], leaf: Sequence[Template], differences: Sequence[Sequence[int]]
) -> Template | None:
    """The template that resembles the text most, generalised so far that it takes the text."""
    n_words = sum(map(_is_word, tokens))
    by_likeness = sorted(zip(differences, range(len(leaf)), leaf, strict=True), key=_likeness)
    for places, _, template in by_likeness:
        wider = _wider(template.tokens, tokens, places, n_words)
        if wider and _stays_apart(wider, template, leaf):
            return replace(template, tokens=wider)
    return None


def _likeness(candidate: tuple[Sequence[int], int, Template]) -> tuple[int, int]:
    places, order, _ = candidate
    return len(places), order


def _stays_apart(wider: tuple[str, ...], template: Template, leaf: Sequence[Template]) -> bool:
    return not any(
        other.key != template.key and all(map(_meet, wider, other.tokens)) for other in leaf
    )


def _wider(
    pattern: tuple[str, ...], tokens: tuple[str, ...], places: Sequence[int], n_words: int
) -> tuple[str, ...] | None:
    """The least general pattern that takes both, None when the texts are too different."""
    wider, demanded, new = list(pattern), 0, 0
    shared = n_words - sum(_is_word(tokens[at]) for at in places)
    for at in places:
        if _takes(pattern[at], tokens[at]):
            continue
        both = _either(pattern[at], tokens[at], is_name=_names_somebody(tokens, at), at=at)
        new += 1
        if both is None or new > _NEW_WILDCARDS:
            return None
        wider[at] = both[0]
        demanded += both[1]
    return tuple(wider) if shared >= demanded else None


def _either(known: str, token: str, *, is_name: bool, at: int) -> tuple[str, int] | None:
    """What takes both tokens, and how many words the texts must share for it."""
    if (key := _shared_key(known, token)) is not None:
        return f"{key}{ANY}", _KEYED
    if looks_like_a_value(known) and looks_like_a_value(token):
        return VALUE, min(_demand(known, token), _NAMES if is_name else _WORDS)
    if is_name:
        return ANY, _NAMES
    if _is_number_and_code(known, token) or _is_number_and_code(token, known):
        return ANY, _CODES
    if at >= _DEPTH and not (_names_a_problem(known) or _names_a_problem(token)):
        return ANY, _WORDS
    return None


def _is_number_and_code(number: str, code: str) -> bool:
    return number == "<num>" and code.isdecimal()


def _demand(known: str, token: str) -> int:
    if not _is_word(known) and not _is_word(token):
        return _PLACEHOLDERS
    kinds = [_NUMBERED.fullmatch(one.strip(_EDGES)) for one in (known, token)]
    if kinds[0] and kinds[1]:
        return _WORDS
    return _VALUES if "<" in known and "<" in token else _DOTS


def _shared_key(known: str, token: str) -> str | None:
    """`key=` or `key:` when both have it and their values may differ."""
    for key in (_KEY, _LABEL):
        found = key.match(known)
        if found and token.startswith(found[0]):
            values = known[found.end() :], token[found.end() :]
            if all(map(looks_like_a_value, values)):
                return found[0]
            is_fixed = key is _LABEL or introduces_a_problem(found[0])
            return None if is_fixed else found[0]
    return None


@lru_cache(maxsize=8192)
def _names_a_problem(token: str) -> bool:
    return token.isdecimal() or bool(_KEY.match(token)) or is_about_a_problem(token)
