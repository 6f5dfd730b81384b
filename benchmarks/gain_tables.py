"""The tables of gain.py in both READMEs."""

import json
from typing import Any

import pandas as pd
from common import RESULTS, markdown


def interval(gain: list[float] | None) -> str:
    """Return a gain with its interval."""
    return "" if gain is None else f"{gain[0]:+.2f} [{gain[1]:+.2f}, {gain[2]:+.2f}]"


def is_search(cell: str) -> bool:
    """Return whether a cell only served to choose what is measured in others."""
    return cell.startswith("search")


def cells_table(cells: dict[str, Any]) -> str:
    """Return a row per cell: the treatment that was named beforehand against the best control."""
    rows = []
    for cell, found in cells.items():
        if is_search(cell):
            continue
        arms, primary = found["arms"], found["primary"]
        control = found["best control"]
        rows.append(
            {
                "cell": cell,
                "seeds": f"{found['seeds']} of {found['of']}",
                "no augmentation": f"{arms['nothing']['score']:.2f}",
                "best control": f"{control} {arms[control]['score']:.2f}",
                "with the generator": f"{primary} {arms[primary]['score']:.2f}",
                "gain": interval(found["gain"]),
                "over its twin": interval(found["over twin"]),
                "verdict": found["verdict"] if found["seeds"] == found["of"] else f"({found['verdict']})",
            }
        )
    return markdown(pd.DataFrame(rows).set_index("cell")) if rows else ""


def counts(cells: dict[str, Any]) -> str:
    """Return how many cells have which verdict, of those with all seeds and of the others."""
    own = [found for cell, found in cells.items() if not is_search(cell)]
    whole = [found["verdict"] for found in own if found["seeds"] == found["of"]]
    begun = [found["verdict"] for found in own if found["seeds"] < found["of"]]
    names = ("helps", "no evidence", "hurts")
    said = [", ".join(f"{name} in {some.count(name)}" for name in names) for some in (whole, begun)]
    others = f"; so far, {said[1]} of the {len(begun)} others" if begun else ""
    return f"{said[0]} of the {len(whole)} cells with all seeds{others}"


def arms_table(cells: dict[str, Any], group: dict[str, str], wanted: str) -> str:
    """Return a row per arm and a column per cell of a group: mean score and deviation over seeds."""
    own = {cell: found for cell, found in cells.items() if group.get(cell) == wanted}
    if not own:
        return ""
    names = list(dict.fromkeys(name for found in own.values() for name in found["arms"]))
    rows = [
        {
            "arm": name,
            **{
                cell: f"{arm['score']:.2f} ({arm['sd']:.2f})" if (arm := found["arms"].get(name)) else ""
                for cell, found in own.items()
            },
        }
        for name in names
    ]
    return markdown(pd.DataFrame(rows).set_index("arm"))


def levers_table(cells: dict[str, Any], group: dict[str, str], wanted: str) -> str:
    """Return a row per treatment and cell of a group: gains over twin and best control."""
    rows = []
    for cell, found in cells.items():
        if group.get(cell) != wanted:
            continue
        for name, arm in found["arms"].items():
            if arm["role"] != "treatment":
                continue
            row = {
                "cell": cell,
                "treatment": name,
                "score": f"{arm['score']:.2f}",
                "over its twin": interval(arm["over twin"]),
                "over the best control": interval(arm["over best control"]),
            }
            if "smallest" in arm:
                row |= {
                    "three smallest": f"{arm['smallest']:.2f}",
                    "three smallest over the best control": interval(arm["smallest over best control"]),
                }
            rows.append(row)
    rows.sort(key=lambda row: (row["cell"], -float(row["score"])))
    return markdown(pd.DataFrame(rows).set_index("cell")) if rows else ""


def published_table(cells: dict[str, Any]) -> str:
    """Return scores of the imbalanced cells as DeepSMOTE reports them."""
    rows = []
    for cell, found in cells.items():
        if "gain of smallest" not in found or is_search(cell):
            continue
        for name, arm in found["arms"].items():
            rows.append(
                {
                    "cell": cell,
                    "arm": name,
                    "ACSA": f"{arm['score']:.2f}",
                    "geometric mean": f"{arm['geometric mean']:.2f}",
                    "macro F1": f"{arm['macro f1']:.2f}",
                    "three smallest": f"{arm['smallest']:.2f}",
                }
            )
    return markdown(pd.DataFrame(rows).set_index("cell")) if rows else ""


def gain_blocks() -> dict[str, str]:
    """Return what is kept, as text by the name of its marker."""
    path = RESULTS / "gain.json"
    result = json.loads(path.read_text(encoding="utf-8"))
    cells, machine = result["cells"], result["machine"]
    facts = f"{machine['processor']}, one thread a cell, torch {machine['torch']}."
    left = ", ".join(result["missing"])
    todo = f" Not measured yet: {left}." if left else ""
    groups = result["groups"]
    verdicts = (
        f"{cells_table(cells)}\n\nThe treatments, named beforehand, against the best control: "
        f"{counts(cells)}. A gain is over the control that was best on the other seeds, and may differ from "
        f"the difference of the two scores. {facts}{todo}"
    )
    found = {
        "gain": f"{verdicts} [How, and everything else that was tried](benchmarks/README.md).",
        "gain-cells": verdicts,
        "gain-published": published_table(cells),
    }
    for group in dict.fromkeys(groups.values()):
        marker = group.replace(" ", "-")
        found[f"gain-arms-{marker}"] = arms_table(cells, groups, group)
        found[f"gain-levers-{marker}"] = levers_table(cells, groups, group)
    return found
