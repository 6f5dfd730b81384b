"""Tables of `distributed.py` and `scale.py` for the README."""

import json
from typing import Any

import pandas as pd
from common import RESULTS, markdown


def kept(name: str) -> dict[str, Any]:
    """Return a kept result."""
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return result


def table(rows: list[dict[str, Any]], *, decimals: int = 2) -> str:
    """Return rows as a table in Markdown, without columns that are for other programs."""
    frame = pd.DataFrame(rows)
    hidden = {"numbers", "step ms, 1 process", "step ms, half batch"} & set(frame)
    return markdown(frame.drop(columns=[*hidden]).set_index(frame.columns[0]), decimals=decimals)


def scale_blocks() -> dict[str, str]:
    """Return the text for each marker on work beyond one machine."""
    measured, scale = kept("distributed"), kept("scale")
    machine, plan = measured["machine"], scale["plan"]
    scaling = measured["scaling"]
    averages = [
        {"numbers averaged": f"{int(n):,}", "ms": round(1000 * seconds, 2)}
        for n, seconds in measured["collectives"]["seconds"].items()
    ]
    assumed = [
        {"assumed": name, "value": " or ".join(map(str, v)) if isinstance(v, list) else v, "it is": whose}
        for whose, figures in (("the makers'", plan["printed"]), ("a guess", plan["guessed"]))
        for name, v in figures.items()
    ]
    where = (
        f"Images/s, medians of {scaling['rounds']} rounds of {scaling['seconds']:g} seconds in turns; "
        f"{machine['processor']}, {machine['cores']} cores, one thread a process where nothing else is said, "
        f"gloo, torch {machine['torch']}, random images, seed 0."
    )
    on = f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}"
    of_scale = scale["machine"]
    fitted = plan["fitted"]
    points = [
        table(scale["generation"]["rows"]),
        table(scale["shards"]["rows"], decimals=3).replace(" nan ", " "),
        table(scale["mlflow"]["rows"], decimals=3),
        f"{scale['mlflow']['bytes a metric']} bytes of SQLite for each metric. One run each (of MLflow the "
        f"mean of 10), one thread a process; {of_scale['processor']}, {of_scale['cores']} cores, torch "
        f"{of_scale['torch']}, seed 0.",
    ]
    return {
        "distributed-scaling": f"{table(scaling['rows'])}\n\n{where}",
        "distributed-averages": f"{table(averages)}\n\nMedians of 5 to 200 averages; {on}, gloo.",
        "distributed-memory": f"{table(measured['memory']['rows'])}\n\nOne run each; {on}, random images.",
        "scale-sizes": table(scale["sizes"]["rows"], decimals=3),
        "scale-points": "\n\n".join(points),
        "scale-check": f"{table(plan['check'])}\n\nFitted: {fitted['latency us']:g} microseconds for a step "
        f"of the ring, {fitted['GB/s']:g} GB/s.",
        "scale-devices": table(plan["devices"]),
        "scale-samples": table(plan["samples"], decimals=3),
        "scale-comparisons": table(plan["comparisons"]),
        "scale-assumed": table(assumed),
    }
