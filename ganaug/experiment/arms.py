"""Arms: what a comparison does to the training data, as small objects in a table."""

from dataclasses import replace

from ganaug.experiment.arm import Arm
from ganaug.experiment.choices import chosen, tuned
from ganaug.experiment.samples import (
    Extra,
    TrainingPart,
    copies,
    hard_copies,
    near_boundary,
    noisy_copies,
    pseudo_labelled,
    real_samples,
    synthetic,
)
from ganaug.experiment.smote import borderline_smote, pixel_smote, smote

__all__ = [
    "ARMS",
    "DEFAULT_ARMS",
    "UNLABELLED_ARMS",
    "Arm",
    "Extra",
    "TrainingPart",
    "chosen",
    "copies",
    "hard_copies",
    "near_boundary",
    "noisy_copies",
    "pseudo_labelled",
    "real_samples",
    "synthetic",
    "tuned",
]

SWAP = 0.3  # as in `SyntheticSwap`

_THRESHOLD = Arm(role="control", tune_threshold=True)
_COPIES = Arm(role="control", extra=copies)
_GAN = Arm(role="treatment", extra=synthetic)
_COMPLEMENT = Arm(role="treatment", extra=copies, complement="generator")
_PSEUDO = Arm(role="control", extra=pseudo_labelled, place="even", dose=0.5)
_RESERVE = Arm(role="oracle", extra=real_samples)

ARMS: dict[str, Arm] = {
    "nothing": Arm(role="control"),
    "class weights": Arm(role="control", class_weights=True),
    "threshold": _THRESHOLD,
    "threshold + entropy": replace(_THRESHOLD, complement="none"),
    "threshold + mixes": replace(_THRESHOLD, complement="mixes"),
    "oversampling": _COPIES,
    "noisy copies": Arm(role="control", extra=noisy_copies),
    "smote": Arm(role="control", extra=smote, data="table"),
    "borderline smote": Arm(role="control", extra=borderline_smote, data="numeric table"),
    "pixel smote": Arm(role="control", extra=pixel_smote, data="small image"),
    "classic": replace(_COPIES, classic=True, data="image"),
    "classic + mixup": replace(_COPIES, classic=True, mix="mixup", data="image"),
    "randaugment": replace(_COPIES, classic="randaugment", data="image"),
    "elastic": replace(_COPIES, classic="elastic", data="image"),
    "mixup": Arm(role="control", mix="mixup"),
    "cutmix": Arm(role="control", mix="cutmix", data="image"),
    "oversampling + mixup": replace(_COPIES, mix="mixup"),
    "oversampling swap": replace(_COPIES, place="swap", dose=SWAP),
    "teacher on copies": replace(_COPIES, labels="teacher"),
    "teacher on classic": replace(_COPIES, labels="teacher", classic=True, data="image"),
    "smooth copies": replace(_COPIES, labels="smooth"),
    "lighter copies": replace(_COPIES, weight=0.3),
    "even oversampling": replace(_COPIES, place="even", dose=SWAP),
    "oversampling near boundary": replace(_COPIES, extra=hard_copies),
    "pretrain on copies": replace(_COPIES, phases="pretrain"),
    "oversampling + real last": replace(_COPIES, phases="real last"),
    "tuned oversampling": tuned(_COPIES),
    "tuned oversampling by class": tuned(_COPIES, by_class=True),
    "oversampling + gate": replace(_COPIES, gate="agreement"),
    "oversampling + realism": replace(_COPIES, gate="realism"),
    "oversampling + novelty": replace(_COPIES, gate="novelty"),
    "chosen oversampling": chosen(_COPIES),
    "pseudo-labels": _PSEUDO,
    "pseudo-labels + entropy": replace(_PSEUDO, complement="none"),
    "pseudo-labels + mixes": replace(_PSEUDO, complement="mixes"),
    "classic + pseudo-labels": replace(_PSEUDO, classic=True, data="image"),
    "entropy": Arm(role="control", complement="none"),
    "mixes": Arm(role="control", complement="mixes"),
    "oversampling + entropy": replace(_COPIES, complement="none"),
    "oversampling + mixes": replace(_COPIES, complement="mixes"),
    "classic + entropy": replace(_COPIES, complement="none", classic=True, data="image"),
    "classic + mixes": replace(_COPIES, complement="mixes", classic=True, data="image"),
    "elastic + entropy": replace(_COPIES, complement="none", classic="elastic", data="image"),
    "elastic + mixes": replace(_COPIES, complement="mixes", classic="elastic", data="image"),
    "classic + pseudo-labels + entropy": replace(_PSEUDO, complement="none", classic=True, data="image"),
    "classic + pseudo-labels + mixes": replace(_PSEUDO, complement="mixes", classic=True, data="image"),
    "gan": _GAN,
    "gan + classic": replace(_GAN, classic=True, data="image"),
    "gan + mixup": replace(_GAN, mix="mixup"),
    "gan swap": replace(_GAN, place="swap", dose=SWAP),
    "gan + teacher": replace(_GAN, labels="teacher"),
    "gan + classic + teacher": replace(_GAN, labels="teacher", classic=True, data="image"),
    "smooth gan": replace(_GAN, labels="smooth"),
    "lighter gan": replace(_GAN, weight=0.3),
    "even gan": replace(_GAN, place="even", dose=SWAP),
    "gan near boundary": replace(_GAN, extra=near_boundary, generative=True),
    "gan of all snapshots": replace(_GAN, snapshot="all"),
    "pretrain on gan": replace(_GAN, phases="pretrain"),
    "gan + real last": replace(_GAN, phases="real last"),
    "tuned gan": tuned(_GAN),
    "tuned gan by class": tuned(_GAN, by_class=True),
    "gan + gate": replace(_GAN, gate="agreement"),
    "gan + realism": replace(_GAN, gate="realism"),
    "gan + novelty": replace(_GAN, gate="novelty"),
    "chosen gan": chosen(_GAN),
    "complement": Arm(role="treatment", complement="generator"),
    "threshold + complement": replace(_THRESHOLD, role="treatment", complement="generator"),
    "oversampling + complement": _COMPLEMENT,
    "classic + complement": replace(_COMPLEMENT, classic=True, data="image"),
    "elastic + complement": replace(_COMPLEMENT, classic="elastic", data="image"),
    "pseudo-labels + complement": replace(_PSEUDO, role="treatment", complement="generator"),
    "classic + pseudo-labels + complement": replace(
        _PSEUDO, role="treatment", complement="generator", classic=True, data="image"
    ),
    "quarter of reserve": replace(_RESERVE, dose=0.25),
    "half of reserve": replace(_RESERVE, dose=0.5),
    "reserve": _RESERVE,
}
"""Each treatment has a twin among the controls, see `ganaug.experiment.twins.twin_of`."""

DEFAULT_ARMS: dict[str, tuple[str, ...]] = {
    "image": ("nothing", "class weights", "oversampling", "classic", "mixup", "gan", "gan + classic"),
    "table": (
        "nothing",
        "class weights",
        "threshold",
        "oversampling",
        "noisy copies",
        "smote",
        "borderline smote",
        "gan",
    ),
}
"""Names by kind of data; those that cannot apply to a table or a classifier are left out."""

UNLABELLED_ARMS: dict[str, tuple[str, ...]] = {
    "image": (
        "classic + pseudo-labels",
        "classic + pseudo-labels + entropy",
        "classic + pseudo-labels + mixes",
        "classic + pseudo-labels + complement",
    ),
    "table": (
        "pseudo-labels",
        "pseudo-labels + entropy",
        "pseudo-labels + mixes",
        "pseudo-labels + complement",
    ),
}
"""Those that come on top of the defaults where there are unlabelled samples."""
