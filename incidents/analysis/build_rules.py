"""The rules for work that is wrong in itself (code, tests, set-up), in order. Data, nothing else.

They come after the runtime rules: a named cause beats the stage that failed ("test failure due to
connection issue" is about the connection). Last come the weak words, below 0.7.
"""

from incidents.analysis.text_rule import (
    CANNOT,
    FAILED,
    INFRASTRUCTURE_ERROR,
    TRANSIENT_ERROR,
    USER_ERROR,
    VALIDATION_ERROR,
    TextRule,
    words,
)

BUILD_RULES = (
    TextRule(
        "quality_gate",
        USER_ERROR,
        "medium",
        0.85,
        words(
            r"lint(?:er|ing)?\b|checkstyle|code style|code ?ql\b|sonar|static analysis",
            r"(?:re)?format(?:ting|ted)?\b|javadoc|coverage|quality gate",
            r"vulnerab|licen[cs]e|banned\b|regression",
        ),
    ),
    TextRule(
        "code_defect",
        USER_ERROR,
        "medium",
        0.85,
        words(
            r"compil(?:e|er|ation|ing)\b|linker|code defects?|syntax ?error",
            r"(?:type|name|key|index|attribute|import|value|reference) ?error\b",
            r"(?:null|nil) ?pointer|illegal (?:argument|state)|class cast|stack overflow",
            r"undefined (?:symbol|reference|method|variable|property)|zero ?division",
            r"segmentation fault|assert(?:ion)?\b",
        ),
    ),
    TextRule(
        "tests",
        USER_ERROR,
        "medium",
        0.85,
        words(
            r"tests? (?:execution |run |suite )?fail\w*|failing tests?",
            r"(?:unit|integration|acceptance|api) tests?\b",
            r"expected .{1,60} (?:but (?:was|got|found)|to (?:be|equal))",
        ),
    ),
    TextRule(
        "version_control",
        USER_ERROR,
        "medium",
        0.85,
        words(r"merge conflict|(?:git )?(?:push|merge|rebase) (?:error|rejected|failure)|conflict"),
    ),
    TextRule(
        "configuration",
        VALIDATION_ERROR,
        "medium",
        0.8,
        words(
            r"config(?:uration)? (?:file )?" + FAILED,
            r"misconfigured|not configured|environment variable",
        ),
    ),
    TextRule(
        "not_found",
        VALIDATION_ERROR,
        "medium",
        0.8,
        words(
            r"not[ _]?found|no(?:t)?(?: [\w-]{1,20}){0,4} (?:found|find)\b",
            r"(?:does not|doesn't|do not) exist|no such|non-?exist",
            CANNOT + r" (?:find|locate)",
            r"missing\b|unknown (?!error)|undeclared|unresolved|non-resolvable|unrecogni[sz]ed",
        ),
    ),
    TextRule(
        "dependency",
        USER_ERROR,
        "medium",
        0.8,
        words(
            r"dependenc(?:y|ies) (?:issue|conflict|resolution|error|version)",
            r"could not resolve (?:all )?dependenc",
            r"incompatib|deprecated|version (?:conflict|mismatch|issue)",
        ),
    ),
    TextRule(
        "stuck_container",
        INFRASTRUCTURE_ERROR,
        "high",
        0.6,
        words(
            r"(?:crash ?loop|image ?pull) ?back ?off|err ?image ?pull|i/o error|input/output error"
        ),
    ),
    TextRule(
        "transfer",
        TRANSIENT_ERROR,
        "medium",
        0.55,
        words(
            CANNOT + r" (?:download|fetch|pull|upload|send|load)",
            r"(?:download|upload|fetch|transfer|delivery) " + FAILED,
        ),
    ),
    TextRule(
        "stage",
        USER_ERROR,
        "medium",
        0.6,
        words(
            r"(?:build|install\w*|set-?up|deploy\w*|scan|execution|upgrade|import|release) "
            + FAILED,
            CANNOT + r" (?:build|install|deploy|create)",
        ),
    ),
)
