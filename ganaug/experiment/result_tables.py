"""The tables of a comparison: a row per arm, per treatment, per class."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ganaug.experiment.recalls import harm_p_values, recall_gains
from ganaug.experiment.result_sentences import interval
from ganaug.experiment.statistics import holm

if TYPE_CHECKING:
    import pandas as pd

    from ganaug.experiment.comparison import Comparison


def arm_table(result: "Comparison") -> "pd.DataFrame":
    """Return scores in percent, and gains in points with their intervals, of every arm."""
    import pandas as pd

    rows = []
    for arm, role in result.roles.items():
        scores, cells = 100 * result.scores(arm), result.cells_of(arm)
        gain = result.gain_over(arm, result.reference)
        row: dict[str, Any] = {
            "arm": arm,
            "role": role,
            result.metric: scores.mean(),
            "sd": scores.std(ddof=1),
            "calibration_error": 100 * float(np.mean([c.calibration_error for c in cells])),
            "added": round(float(np.mean([c.n_extra for c in cells]))),
            f"over {result.reference}": "" if arm == result.reference else interval(gain),
            "over best control": interval(result.gain_over_best(arm)) if role == "treatment" else "",
            "fit_seconds": np.mean([c.fit_seconds for c in cells]),
            "gan_seconds": np.mean([c.gan_seconds for c in cells]),
        }
        rows.append(row)
    return pd.DataFrame(rows).set_index("arm").dropna(axis="columns", how="all")


def treatment_table(result: "Comparison") -> "pd.DataFrame":
    """Return the gains of every treatment over the best control and over its twin, and its worth."""
    import pandas as pd

    names = [arm for arm, role in result.roles.items() if role == "treatment"]
    gains = [result.gain_over_best(arm) for arm in names]
    adjusted = holm([g.p_value for g in gains])
    rows = []
    for arm, g, p in zip(names, gains, adjusted, strict=True):
        own = result.gain_over_twin(arm)
        row: dict[str, Any] = {
            "arm": arm,
            "gain": g.mean,
            "low": g.low,
            "high": g.high,
            "p_value": g.p_value,
            "p_holm": p,
            "verdict": result.verdict_of(g) if arm == result.primary or p < 0.05 else "no evidence",
            "twin": "" if own is None else result.twins[arm],
            "over_twin": np.nan if own is None else own.mean,
            "twin_low": np.nan if own is None else own.low,
            "twin_high": np.nan if own is None else own.high,
        }
        if result.real_samples_added:
            found = result.worth_of(arm)
            row["worth"] = "" if found is None else str(found)
        rows.append(row)
    return pd.DataFrame(rows).set_index("arm")


def class_table(result: "Comparison") -> "pd.DataFrame":
    """Return the mean recall of every class under every arm, and its gain from the best control."""
    import pandas as pd

    n_classes = len(result.class_names)
    found = {
        arm: pd.DataFrame([c.recalls(n_classes) for c in result.cells_of(arm)]).mean().to_numpy()
        for arm in result.roles
    }
    means = pd.DataFrame(found, index=pd.Index(result.class_names, name="class")) * 100
    arms = (result.cells_of(arm) for arm in (result.primary, result.best_control))
    parts = [(a.y_true, a.y_pred, b.y_pred) for a, b in zip(*arms, strict=True)]
    gains = recall_gains(parts, n_classes, given_test=result.given_test, overlap=result.overlap)
    n_controls = list(result.roles.values()).count("control")
    adjusted = harm_p_values(gains, n_controls)
    return means.assign(
        difference=[g.mean for g in gains],
        low=[g.low for g in gains],
        high=[g.high for g in gains],
        p_holm=adjusted,
        harmed=[p < 0.05 for p in adjusted],
    )
