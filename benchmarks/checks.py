"""Which checks of scikit-learn and imbalanced-learn pass? Counts by estimator, and the reasons of exceptions.

python benchmarks/checks.py              # about a minute

The checks are those of tests/test_contract.py, run by pytest; this program counts what it reports.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from common import keep, markdown

CONTRACT = Path(__file__).parent.parent / "tests" / "test_contract.py"
KINDS = ("passed", "excepted", "skipped", "failed")
LIBRARIES = {"scikit_learn": "scikit-learn", "imbalanced_learn": "imbalanced-learn"}


class Count:
    """A pytest plugin that keeps the outcome of each check."""

    def __init__(self) -> None:
        self.outcomes: list[dict[str, str]] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        """Note what became of a check, after its call or where it was skipped before."""
        report = yield
        if call.when == "call" or (call.when == "setup" and report.outcome != "passed"):
            parameters = item.callspec.params  # type: ignore[attr-defined]
            self.outcomes.append(
                {
                    "estimator": named(parameters["estimator"]),
                    "library": next(v for k, v in LIBRARIES.items() if k in item.name),
                    "check": parameters["check"].func.__name__,
                    "outcome": "excepted" if hasattr(report, "wasxfail") else report.outcome,
                    "reason": getattr(report, "wasxfail", "") or skip_reason(report),
                }
            )
        return report


def named(estimator: Any) -> str:
    """Return the class of an estimator, with those inside."""
    parts = [getattr(estimator, name, None) for name in ("estimator", "sampler")]
    steps = [getattr(part, "steps", [("", part)]) for part in parts if part is not None]
    inside = ", ".join(" + ".join(type(step).__name__ for _, step in pipeline) for pipeline in steps)
    return type(estimator).__name__ + (f"({inside})" if inside else "")


def skip_reason(report: pytest.TestReport) -> str:
    """Return why a check was skipped, if it was."""
    return str(report.longrepr[2]).removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""


def main(quick: bool) -> None:
    """Run the checks, keep the counts, and print them."""
    count = Count()
    chosen = "not slow" if quick else "slow or not slow"
    code = pytest.main([str(CONTRACT), "-q", "-n", "0", "--durations=0", "-m", chosen], plugins=[count])
    found: dict[str, Counter[str]] = {}
    for o in count.outcomes:
        for name in (o["estimator"], "all"):
            found.setdefault(name, Counter())[f"{o['library']}, {o['outcome']}"] += 1
    total = found.pop("all")
    columns = [
        f"{library}, {kind}"
        for library in LIBRARIES.values()
        for kind in KINDS
        if total[f"{library}, {kind}"]
    ]
    rows = [
        {"estimator": name, **{column: counts[column] for column in columns}}
        for name, counts in (*found.items(), ("all", total))
    ]
    why: dict[tuple[str, str], Counter[str]] = {}
    for o in count.outcomes:
        if o["reason"]:
            why.setdefault((o["reason"], o["outcome"]), Counter())[o["check"]] += 1
    reasons = [
        {"reason": reason, "outcome": outcome, "times": sum(checks.values()), "checks": ", ".join(checks)}
        for (reason, outcome), checks in why.items()
    ]
    keep("checks", {"rows": rows, "reasons": reasons})
    for table in (rows, reasons):
        frame = pd.DataFrame(table)
        print(markdown(frame.set_index(frame.columns[0])))
    sys.exit(code)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without the estimators that are marked slow")
    main(**vars(parser.parse_args()))
