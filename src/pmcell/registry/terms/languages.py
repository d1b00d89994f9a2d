"""Words of cell types in German, French, Spanish, Italian, Polish and Dutch, in English.

A label is read word by word, and then in the other order too, for "lymphocyte B" and "cellules
dendritiques" put the noun first. Only the words below are known; any other stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

_WORDS = {
    "cell": "zelle zellen cellule celula cellula komorka komorki komorek cel cellen",
    "lymphocyte": "lymphozyt lymphozyten linfocito linfociti limfocyt limfocyty lymfocyt "
    "lymfocyten",
    "monocyte": "monozyt monozyten monocito monociti monocyt monocyty monocyten",
    "macrophage": "makrophage makrophagen macrofago macrofagi makrofag makrofagi macrofagen",
    "dendritic": "dendritische dendritique dendritica dendritiche dendrytyczne dendrytyczna",
    "megakaryocyte": "megakaryozyt megakaryozyten megacaryocyte megacariocito megacariociti "
    "megakariocyt megakariocyty megakaryocyten",
    "plasma cell": "plasmazelle plasmazellen plasmocyte plasmacellule plasmacellula plasmacel",
    "natural killer cell": "killerzelle killerzellen",
    "platelet": "thrombozyt thrombozyten plaquette plaqueta piastrina piastrine plytki "
    "bloedplaatje",
    "erythrocyte": "erythrozyt erythrozyten eritrocito eritrociti erytrocyt erytrocyty",
    "neutrophil": "neutrophiler neutrophile neutrofilo neutrofili neutrofil neutrofile",
    "fibroblast": "fibroblasten fibroblaste fibroblasto fibroblasti fibroblasty",
    "endothelial cell": "endothelzelle endothelzellen",
    "endothelial": "endotheliale endotelial endoteliale srodblonka",
    "epithelial cell": "epithelzelle epithelzellen",
    "epithelial": "epitheliale epitelial epiteliale nablonka",
    "hepatocyte": "hepatozyt hepatozyten hepatocito hepatociti hepatocyt hepatocyty",
    "memory": "gedachtnis memoire memoria pamieci geheugen",
    "naive": "naiv naif naiva naiwne naiwny",
    "regulatory": "regulatorische regulatrice regulateur reguladora regulador regulatorowe",
}
ENGLISH: Mapping[str, str] = {
    word: english for english, words in _WORDS.items() for word in words.split()
}
"""A word as `normalise` gives it → the English word or words."""
_NOUNS = (
    frozenset(_WORDS)
    - {"dendritic", "endothelial", "epithelial"}
    - {
        "memory",
        "naive",
        "regulatory",
    }
)
_SAME_NOUN = {"lymphocyte": "cell"}
"""Nouns that labels of T and B cells use in place of another."""


def readings(words: str) -> list[str]:
    """What a normalised label may say in English, likeliest first; none where no word is known.

    >>> readings("cd4 t zellen"), readings("lymphocyte b")[0], readings("b cell")
    (['cd4 t cell'], 'b lymphocyte', [])
    """
    given = words.split()
    english = " ".join(ENGLISH.get(word, word) for word in given).split()
    orders = [english]
    if len(english) > 1 and english[0] in _NOUNS:
        # The noun stands first: "lymphocyte T CD4" is a CD4 T lymphocyte.
        orders = [english[1:] + english[:1], english[:0:-1] + english[:1], english]
    if orders == [given]:
        return []
    same = [[_SAME_NOUN.get(word, word) for word in order] for order in orders]
    return list(dict.fromkeys(" ".join(order) for order in [*orders, *same]))
