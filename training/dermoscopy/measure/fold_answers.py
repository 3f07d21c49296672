"""What the networks of one fold answer to the images of that fold, which none of them was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from models.dermoscopy.ensemble import Ensemble, prepare_network, serve_maps
from models.dermoscopy.lite_net import LiteNet
from models.dermoscopy.network import LesionNet, dihedral, enlarge_outline
from models.dermoscopy.preprocess import FINE_PX, common_square, reduced_square
from training.dermoscopy.ham10000.data import MASKS_ARCHIVE, HamImage, decode_mask, read_files, read_jpegs
from training.dermoscopy.measure.held_out_table import HeldOutTable, dice
from training.dermoscopy.measure.skin_tone import typology_angle
from training.dermoscopy.transfer.images import frame_of

BATCH = 16
VIEWS = 2  # of each network, as served


def answer_fold(data: Path, rows: Sequence[HamImage], networks: Ensemble) -> dict[str, HeldOutTable]:
    """The table of the images ``rows`` for every network of ``networks``, by its name. ``networks`` is changed and serves afterwards.

    The angle of the skin is measured around the true outline. No image counts as refused: the limits are those of one model.
    """
    for name in networks.sides:
        prepare_network(networks.network(name))
        serve_maps(networks.network(name))
    jpegs, masks = read_jpegs(data, rows), read_files(data, (MASKS_ARCHIVE,), {row.image_id for row in rows})
    parts: dict[str, list[tuple[np.ndarray, ...]]] = {name: [] for name in networks.sides}
    angles = []
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
        frames = [frame_of(jpegs[row.image_id], row.archive) for row in some]
        truth = np.stack([decode_mask(masks[row.image_id]) for row in some])
        angles += [typology_angle(common_square(frame), mask) for frame, mask in zip(frames, truth, strict=True)]
        squares = [reduced_square(frame, FINE_PX) for frame in frames]
        facts = torch.from_numpy(np.stack([row.patient.facts() for row in some]))
        for name, inputs in networks.inputs_of(squares).items():
            parts[name].append(network_answers(networks.network(name), inputs, facts, truth))
    names = np.array([row.image_id for row in rows])
    return {name: table_of(names, np.array(angles), found) for name, found in parts.items()}


@torch.inference_mode()
def network_answers(net: LesionNet | LiteNet, images: torch.Tensor, facts: torch.Tensor, truth: np.ndarray) -> tuple[np.ndarray, ...]:
    """(N, classes) logits with and without ``facts``, and (N,) overlap of the outline with ``truth`` (N, Y, X), nan without an outline."""
    maps = net.maps(torch.cat(dihedral(images)[:VIEWS]))
    both = [net.classify(maps[-1], known.repeat(VIEWS, 1)) for known in (facts, torch.zeros_like(facts))]
    logits, bare = (found.view(VIEWS, len(images), -1).mean(0).numpy() for found in both)
    overlap = np.full(len(images), np.nan)
    if isinstance(net, LesionNet) and net.outline is not None:
        coarse = net.outline([found[: len(images)] for found in maps])
        overlap = dice(enlarge_outline(coarse, truth.shape[-1]).numpy() > 0, truth)
    return logits, bare, overlap


def table_of(names: np.ndarray, angle: np.ndarray, parts: Sequence[tuple[np.ndarray, ...]]) -> HeldOutTable:
    """One table of all batches; the temperature is 1 until it is fitted."""
    logits, bare, overlap = (np.concatenate(column) for column in zip(*parts, strict=True))
    one, none = np.ones(len(names)), np.zeros(len(names), bool)
    return HeldOutTable(images=names, logits=logits, bare=bare, temperature=one, dice=overlap, angle=angle, refused=none)


def join_tables(tables: Mapping[str, HeldOutTable]) -> HeldOutTable:
    """The networks answering together: the mean of their logits; the outline is that of the network that draws one."""
    given = list(tables.values())
    return replace(
        given[0],
        logits=np.mean([table.logits for table in given], axis=0),
        bare=np.mean([table.bare for table in given], axis=0),
        dice=np.nanmax([table.dice for table in given], axis=0),
    )
