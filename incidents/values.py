"""The only place that knows how values are written: times, sizes, addresses, paths, ids, hosts.

Every expression is bounded or possessive, so the time is linear in the text, whoever wrote it.
"""

import re
from http import HTTPStatus

_NUMBER = r"\d{1,18}+(?:[.,]\d{1,18}+){0,3}+"
_CLOCK = r"\d{1,2}:\d\d(?::\d\d(?:[.,:]\d{1,9})?)?"
_FILE_CLOCK = r"\d{1,2}[:.,_-]\d\d(?:[:.,_-]\d\d(?:[.,:]\d{1,9})?)?"  # as file names have it
_ZONE = r"(?:[ ]?(?:z|utc|gmt|[ap]m|[+-]\d\d:?\d\d)(?!\w))?"
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6},?[ ])?"
_UNIT = (
    r"(?:milliseconds?|microseconds?|nanoseconds?|millis|seconds?|minutes?|hours?|days?|weeks?"
    r"|months?|years?|msecs?|secs?|mins?|hrs?|ms|[uμ]s|ns|s|h)"
)
_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?![^\W_])"

# Values that contain spaces, so they have to be found before the text is cut into pieces; and
# ids and addresses whose parts can read like such a value.
SPAN = re.compile(
    rf"""(?=[-+\da-z])(?<![\w.])(?:
    (?P<uuid>{_UUID})
  | (?P<mac>[0-9a-f]{{2}}(?:[:-][0-9a-f]{{2}}){{5}}(?![\w:-]))
  | (?P<ip>(?:[0-9a-f]{{1,4}}:){{7}}[0-9a-f]{{1,4}}(?![\w:]))
  | (?P<time>
        \d{{4}}[-/]\d{{1,2}}[-/]\d{{1,2}}(?:[ _t:-]{_FILE_CLOCK})?{_ZONE}(?!\w)
      | 20\d{{6}}[t_-](?:\d{{6}}(?:[.,:]\d{{1,9}})?|{_CLOCK}){_ZONE}(?!\w)
      | \d{{1,2}}/(?:{_MONTH}|\d{{1,2}})/\d{{4}}(?:[:[ ]{_CLOCK})?{_ZONE}(?!\w)
      | {_WEEKDAY}(?:{_MONTH}[ ]\d{{1,2}}|\d{{1,2}}[ -]{_MONTH}(?:-\d{{4}})?)
        (?:,?[ ](?:\d{{4}}(?!\w)|{_CLOCK}(?!\w))){{1,2}}{_ZONE}
      | \d{{1,2}}:\d\d:\d\d(?:[.,]\d{{1,9}})?{_ZONE}(?![\w:])
    )
  | (?<!\w-)[+-]?(?:(?P<duration>  # after a letter and a dash it is part of an id
        {_NUMBER}[ -]?{_UNIT}(?!\w)
      | (?:\d{{1,9}}+(?:\.\d{{1,9}}+)?(?:min|sec|hr|ms|[uμ]s|ns|[dhmsw])){{1,6}}+(?!\w)
      | p(?:\d{{1,9}}[ymwd]){{0,4}}t(?:\d{{1,9}}(?:\.\d{{1,9}})?[hms]){{1,3}}(?!\w)
    )
  | (?P<size>{_NUMBER}(?:[ ]?(?:[kmgtp]i?b|bytes?)(?:/s|ps)?|[ ]b|[kmgtp]i)(?!\w))
  | (?P<num>{_NUMBER}[ ]?%))
    )""",
    re.VERBOSE,
)
SHAPE = re.compile(
    r"""
    (?P<url>(?:[a-z][a-z0-9+.-]{1,63}+:){1,3}+//.++)
  | (?P<email>[\w.+%-]{1,64}+@[\w-]{1,63}+(?:\.[\w-]{1,63}+){1,8}+)
  | (?P<ip>/?(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?
      | (?=\D*+\d)(?:[0-9a-f]{0,4}+:){2,7}+[0-9a-f.]{0,15}+)
  | (?P<path>(?:~|\.{1,2}|[a-z]:|)[/\\][^/\\].*+
      | [^/\\=]++[/\\][^/\\]++[/\\].++
      | [^/\\=]++[/\\][^/\\.]++\.[a-z]{1,5}+(?::\d{1,9}){0,2}+)
  | (?P<id>ey[a-z0-9_-]{8,}+\.[a-z0-9_-]{4,}+(?:\.[a-z0-9_-]*+)?  # a JSON web token
      | arn:[a-z-]{2,16}+:.++
      | (?=(?:[^\d]{0,15}+\d){3})[a-z0-9+/]{32,}+={0,2}+)           # base64: digits come often
    """,
    re.VERBOSE,
)
WORD = re.compile(
    rf"""
    (?P<kept><[a-z]{{2,8}}>)
  | (?P<uuid>{_UUID})
  | (?P<ip>\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?::\d{{1,5}})?(?![^\W_]|\.\d)
      | (?<![^\W_])(?:[0-9a-f]{{1,4}}:){{7}}[0-9a-f]{{1,4}}(?![^\W_]))
  | (?P<version>(?<![^\W_])v\d++(?:\.\d++){{1,8}}+(?![^\W_]))
  | (?P<num>(?<![^\W_])[+-]?\d++(?:\.\d++){{0,8}}+(?:st|nd|rd|th|x|k)?(?![^\W_]))
  | (?P<word>[^\W_]++)
    """,
    re.VERBOSE,
)

# --- hosts ------------------------------------------------------------------------------------

_DOTTED = re.compile(r"([\w-]{1,63}(?:\.[\w-]{1,63}){1,8}+)(?::\d{1,5})?")
_NETWORKS = "com net org edu gov mil arpa local internal lan localdomain"
# With a host and a domain before it: alone, `x.io` or `x.dev` is as often a package or a file.
_COUNTRIES = """
    io dev ai app info biz cloud corp home intranet au br ca ch cn cz de dk es eu fi fr gr hk hu ie
    il in it jp kr mx nl nz ph pt ro ru se sg th tr tw ua uk us vn za
"""
_PACKAGES = "com org net io java javax jdk sun system dev"
_ONE_BEFORE, _TWO_BEFORE = frozenset(_NETWORKS.split()), frozenset(_COUNTRIES.split())
_NO_HOST = frozenset(_PACKAGES.split())


def is_host(text: str) -> bool:
    """A name of a machine: not `com.acme.Job`, which reads the other way round, and no file."""
    name = _DOTTED.fullmatch(text)
    if not name:
        return False
    labels = name[1].split(".")
    if labels[0] in _NO_HOST:
        return False
    return labels[-1] in _ONE_BEFORE or (len(labels) > 2 and labels[-1] in _TWO_BEFORE)


# --- numbers that name the problem ------------------------------------------------------------

# A number is kept only where it names the problem: after "code", "status" and the like any short
# one; elsewhere only a known HTTP error whose neighbours (it stands as NUL) say that it is one.
_CODE = re.compile(r"(?<![^\W_])(?:code|status|errno|sqlstate|signal|http|exit)[\s:=#\"'(-]{1,3}\0")
_HTTP = re.compile(
    r"""(?<![^\W_])(?:errors?|returns?|returned|response|responded|answered|got|received|with
            |failed|failure)[\s:=#"'(-]{1,3}\0
      | \0[ :,)\]-]{0,3}(?:errors?|response|status|bad|unauthorized|payment|forbidden|not|method
            |request|conflict|gone|too|unprocessable|locked|internal|gateway|service|server)\b
      | [(\[]\0[)\]]
      | (?:^|:[ ])\0$
    """,
    re.VERBOSE,
)
_HTTP_ERRORS = frozenset(
    {str(int(status)) for status in HTTPStatus if status >= 400}
    | {str(code) for code in (420, 499, *range(520, 531))}
)
_HTTP_SUCCESS = frozenset(str(int(status)) for status in HTTPStatus if 200 <= status < 400)
_HTTP_STATUS = re.compile(r"(?<![^\W_])(?<!exit )(?:status|http)[\s:=#\"'(-]{1,3}\0")


def names_the_problem(number: re.Match[str]) -> bool:
    """Whether a number, where it stands in its text, says what went wrong."""
    digits, text = number.group(), number.string
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 5:
        return False
    start, end = number.span()
    window = f"{text[max(0, start - 16) : start]}\0{text[end : end + 24]}"
    if digits in _HTTP_SUCCESS and _HTTP_STATUS.search(window):
        return False
    return bool(_CODE.search(window) or (digits in _HTTP_ERRORS and _HTTP.search(window)))


# --- words ------------------------------------------------------------------------------------

_PROBLEM = re.compile(
    r"error|exception|fault|fail|time[_-]?out|denied|refused|unavail|exceed|not[_-]?found|abort"
    r"|panic|invalid|illegal|missing|conflict|violat|expired|reject|declin|limit|forbid|unauthor"
    r"|econn|etimedout|ehost|enet|enoent|eacces|eperm|eexist|enospc|emfile|enomem|epipe|eagain"
)
_PROBLEM_KEY = re.compile(
    r"(?:code|err(?:or|no)?|reason|status|state|type|message|msg|exception|cause|result|event"
    r"|action|method|level|severity|category|kind|op(?:eration)?|step|phase|stage|outcome|signal)"
    r"""["']?[ ]?[=:]?[ ]?\Z"""
)
_ID_KEY = re.compile(r"(?:[_.-]id|uuid|guid|nonce|etag|digest|sha|hash|[a-z]{3}id)=\Z")


def is_about_a_problem(words: str) -> bool:
    return _PROBLEM.search(words) is not None


def introduces_a_problem(before: str) -> bool:
    """Whether what follows is the name of what went wrong: `code=`, `"reason": `, "type "."""
    return _PROBLEM_KEY.search(before[-16:]) is not None


def introduces_an_id(key: str) -> bool:
    return _ID_KEY.search(key[-16:]) is not None
