"""The body map: regions of the skin as shapes of an SVG, front, back and face. The select field beside it offers the same regions."""

from dataclasses import dataclass

from imaging.photograph.skin_regions import skin_regions

_MIRROR = "matrix(-1 0 0 1 {width} 0)"


@dataclass(frozen=True, slots=True)
class Shape:
    """One region: key and label of the region, path (SVG ``d``), and transform that mirrors it to the other side."""

    key: str
    label: str
    path: str
    transform: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """One drawing. ``outline`` is what cannot be chosen. ``left_letter``: the side of the body at the left edge of the drawing."""

    name: str
    width: int
    height: int
    left_letter: str
    right_letter: str
    outline: tuple[str, ...]
    shapes: tuple[Shape, ...]


_UPPER_ARM = "M61 83 Q47 85 45 101 L39 143 Q47 149 56 144 L63 106 Z"
_FOREARM = "M39 146 Q47 152 55.5 147 L50 195 Q43 199 36 195 Z"
_HAND = "M36 198 Q43 202 50 198 L52 213 Q51 230 42 230 Q33 228 33 212 Z"
_LOWER_LEG = "M71 292 Q82 298 94 292 L90 357 Q83 361 76 357 Z"
_FOOT = "M76 360 Q83 364 90 360 L91 374 Q90 386 78 386 Q67 386 69 377 Z"
_TRUNK_UPPER, _TRUNK_LOWER = "M64 82 Q100 71 136 82 L133 137 H67 Z", "M67 140 H133 L133 190 Q100 202 67 190 Z"
_NECK = "M90 58 Q100 64 110 58 V70 Q112 75 122 77 Q100 71 78 77 Q88 75 90 70 Z"

# Paths of the middle, and of the side that is at the left edge of the drawing.
_FRONT = (
    {"neck": _NECK, "chest": _TRUNK_UPPER, "abdomen": _TRUNK_LOWER, "genital": "M86 200 Q100 203 114 200 L107 219 Q100 224 93 219 Z"},
    {"upper-arm": _UPPER_ARM, "forearm": _FOREARM, "palm": _HAND,
     "thigh": "M67 194 Q76 199 83 200 L91 221 L97 227 L94 289 Q82 295 71 289 Z",
     "lower-leg": _LOWER_LEG, "foot": _FOOT},
)  # fmt: skip
_BACK = (
    {"nape": _NECK, "upper-back": _TRUNK_UPPER, "lower-back": _TRUNK_LOWER},
    {"upper-arm-back": _UPPER_ARM, "forearm-back": _FOREARM, "hand": _HAND, "buttock": "M67 194 Q84 200 98.5 200 V226 Q82 233 69 226 Z",
     "thigh-back": "M69 230 Q83 236 97 230 L94 289 Q82 295 71 289 Z", "calf": _LOWER_LEG, "heel": _FOOT},
)  # fmt: skip
_FACE = (
    {"scalp": "M37 70 C30 20 60 10 80 10 C100 10 130 20 123 70 C118 46 102 40 80 40 C58 40 42 46 37 70 Z",
     "forehead": "M43 72 C46 48 62 43 80 43 C98 43 114 48 117 72 C100 79 60 79 43 72 Z",
     "nose": "M74 84 C78 82 82 82 86 84 L93 112 C90 121 70 121 67 112 Z",
     "lips": "M62 135 C70 127 76 130 80 131 C84 130 90 127 98 135 C92 146 68 146 62 135 Z",
     "chin": "M60 147 C64 148 72 152 80 152 C88 152 96 148 100 147 C97 158 90 166 80 166 C70 166 63 158 60 147 Z"},
    {"cheek": "M41 92 C50 98 62 99 70 98 L64 112 C63 118 64 122 66 125 C60 130 57 136 57 143 C48 130 43 112 41 92 Z",
     "ear": "M37 80 C28 75 23 86 25 98 C27 110 34 116 41 113 C38 104 37 94 37 80 Z"},
)  # fmt: skip
_EYES = "M50 87 Q59 79 68 87 Q59 92 50 87 Z M92 87 Q101 79 110 87 Q101 92 92 87 Z"
_FACE_OUTLINE = "M80 24 C112 24 124 52 121 92 C118 130 102 166 80 166 C58 166 42 130 39 92 C36 52 48 24 80 24 Z"
_HEAD = "M100 8 Q122 8 121 34 Q118 60 100 60 Q82 60 79 34 Q78 8 100 8 Z"


def _shapes(paths: tuple[dict[str, str], dict[str, str]], width: int, first: str, second: str) -> tuple[Shape, ...]:
    regions = skin_regions()
    middle, side = paths
    shapes = [Shape(key, regions[key].label, path) for key, path in middle.items()]
    for name, path in side.items():
        for letter, transform in ((first, ""), (second, _MIRROR.format(width=width))):
            shapes.append(Shape(f"{name}-{letter}", regions[f"{name}-{letter}"].label, path, transform))
    return tuple(shapes)


def body_map() -> tuple[Figure, ...]:
    """Return the drawings. In front and face the right side of the body is at the left edge, on the back at the right edge."""
    return (
        Figure("Front", 200, 392, "R", "L", (_HEAD,), _shapes(_FRONT, 200, "R", "L")),
        Figure("Back", 200, 392, "L", "R", (_HEAD,), _shapes(_BACK, 200, "L", "R")),
        Figure("Face and scalp", 160, 184, "R", "L", (_FACE_OUTLINE, _EYES), _shapes(_FACE, 160, "R", "L")),
    )
