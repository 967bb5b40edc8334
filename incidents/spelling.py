"""The only place that forgives typing: a one-letter slip in a common word of failure reports."""

# Seven letters or more, and no real word may be one slip away: "internal" has "interval",
# "refused" has "reused", so they are not here.
_WORDS = """
    authentication authorization available certificate compilation configuration conflict
    connection credentials database declined dependency environment exception exceeded execution
    failure incompatible installation insufficient integration invalid missing permission request
    response retrieval service timeout transaction unauthorized unavailable unexpected unknown
    unresolved validation version violation
"""
VOCABULARY = frozenset(_WORDS.split())


def _without_one(word: str) -> list[str]:
    return [word[:at] + word[at + 1 :] for at in range(len(word))]


# Two words one slip apart share a form with a letter left out; so a look-up, not a comparison
# with every word.
_BY_FORM = {form: word for word in sorted(VOCABULARY) for form in (word, *_without_one(word))}


def respelled(word: str) -> str:
    """The common word this one is a slip of (a letter lost, added, changed, or two swapped)."""
    if word in VOCABULARY or len(word) < 6 or not word.isascii():
        return word
    for form in (word, *_without_one(word)):
        meant = _BY_FORM.get(form)
        if meant is not None and _is_one_slip(word, meant):
            return meant
    return word


def _is_one_slip(typed: str, meant: str) -> bool:
    if typed.endswith("s") and typed[:-1] == meant:
        return False  # a plural is a word of its own
    # Of one length: one letter differs, or two neighbours changed places.
    if len(typed) == len(meant):
        wrong = [at for at, letter in enumerate(typed) if letter != meant[at]]
        return len(wrong) == 1 or (
            len(wrong) == 2
            and wrong[1] == wrong[0] + 1
            and typed[wrong[0]] == meant[wrong[1]]
            and typed[wrong[1]] == meant[wrong[0]]
        )
    longer, shorter = (typed, meant) if len(typed) > len(meant) else (meant, typed)
    return shorter in _without_one(longer)
