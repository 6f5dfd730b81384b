"""Write the result tables of both READMEs from the kept results, between their markers.

python benchmarks/readme.py            # --check exits with 1 if a README is out of date
"""

import argparse
import json
import re
import sys
from pathlib import Path
from statistics import mean
from typing import Any

import pandas as pd
from common import RESULTS, markdown
from gain_tables import gain_blocks
from scale_tables import scale_blocks

from ganaug.experiment.statistics import corrected_gain

ROOT = Path(__file__).parent.parent


def load(name: str) -> dict[str, Any]:
    """Return a kept result."""
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return result


def arms_table(result: dict[str, Any], *, seconds: bool) -> str:
    """Return the table of arms of a comparison."""
    frame = pd.DataFrame(result["table"]).drop(columns="role").set_index("arm")
    if not seconds:
        frame = frame.drop(columns=["fit_seconds", "gan_seconds"])
    return markdown(frame)


def setting(result: dict[str, Any]) -> str:
    """Return one sentence on how a comparison was run."""
    s, machine = result["settings"], result["machine"]
    return (
        f"{s['seeds']} paired seeds ({s['splits']}), {s['n_train']} training and {s['n_test']} test samples "
        f"each; classifier {s['classifier']}, {s['steps']} steps of {s['batch_size']} in every arm; GAN: "
        f"{s['gan']['train_images']:,} images shown. {machine['processor']}, {machine['cores']} cores, one "
        f"thread per seed; torch {machine['torch']}; {result['wall_seconds'] / 60:.0f} minutes in all."
    )


def seed_by_seed(result: dict[str, Any]) -> str:
    """Return how the primary treatment did against the best control, without any correction."""
    primary, control = result["primary"], result["best_control"]
    scores: dict[str, dict[int, float]] = {primary: {}, control: {}}
    for cell in result["cells"]:
        if cell["arm"] in scores:
            scores[cell["arm"]][cell["seed"]] = 100 * cell[result["metric"]]
    differences = [scores[primary][s] - scores[control][s] for s in sorted(scores[primary])]
    plain = corrected_gain(differences)
    return (
        f"Seed by seed, {primary} was below {control} in {sum(d < 0 for d in differences)} of "
        f"{len(differences)}; the plain paired t interval, which takes the seeds for independent, is "
        f"{plain.low:+.2f} to {plain.high:+.2f}."
    )


def table(rows: list[dict[str, Any]], *, decimals: int = 2) -> str:
    """Return rows as a table in Markdown."""
    frame = pd.DataFrame(rows)
    return markdown(frame.set_index(frame.columns[0]), decimals=decimals)


def throughput_blocks(result: dict[str, Any]) -> dict[str, str]:
    """Return the parts of the throughput benchmark."""
    machine = result["machine"]
    where = (
        f"{machine['processor']}, {machine['cores']} cores, {result['threads']} threads, torch "
        f"{machine['torch']}, batch {result['batch_size']}; medians of {result['turns']} turns."
    )
    found = {
        f"throughput-{part}": f"{table(result[part]['rows'])}\n\n{where}"
        for part in ("peer", "sizes", "scaling", "generation")
    }
    peak = f"{table(result['peak']['rows'])}\n\n{where} Where the time goes (bfloat16):\n\n"
    return found | {"throughput-peak": peak + table(result["peak"]["profile"], decimals=1)}


def quality_block(result: dict[str, Any]) -> str:
    """Return the tables of the quality benchmark."""
    machine = result["machine"]
    where = (
        f"{result['minutes']:g} minutes of training each on one thread, {result['seeds']} seeds, "
        f"{result['per_class']} samples per class against as many test images; {machine['processor']}, "
        f"torch {machine['torch']}."
    )
    rows, classes = table(result["rows"], decimals=3), table(result["classes"], decimals=2)
    return f"{rows}\n\n{where} Class by class:\n\n{classes}"


def fuzz_block(result: dict[str, Any]) -> str:
    """Return the table of damaged files."""
    rows, seconds = result["rows"], result["wall_seconds"]
    cases, defects = sum(row["cases"] for row in rows), sum(map(len, result["defects"].values()))
    return (
        f"{table(rows)}\n\n{cases:,} damaged files (seed {result['seed']}), {defects} of them neither "
        f"refused by name nor opened soundly; {seconds / 60:.0f} minutes on "
        f"{result['machine']['cores']} cores."
    )


def tables_blocks(result: dict[str, Any]) -> dict[str, str]:
    """Return the tables of the benchmark on tables, and the summary for the front page."""
    machine = result["machine"]
    where = f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}"
    speed, gain = result["speed"], result["gain"]
    against = {row["gan against"]: row for row in gain["summary"] if row["metric"] == "balanced accuracy"}
    nothing, smote, threshold = (against[control] for control in ("nothing", "smote", "threshold"))
    (ranking,) = (
        row
        for row in gain["summary"]
        if (row["metric"], row["gan against"]) == ("average precision", "nothing")
    )
    taught, choice = result["taught"], result["choice"]
    counted = f"{nothing['comparisons']} comparisons (a table, a size, a classifier)"
    return {
        "tables-speed": f"{table(speed['rows'])}\n\nadult, {speed['n']:,} rows without missing cells, "
        f"{speed['columns']} columns, batch 500; {where}, 2 threads; medians of turns.",
        "tables-gain": f"{table(gain['summary'])}\n\n{counted}; 95 % intervals with Nadeau and Bengio's "
        f"correction, each for itself.{left_of(gain)} {where}, one thread per seed. "
        f"{against_smote(gain['cells'])} Balanced accuracy in percent, by table, training rows and "
        f"classifier:\n\n{table(gain_rows(gain['cells']))}",
        "tables-choice": f"{table(choice['summary'])}\n\n{len(choice['cells'])} comparisons of 5 folds, each "
        f"for itself.{left_of(choice)} {where}, one thread per seed.",
        "tables-taught": f"{table(taught['rows'])}\n\nadult, {taught['seeds']} splits, means; {where}, one "
        "thread each. Seconds are those of training and drawing, on one thread.",
        "tables-novelty": f"{table(result['novelty']['rows'])}",
        "tables": f"Measured on seven tables at up to three sizes with four classifiers, {counted}, balanced "
        f"accuracy: against doing nothing the generator is surely better in {nothing['surely better']} and "
        f"surely worse in {nothing['surely worse']}, against SMOTE in {smote['surely better']} and "
        f"{smote['surely worse']}, against a tuned threshold in {threshold['surely better']} and "
        f"{threshold['surely worse']} (95 % intervals, the rest is no evidence). In average precision, which "
        f"balancing does not improve, it is surely better than doing nothing in {ranking['surely better']}, "
        f"surely worse in {ranking['surely worse']}. [The tables, and the speed beside CTGAN]"
        "(benchmarks/README.md).",
    }


def against_smote(cells: dict[str, Any]) -> str:
    """Return on how many tables the mean gain over SMOTE is above zero, metric by metric."""
    tables = {cell["table"] for cell in cells.values()}
    above = {
        metric: sum(
            mean(c["metrics"][metric]["gain"]["smote"][0] for c in cells.values() if c["table"] == name) > 0
            for name in tables
        )
        for metric in next(iter(cells.values()))["metrics"]
    }
    counts = ", ".join(f"{n} by {metric.replace('_', ' ')}" for metric, n in above.items())
    return f"Mean gain over SMOTE above zero, of {len(tables)} tables: {counts}."


def left_of(part: dict[str, Any]) -> str:
    """Return what a part did not get to, in words."""
    return f" Not run for lack of time: {', '.join(part['left'])}." if part["left"] else ""


def verdict_block(result: dict[str, Any]) -> str:
    """Return the tables of the simulated verdicts."""
    shown = {
        "intervals": result["intervals"],
        "small": result["small"],
        "power": power_rows(result["power"]),
        "choice": [row for row in result["choice"] if row["controls"] in ("2 equal", "6 equal", "6 unequal")],
        "mean": [row for row in result["mean"] if row["controls"].startswith("6")],
        "treatments": [row for row in result["treatments"] if (row["seeds"], row["treatments"]) == (5, "4")],
    }
    titles = {
        "intervals": "False verdicts, coverage and width, over one control and over the best of six:",
        "small": "Small given test sets:",
        "power": "Power, stated / found, at gains of some points and at the gain said to be found in 80 %:",
        "choice": "Ways to compare with the best control (*gain found*: the power at a gain of 8 points):",
        "mean": "The mean gain over the best control, which is 0 in truth:",
        "treatments": "Any verdict of four treatments that are worth the same as every control:",
    }
    parts = [f"{titles[name]}\n\n{simulated_table(rows)}" for name, rows in shown.items()]
    return "\n\n".join([*parts, f"{result['repeats']:,} repetitions; widths, bias and error in points."])


def power_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per way to sample, with a column for each gain."""
    wide: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        line = wide.setdefault((row["samples"], row["seeds"]), {k: row[k] for k in ("samples", "seeds")})
        line[row["gain"]] = f"{row['stated']:.0f} / {row['found']:.0f}"
    return list(wide.values())


def simulated_table(rows: list[dict[str, Any]]) -> str:
    """Return a table with one decimal."""
    return table([{k: f"{v:.1f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows])


def harm_block(result: dict[str, Any]) -> str:
    """Return the table of the simulated classes."""
    return f"{simulated_table(result['rows'])}\n\n{result['repeats']:,} repetitions per line."


def audit_block(result: dict[str, Any]) -> str:
    """Return the tables of the audit of known sources, and of its power."""
    machine, sizes = result["machine"], result["parts"]
    classes = "; ".join(
        f"{name}: {train} training, {held} held-out and {new} generated samples per class"
        for name, (train, held, new) in sizes.items()
    )
    return (
        f"{table(result['rows'])}\n\nMeans over classes; {classes}; {machine['processor']}, torch "
        f"{machine['torch']}. How often copies among sound samples are called so, in percent; *none* are "
        f"false alarms:\n\n{table(result['power'])}"
    )


def cost_block(result: dict[str, Any]) -> str:
    """Return what a comparison costs."""
    machine, jobs = result["machine"], result["jobs"]
    return (
        f"{table(result['whole'], decimals=0)}\n\n{result['seeds']} seeds, 6 arms, {jobs} jobs at a time. "
        f"Beside the bare trainings, medians of {result['turns']} turns on one thread:\n\n"
        f"{table(result['overhead'], decimals=1)}\n\n{machine['processor']}, {machine['cores']} cores, torch "
        f"{machine['torch']}."
    )


def checks_block(result: dict[str, Any]) -> str:
    """Return which checks are passed, and the reasons of those that are not."""
    machine = result["machine"]
    versions = ", ".join(f"{name} {machine[name]}" for name in ("scikit-learn", "imbalanced-learn"))
    return f"{table(result['rows'])}\n\n{versions}. The reasons:\n\n{table(result['reasons'])}"


def representation_block(result: dict[str, Any]) -> str:
    """Return the table on how numbers are represented."""
    cases = "cases (a table at 300 and at up to 5,000 training rows)"
    return (
        f"{table(result['rows'], decimals=3)}\n\nMeans over {cases}, each the mean of {result['seeds']} "
        "splits; scores are balanced accuracy in percent."
    )


def by_class(shares: dict[str, float]) -> str:
    """Return shares in percent in words."""
    return ", ".join(f"{name}: {share:.0f}" for name, share in shares.items())


def gate_block(result: dict[str, Any]) -> str:
    """Return the tables of the benchmark on gates and choices."""
    machine, parts = result["machine"], []
    for case in result["cases"]:
        gates = "; ".join(
            f"{row['arm']} {row['accepted']:.0f} % (by class {by_class(row['by class'])}), "
            f"{row['let in though rejected']:.0f} % of the wanted filled up with rejected ones"
            for row in case["accepted"]
        )
        parts.append(
            f"{case['data']}, {case['classifier']}: {len(case['seeds'])} seeds, {case['n_train']} training "
            f"and {case['n_test']} test samples each.\n\n{table(case['rows'])}\n\nAccepted: {gates}."
        )
    return (
        "\n\n".join(parts) + f"\n\n{machine['processor']}, torch {machine['torch']}, one thread; "
        f"{result['seconds'] / 60:.0f} minutes in all, on a machine shared with other work."
    )


def gain_rows(cells: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row per comparison: the score of each arm, and the gain over doing nothing."""
    rows = []
    for cell in cells.values():
        found = cell["metrics"]["balanced_accuracy"]
        mean, low, high = found["gain"]["nothing"]
        row = {k: cell[k] for k in ("table", "rows", "classifier")}
        row |= {arm: f"{score:.1f}" for arm, score in found["mean"].items()}
        row.setdefault("borderline smote", "")
        row["gan"] = row.pop("gan")
        rows.append(row | {"gan over nothing": f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"})
    return rows


def image_folder_block(result: dict[str, Any]) -> str:
    """Return how fast an image folder opens."""
    machine = result["machine"]
    return (
        f"{table(result['rows'])}\n\n{result['images']:,} PNG files of {result['side']} px; "
        f"{machine['processor']}, {machine['cores']} cores; medians of {result['repeats']} processes each, "
        "in turn. Memory is what the process has for itself after the reading, over the size of the pixels; "
        "mapped pixels are shared."
    )


def exporters_block(result: dict[str, Any]) -> str:
    """Return the tables of the benchmark on exporters."""
    machine = result["machine"]
    where = (
        f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}; {result['n']:,} "
        f"images, medians of {result['repeats']} turns, warm disk cache."
    )
    return (
        f"{table(result['rows'])}\n\n{where}\n\nDrawn and written, 32 px RGB, default network, "
        f"{result['drawn']:,} images:\n\n{table(result['generating'])}"
    )


def blocks() -> dict[str, str]:
    """Return the text for each marker."""
    digits, mnist, overhead, startup = (load(n) for n in ("digits", "mnist", "overhead", "startup"))
    per_class = pd.DataFrame(mnist["per_class"]).set_index("class")
    facts = f"{overhead['machine']['processor']}, {overhead['machine']['cores']} cores, torch "
    facts += f"{overhead['machine']['torch']}; {overhead['n_samples']:,} samples of 32 px, batch "
    facts += f"{overhead['batch_size']}, medians of {overhead['repeats']} alternating epochs."
    intro = "Handwritten digits, 10 labelled samples per class: balanced accuracy in percent, gains in points"
    found = {
        "exporters": exporters_block(load("exporters")),
        "quality": quality_block(load("quality")),
        "gate": gate_block(load("gate")),
        "checks": checks_block(load("checks")),
        "cost": cost_block(load("cost")),
        "verdict": verdict_block(load("verdict")),
        "harm": harm_block(load("harm")),
        "tables-numbers": representation_block(load("representation")),
        "digits": f"{intro} [95 % interval]:\n\n{arms_table(digits, seconds=False)}\n\n"
        f"Verdict: **{digits['sentence']}** {setting(digits)} [How, and more](benchmarks/README.md).",
        "digits-full": f"{arms_table(digits, seconds=True)}\n\n**{digits['sentence']}** {setting(digits)}",
        "mnist-full": f"{arms_table(mnist, seconds=True)}\n\n**{mnist['sentence']}** {seed_by_seed(mnist)} "
        f"{setting(mnist)}\n\n"
        f"Recall by class in percent:\n\n{markdown(per_class, decimals=1)}",
        "nohelp": f"- Measured on imbalanced MNIST: {mnist['sentence']} {seed_by_seed(mnist)} "
        "[The table](benchmarks/README.md).",
        "fuzz": fuzz_block(load("fuzz")),
        "startup": f"{markdown(pd.DataFrame(startup['rows']).set_index('command'))}\n\n"
        f"{startup['repeats']} processes each, in turn, after one that is not counted.",
        "image-folder": image_folder_block(load("image_folder")),
        "overhead": f"{markdown(pd.DataFrame(overhead['rows']).set_index('samples'))}\n\n{facts}",
    }
    if (RESULTS / "audit.json").exists():
        found["audit"] = audit_block(load("audit"))

    found["bank-memory"] = memory_block(load("bank_memory"))
    found |= gain_blocks() | scale_blocks()
    return found | throughput_blocks(load("throughput")) | tables_blocks(load("tables"))


def memory_block(result: dict[str, Any]) -> str:
    """Return the table of the memory of a bank."""
    rows = markdown(pd.DataFrame(result["rows"]).set_index("workers"), decimals=0)
    machine = result["machine"]
    return (
        f"{rows}\n\n{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}; "
        f"{result['n_samples']:,} samples of 32 px, {result['bank_gigabytes']:.2f} GB, batch 256."
    )


def filled(text: str) -> str:
    """Return a README with the text of each marker it has."""
    for name, block in blocks().items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        text = re.sub(pattern, lambda m, block=block: f"{m[1]}{block}\n{m[2]}", text, flags=re.DOTALL)
    return text


def main(check: bool) -> None:
    """Write, or check, both files."""
    stale = []
    for path in (ROOT / "README.md", ROOT / "benchmarks" / "README.md"):
        old = path.read_text(encoding="utf-8")
        new = filled(old)
        if new != old:
            stale.append(path.name)
            if not check:
                path.write_text(new, encoding="utf-8")
    if check and stale:
        sys.exit(f"out of date: {', '.join(stale)}; run python benchmarks/readme.py")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    main(**vars(parser.parse_args()))
