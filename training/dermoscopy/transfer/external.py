"""Measures a model on the test part of the ISIC 2017 challenge, which no network was trained on."""

from typing import Any

import numpy as np

from models.classifier.calibration import softmax
from models.dermoscopy.acceptance import check_networks
from models.dermoscopy.model import DermoscopyClassifier
from training.bootstrap import bootstrap
from training.calibration import expected_calibration_error
from training.classifier_metrics import auc, class_recalls, rounded, sensitivity_at
from training.dermoscopy.ham10000.data import CLASSES
from training.dermoscopy.transfer.archives import DataPart
from training.dermoscopy.transfer.images import TransferImages

MELANOMA = CLASSES.index("mel")
SOURCE = "ISIC 2017 challenge, test part: squares that their source stretched, corrected; facts of the patient unknown"


def measure_external(model: DermoscopyClassifier, images: TransferImages) -> dict[str, Any]:
    """Melanoma against the rest, and balanced accuracy among the classes that occur, with the temperature of the card.

    ``balanced_accuracy_of_seven`` counts an answer of any other class as wrong. ``melanoma_auc_interval``: 95 %, images redrawn.
    """
    index = images.of(DataPart.EXTERNAL)
    labels = images.labels[index]
    output = model.run_networks(images.squares(index), images.facts[index])
    p, present = softmax(output.logits, model.card.temperature), np.unique(labels)

    def measure(rows: np.ndarray) -> dict[str, float]:
        some, truth, score = p[rows], labels[rows], p[rows, MELANOMA]
        among = present[some[:, present].argmax(1)]
        return {
            "melanoma_auc": auc(score, truth == MELANOMA),
            "melanoma_sensitivity_at_90_specificity": sensitivity_at(score, truth == MELANOMA),
            "balanced_accuracy_of_present": float(np.nanmean(class_recalls(among, truth, len(CLASSES)))),
            "balanced_accuracy_of_seven": float(np.nanmean(class_recalls(some.argmax(1), truth, len(CLASSES)))),
            "ece": expected_calibration_error(some, truth),
        }

    intervals = bootstrap(measure, images.groups[index])
    limits = model.card.thresholds
    refused = np.mean([bool(check_networks(float(far), drawn, limits)) for far, drawn in zip(output.distance, output.outline, strict=True)])
    return {
        "source": SOURCE,
        "n": len(index),
        **{name: rounded(value) for name, (value, _, _) in intervals.items()},
        "melanoma_auc_interval": [rounded(value) for value in intervals["melanoma_auc"][1:]],
        "refused": rounded(refused),
    }
