"""What a network of the shipped ``dermoscopy_7class`` says of the same images, for the comparison."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from core.errors import ModelError
from models.card import read_card
from models.dermoscopy.data import read_jpegs
from models.dermoscopy.network import dihedral
from models.dermoscopy.panel import Panel, to_tensor
from models.dermoscopy.preprocess import common_square
from training.dermoscopy_7class.images import Images, centre_of

BATCH = 32


@torch.inference_mode()
def shipped_logits(room: Path, member: str, data: Path, images: Images, index: np.ndarray, views: int) -> np.ndarray:
    """(N, views, classes) of the images ``index`` by one member of the card in ``room``, from the JPEGs, as it is served.

    The member of a fold has learned no image of that fold's lesions. Raises ModelError where the card has no such member.
    """
    card = read_card(room / "card.toml")
    if member not in card.network["members"]:
        raise ModelError(f"the card has the members {list(card.network['members'])}, not {member}", hint="name one of them")
    panel = Panel(card.network, len(card.labels))
    panel.load_state_dict(load_file(room / card.weights))
    panel.eval()
    entries = [images.entries[i] for i in index]
    jpegs = read_jpegs(data, [entry.row for entry in entries])
    parts = []
    for start in range(0, len(entries), BATCH):
        part = entries[start : start + BATCH]
        decoded = [np.asarray(Image.open(io.BytesIO(jpegs[entry.row.image_id])).convert("RGB")) for entry in part]
        squares = np.stack([common_square(centre_of(rgb, entry.row.archive)) for rgb, entry in zip(decoded, part, strict=True)])
        facts = torch.from_numpy(images.facts[index[start : start + BATCH]])
        upright = to_tensor(squares, panel.sides[member])
        said = [panel.ask(member, view, facts, 1).logits for view in dihedral(upright)[:views]]
        parts.append(torch.stack(said, 1))
    return torch.cat(parts).numpy()
