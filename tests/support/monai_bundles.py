"""Creates a small MONAI bundle in the layout of the Model Zoo's lung_nodule_ct_detection, with random weights."""

import json
from pathlib import Path
from typing import Any

import torch

from models.bundle import detector_network
from models.bundle.config_reader import BundleConfig

ABOUT = """
name = "brought_detector"
licence = "Apache-2.0"
not_for = "Not for diagnosis."
looked_for = "Nodules, as the bundle's authors say."
[[labels]]
name = "nodule"
code = { value = "27925004", scheme = "SCT", meaning = "Nodule" }
malignant = false
advice = "A place to look at."
[thresholds]
score = 0.0
most_findings = 3
"""
METADATA = {
    "version": "0.6.9",
    "task": "CT lung nodule detection",
    "authors": "MONAI team",
    "monai_version": "1.4.0",
    "eval_metrics": {"mAP": 0.85},
}
WINDOW_HU = {"a_min": -1024.0, "a_max": 300.0, "b_min": 0.0, "b_max": 1.0, "clip": True}
START = {  # of configs/inference.json, as bundles of classifiers and of segmentations write it
    "imports": ["$import glob"],
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "network": "$@network_def.to(@device)",
}


def inference(window: tuple[int, int, int] = (32, 32, 16)) -> dict[str, Any]:
    """Return configs/inference.json with expressions, references and targets as in the Model Zoo."""
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "whether_raw_luna16": False,
        "whether_resampled_luna16": "$(not @whether_raw_luna16)",
        "infer_patch_size": list(window),
        "anchor_generator": {
            "_target_": "monai.apps.detection.utils.anchor_utils.AnchorGeneratorWithAnchorShape",
            "feature_map_scales": [1, 2, 4],
            "base_anchor_shapes": [[6, 8, 4], [8, 6, 5], [10, 10, 6]],
        },
        "backbone": "$monai.networks.nets.resnet.resnet10(spatial_dims=3,n_input_channels=1,conv1_t_stride=[2,2,1],"
        "conv1_t_size=[7,7,7],widen_factor=0.125)",
        "feature_extractor": "$monai.apps.detection.networks.retinanet_network.resnet_fpn_feature_extractor(@backbone,3,False,[1,2],None)",
        "network_def": {
            "_target_": "RetinaNet",
            "spatial_dims": 3,
            "num_classes": 1,
            "num_anchors": 3,
            "feature_extractor": "@feature_extractor",
            "size_divisible": [16, 16, 8],
        },
        "network": "$@network_def.to(@device)",
        "detector": {"_target_": "RetinaNetDetector", "network": "@network", "anchor_generator": "@anchor_generator"},
        "detector_ops": [
            "$@detector.set_target_keys(box_key='box', label_key='label')",
            "$@detector.set_box_selector_parameters(score_thresh=0.02,topk_candidates_per_level=1000,nms_thresh=0.22,detections_per_img=300)",
            "$@detector.set_sliding_window_inferer(roi_size=@infer_patch_size,overlap=0.25,sw_batch_size=1,mode='constant',device='cpu')",
        ],
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image", "_disabled_": "@whether_raw_luna16"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {"_target_": "Spacingd", "keys": "image", "pixdim": [2.0, 2.0, 4.0], "_disabled_": "@whether_resampled_luna16"},
                {"_target_": "ScaleIntensityRanged", "keys": "image", **WINDOW_HU},
                {"_target_": "EnsureTyped", "keys": "image"},
            ],
        },
        "evaluating": ["$setattr(torch.backends.cudnn, 'benchmark', True)", "$@evaluator.run()"],
    }


def make_bundle(folder: Path, config: dict[str, Any] | None = None) -> Path:
    """Write the bundle to ``folder``, and about.toml beside it; return ``folder``."""
    config = config or inference()
    torch.manual_seed(3)
    net = detector_network.build(detector_network.describe_network(BundleConfig(config, "configs/inference.json")))
    return write_bundle(folder, config, {"model": net.state_dict()}, about=ABOUT, metadata=METADATA)


def write_bundle(folder: Path, config: dict[str, Any], weights: dict[str, Any], *, about: str, metadata: dict[str, Any]) -> Path:
    """Write a bundle of any kind to ``folder``, and about.toml beside it; return ``folder``."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (folder.parent / "about.toml").write_text(about)
    torch.save(weights, folder / "models" / "model.pt")
    return folder
