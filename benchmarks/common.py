"""What every benchmark shares: facts about the machine, kept results, tables in Markdown."""

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("ganaug", "torch", "torchvision", "scikit-learn", "imbalanced-learn", "albumentations", "numpy")


def machine() -> dict[str, Any]:
    """Return processor, cores, thread count and versions."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return {
        "processor": capabilities.get("cpu_name", platform.processor()),
        "cores": os.cpu_count(),
        "bfloat16": bool(capabilities.get("avx512_bf16")),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def keep(name: str, result: dict[str, Any]) -> Path:
    """Write a result beside the machine it came from."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **result}, indent=1) + "\n", encoding="utf-8")
    return path


def data_file(name: str) -> Path:
    """Return a file of the folder that GANAUG_DATA names."""
    folder = os.environ.get("GANAUG_DATA")
    if not folder or not (Path(folder) / name).exists():
        raise SystemExit(f"set GANAUG_DATA to a folder that holds {name}")
    return Path(folder) / name


def markdown(frame: pd.DataFrame, *, decimals: int = 2) -> str:
    """Return a table in Markdown."""
    flat = frame.reset_index()
    lines = ["| " + " | ".join(str(c).replace("_", " ") for c in flat.columns) + " |"]
    lines.append("|" + "---|" * len(flat.columns))
    for row in flat.itertuples(index=False):
        cells = (f"{v:.{decimals}f}" if isinstance(v, float) else str(v) for v in row)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
