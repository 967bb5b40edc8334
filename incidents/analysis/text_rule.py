"""The shape of a rule that reads a failure's words, and the words that many rules share."""

import re
from dataclasses import dataclass

USER_ERROR = "user_error"
VALIDATION_ERROR = "validation_error"
AUTH_ERROR = "auth_error"
TRANSIENT_ERROR = "transient_error"
VENDOR_ERROR = "vendor_error"
RATE_LIMIT = "rate_limit"
INFRASTRUCTURE_ERROR = "infrastructure_error"
UNKNOWN = "unknown"
RETRYABLE = frozenset({TRANSIENT_ERROR, VENDOR_ERROR, RATE_LIMIT, INFRASTRUCTURE_ERROR})


@dataclass(frozen=True)
class TextRule:
    name: str
    category: str
    severity: str
    confidence: float
    pattern: re.Pattern[str]
    is_lasting: bool = False  # of a retryable category, but a retry meets the same wall


def words(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(alternatives)})")


def status(*codes: int) -> str:
    return rf"(?:{'|'.join(map(str, codes))})(?![\w.])"


CANNOT = r"(?:can ?not|can't|could not|couldn't|unable to|fail(?:s|ed|ure)? to)"
KEYS = r"(?:token|credentials?|api ?key|access ?key|signature|password|secret)\b"
FAILED = r"(?:fail\w*|errors?\b|issues?\b|problems?\b|exception)"
