"""A comparison as plain values for JSON."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from ganaug.experiment.cells import Cell
    from ganaug.experiment.comparison import Comparison


def as_dict(result: "Comparison") -> dict[str, Any]:
    """Return verdict, settings, tables and every score."""
    treatments = [arm for arm, role in result.roles.items() if role == "treatment"]
    worths = {arm: result.worth_of(arm) for arm in treatments}
    return {
        "verdict": result.verdict,
        "sentence": result.sentence,
        "metric": result.metric,
        "primary": result.primary,
        "best_control": result.best_control,
        "gain": {**vars(result.gain), "overlap": result.overlap},
        "rope": result.rope,
        "equivalent": result.equivalent,
        "one_training_set": result.one_training_set,
        "twins": result.twins,
        "twin_gain": None if result.twin_gain is None else vars(result.twin_gain),
        "twin_sentence": result.twin_sentence,
        "worth": {arm: None if found is None else vars(found) for arm, found in worths.items()},
        "worth_sentence": result.worth_sentence,
        "real_samples_added": result.real_samples_added,
        "treatments": _records(result.treatments),
        "harmed": list(result.harmed),
        "power": {**vars(result.power), "sentence": str(result.power)},
        "settings": result.settings,
        "wall_seconds": round(result.wall_seconds, 1),
        "table": _records(result.table),
        "per_class": _records(result.per_class),
        "cells": [_of_cell(c) for c in result.cells],
        "failed": [vars(f) for f in result.failed],
    }


def _of_cell(cell: "Cell") -> dict[str, Any]:
    return {
        "arm": cell.arm,
        "seed": cell.seed,
        **cell.metrics,
        "calibration_error": _plain(cell.calibration_error),
        "n_train": cell.n_train,
        "n_extra": cell.n_extra,
        "n_test": len(cell.y_true),
        "fit_seconds": round(cell.fit_seconds, 2),
        "gan_seconds": round(cell.gan_seconds, 2),
        "tried": cell.tried,
        "admitted": cell.admitted,
        "doses": list(cell.doses),
    }


def _records(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return the rows of a table, None for NaN, which is no JSON."""
    rows = frame.reset_index().to_dict(orient="records")
    return [{str(k): _plain(v) for k, v in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    return None if value != value else value
