"""Words by which headers name the chest or another part of the body, in several languages; compared with normalised text.

Languages: English, German, French, Spanish, Italian, Portuguese, Dutch and Japanese. Sources: the Defined Terms of Body Part Examined
(PS3.16 Annex L), and values as scanners write them, such as those that the Imaging Data Commons lists as equal.
"""

import re
import unicodedata

_NO_LETTER = re.compile(r"[\W\d_]+")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Anywhere in a word, because compounds are common (NECKCHEST, Thoraxübersicht). What contains one of these names the chest.
CHEST_STEMS = (
    *_words("chest thorax thorac thorak torax torac mediastin pleura pulmo pulma polmon poumon bronch brustkorb poitrine borstkas"),
    *_words("胸 肺 気管支 縦隔"),
)
# At the beginning of a word. `lung` is a common ending of German words, and `long` an English word.
CHEST_BEGINNINGS = _words("lung longen longembol longcarc longnod chabd")
# Whole words. CAP, TAP: chest (thorax), abdomen and pelvis.
CHEST_WORDS = _words("pecho peito cap tap thx ctpa hrct")

# Parts of the spine whose names contain that of the chest. They are taken out before the chest is looked for, and name another part.
_THORACIC = r"(?:thora[ckx]\w*|tora[cx]\w*|dorsal\w*)"
_SPINE = r"(?:spin\w*|vertebr\w*|rachis|colonn\w*|column\w*|coluna|wirbel\w*|wervel\w*)"
THORACIC_SPINE = re.compile(
    rf"\b{_THORACIC} (?:\w+ )?{_SPINE}|\b{_SPINE} (?:\w+ )?{_THORACIC}|\bthora\w* ?(?:o )?(?:lumb|lomb)\w*|\btora\w* ?(?:lumb|lomb)\w*"
    r"|\bcervico ?thora\w*|brustwirbel\w*|\bb(?:ws|wk|wz)\b|\b(?:c|l|ct|tl)?t ?spine\b|胸椎|胸腰椎"
)
# The position of the patient on the table, which names no part.
POSITIONS = re.compile(r"\b(?:head|feet) first\b")

OTHER_BEGINNINGS = (
    # trunk and its organs
    *_words("abd addom bauch buik ventre vientre pelvi becken bekken bassin bacino liver hepat leber lever figado higado fegato foie"),
    *_words("kidney renal niere pancrea pankrea colonograph entero prostat bladder"),
    # head and neck
    *_words("head skull brain crani cereb enceph encefal kopf schadel schaedel hals hoofd hersen tete cabeza cabeca testa"),
    *_words("sinus orbit facial dental neck cervical cerveau cuello pescoco"),
    # heart, breast and spine
    *_words("heart cardia coronar herz coeur corazon coracao cuore breast mamm spine spinal rachis lumb lomb sacr"),
    *_words("wirbelsaule wirbelsaeule wervelkolom columna colonna coluna"),
    # limbs
    *_words("knee knie genou rodilla ginocchio joelho ankle foot wrist elbow shoulder schulter schouder epaule hombro spalla ombro"),
    *_words("hufte huefte heup hanche cadera quadril femur tibia extremit"),
)
OTHER_WORDS = (
    *_words("colon rein reins rim rins rinon rene reni cou collo nek hart hip anca arm leg hand hws lws nnh iac"),
    *_words("tspine cspine lspine lsspine ctspine tlspine sspine"),
)
OTHER_STEMS = _words("頭 脳 頸 頚 腹 骨盤 肝 腎 膵 膝 肩 股 脊椎 腰 心臓 冠動脈 下肢 上肢 副鼻腔 乳")


def normalise_text(text: str) -> str:
    """Return ``text`` without accents, in lower case, with single spaces for everything that is no letter."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text[:256]) if not unicodedata.combining(c))
    return _NO_LETTER.sub(" ", plain.casefold()).strip()


def names_chest(text: str) -> bool:
    """Whether a normalised text names the chest, alone or with other parts."""
    return _contains(THORACIC_SPINE.sub(" ", text), CHEST_STEMS, CHEST_BEGINNINGS, CHEST_WORDS)


def names_other_part(text: str) -> bool:
    """Whether a normalised text names a part of the body other than the chest."""
    return THORACIC_SPINE.search(text) is not None or _contains(POSITIONS.sub(" ", text), OTHER_STEMS, OTHER_BEGINNINGS, OTHER_WORDS)


def _contains(text: str, stems: tuple[str, ...], beginnings: tuple[str, ...], whole: tuple[str, ...]) -> bool:
    words = text.split()
    return any(stem in text for stem in stems) or any(word.startswith(beginnings) or word in whole for word in words)
