"""The file of outlines and heat map for the viewer: masks are exact, a heat map is made coarser and keeps its place and its peaks."""

import base64
import gzip
import json

import numpy as np

from core.concepts import codes
from core.records import Finding, Mask
from imaging.masks import pack_heat_map, pack_mask, unpack_mask
from imaging.overlays import MOST_VALUES, coarsen, pack_overlays


def test_masks_are_kept_exactly_and_numbered_as_their_findings() -> None:
    inside = np.zeros((4, 30, 20), bool)
    inside[1:3, 5:17, 3:9] = np.random.default_rng(1).random((2, 12, 6)) > 0.4
    content = pack_overlays([Finding("nodule", codes.NODULE), Finding("nodule", codes.NODULE, mask=pack_mask(inside))], None)
    read = json.loads(gzip.decompress(content))
    (mask,) = read["masks"]
    box = unpack_mask(Mask(tuple(mask["origin"]), tuple(mask["shape"]), base64.b64decode(mask["bits"])))
    z, y, x = mask["origin"]
    assert mask["ordinal"] == 2
    assert np.array_equal(box, inside[z : z + box.shape[0], y : y + box.shape[1], x : x + box.shape[2]])
    assert read["heat"] is None


def test_a_heat_map_is_cropped_to_what_is_displayed_and_keeps_its_place() -> None:
    values = np.zeros((10, 40, 50), np.float32)
    values[4, 20, 30] = 0.8
    content = pack_overlays([], pack_heat_map(values, origin=(0.5, 1.5, 1.5), step=(1.0, 4.0, 4.0), meaning="evidence"))
    heat = json.loads(gzip.decompress(content))["heat"]
    read = np.frombuffer(base64.b64decode(heat["values"]), np.uint8).reshape(heat["shape"])
    peak = np.unravel_index(read.argmax(), read.shape)
    assert read.size <= 27
    assert read.max() == round(0.8 * 255)
    assert [o + s * k for o, s, k in zip(heat["origin"], heat["step"], peak, strict=True)] == [4.5, 81.5, 121.5]


def test_nothing_to_show_makes_no_file() -> None:
    assert pack_overlays([Finding("nodule", codes.NODULE)], pack_heat_map(np.full((2, 2, 2), 0.01, np.float32), meaning="none")) == b""


def test_a_large_map_is_made_coarser_without_losing_a_peak() -> None:
    values = np.zeros((1, 2001, 1500), np.uint8)
    values[0, 2000, 7] = 200
    coarse, origin, step = coarsen(values, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert coarse.size <= MOST_VALUES
    assert coarse.max() == 200
    k, j, i = (int(place) for place in np.unravel_index(coarse.argmax(), coarse.shape))
    place = np.array(origin) + np.array(step) * (k, j, i)
    assert np.all(np.abs(place - (0, 2000, 7)) <= np.array(step) / 2)
