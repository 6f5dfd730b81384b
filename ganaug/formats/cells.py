"""Text in a CSV file that no spreadsheet takes for a formula, and back."""

import re

FORMULA = tuple("=+-@\t\r\n")
"""What a formula may begin with; see OWASP, CSV Injection (CWE-1236)."""

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def neutral(text: str) -> str:
    """Return text with a ' before it where it could be a formula, or begins with a ' of its own.

    A single character and a plain number are left as they are, for no spreadsheet computes them.

    Examples
    --------
    >>> [neutral(text) for text in ("cat", "=1+1", "-5", "-", "'quoted'")]
    ['cat', "'=1+1", '-5', '-', "''quoted'"]
    """
    risky = len(text) > 1 and text.startswith((*FORMULA, "'")) and not NUMBER.fullmatch(text)
    return f"'{text}" if risky else text


def restored(text: str) -> str:
    """Return the text that `neutral` was given.

    Examples
    --------
    >>> restored(neutral("=1+1")), restored("-5")
    ('=1+1', '-5')
    """
    return text[1:] if len(text) > 1 and text.startswith("'") else text
