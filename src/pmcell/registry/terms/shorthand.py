"""Words that single-cell files use for terms of the ontologies, beside labels and synonyms.

Each entry is the term that the community means by the word (CL, UBERON, MONDO,
PATO, HANCESTRO); words that mean different things in different files are left
out, so that a person decides.
"""

from __future__ import annotations

from collections.abc import Mapping

from pmcell.registry.terms.ontology import normalise
from pmcell.registry.terms.vocabulary import NORMAL
from pmcell.spelling import folded

_CELLS = {
    "CL:0000236": "b, b cell, bcell, b lymphocyte",
    "CL:0000787": "b mem, bmem, b memory, memory b",
    "CL:0000788": "b naive, naive b",
    "CL:0000980": "plasmablast, pb",
    "CL:0000786": "plasma, pc",
    "CL:0000084": "t, tcell",
    "CL:0000624": "cd4, cd4 t, cd4 t cell, cd4 positive t cell, t cd4",
    "CL:0000625": "cd8, cd8 t, cd8 t cell, cd8 positive t cell, t cd8",
    "CL:0000897": "cd4 mem, cd4 memory, cd4 memory t cell",
    "CL:0000895": "cd4 naive, naive cd4, cd4 naive t cell, naive cd4 t cell",
    "CL:0000909": "cd8 mem, cd8 memory, cd8 memory t cell",
    "CL:0000900": "cd8 naive, naive cd8, cd8 naive t cell, naive cd8 t cell",
    "CL:0000815": "treg, t reg, regulatory t",
    "CL:0000798": "gdt, gd t, t gd, gamma delta t, tgd",
    "CL:0000940": "mait",
    "CL:0000623": "nk, nk cell",
    "CL:0000938": "nk cd56bright, cd56bright nk, nk bright",
    "CL:0000939": "nk cd56dim, cd56dim nk, nk dim",
    "CL:0000576": "mono, monocyte",
    "CL:0000860": "mono classical, classical mono, cmono, mono c, monoc",
    "CL:0000875": "mono nonclassical, mono non classical, nonclassical monocyte, ncmono, "
    "mono nc, mononc",
    "CL:0001054": "cd14 mono, cd14 monocyte, mono cd14, cd14 positive mono",
    "CL:0002396": "cd16 mono, cd16 monocyte, cd16 positive monocyte, mono cd16, "
    "fcgr3a positive monocyte, fcgr3a mono, cd16 positive mono, fcgr3a positive mono",
    "CL:0000451": "dc",
    "CL:0000990": "cdc, mdc",
    "CL:0000784": "pdc",
    "CL:0000556": "mega, megakaryocyte, mk",
    "CL:0000233": "plt, platelet",
    "CL:0000232": "rbc, erythrocyte, ery",
    "CL:0000037": "hsc",
    "CL:0008001": "hspc",
    "CL:0000171": "alpha cell",
    "CL:0000169": "beta cell",
    "CL:0000173": "delta cell",
    "CL:0002275": "gamma cell, pp cell",
    "CL:0005019": "epsilon cell",
    "CL:0002064": "acinar",
    "CL:0002079": "ductal",
}
_TISSUES = {
    "UBERON:0000178": "pbmc, pbmcs, peripheral blood, whole blood, blut, vollblut, edta blut, "
    "venenblut, peripheres blut, sang, sang total, sangre, sangre periferica, sangue, krew, "
    "krew obwodowa, bloed, volbloed",
    "UBERON:0000006": "islet, pancreatic islet, langerhans insel, langerhans inseln, "
    "ilot de langerhans, islote de langerhans, islote pancreatico, isola di langerhans, "
    "isole di langerhans, wyspa langerhansa, wyspy langerhansa, eilandje van langerhans",
    "UBERON:0002113": "niere, rein, rinon, rene, nerka, nier",
    "UBERON:0002107": "leber, foie, higado, fegato, watroba, lever",
    "UBERON:0002048": "lunge, poumon, pulmon, polmone, pluco, pluca",
    "UBERON:0000948": "herz, coeur, corazon, cuore, serce, hart",
    "UBERON:0001264": "bauchspeicheldruse, pankreas, pancrea, trzustka, alvleesklier",
    "UBERON:0001013": "fett, fettgewebe, tissu adipeux, tejido adiposo, tessuto adiposo, "
    "tkanka tluszczowa, vetweefsel",
    "UBERON:0002371": "knochenmark, moelle osseuse, medula osea, midollo osseo, szpik, "
    "szpik kostny, beenmerg",
    "UBERON:0000029": "lymphknoten, ganglion lymphatique, ganglio linfatico, linfonodo, "
    "wezel chlonny, lymfeklier",
    "UBERON:0002418": "knorpel, gelenkknorpel, cartilago, cartilagine, chrzastka, kraakbeen",
}
_DISEASES = {
    NORMAL: "healthy, normal, healthy control, healthy donor, hc, gesund, sain, saine, sano, sana, "
    "saludable, zdrowy, zdrowa, gezond, gesunde kontrolle, gesunde kontrollperson, "
    "temoin sain, controle sain, volontaire sain, control sano, voluntario sano, "
    "controllo sano, zdrowa kontrola, gezonde controle",
    "MONDO:0100096": "covid, covid19, covid 19, sars cov 2 infection",
    "MONDO:0005148": "t2d, t2dm, type 2 diabetes, type ii diabetes, diabetes mellitus typ 2, "
    "typ 2 diabetes, diabete de type 2, diabetes tipo 2, diabete tipo 2, cukrzyca typu 2",
    "MONDO:0005147": "t1d, t1dm, type 1 diabetes, diabetes mellitus typ 1, typ 1 diabetes, "
    "diabete de type 1, diabetes tipo 1, diabete tipo 1, cukrzyca typu 1",
    "MONDO:0007915": "sle, csle, lupus, childhood sle, systemischer lupus erythematodes, "
    "lupus erythemateux systemique, lupus erythemateux dissemine, lupus eritematoso sistemico, "
    "toczen rumieniowaty ukladowy, systemische lupus erythematosus",
    "MONDO:0005300": "ckd, chronische nierenkrankheit, chronische niereninsuffizienz, "
    "maladie renale chronique, insuffisance renale chronique, enfermedad renal cronica, "
    "malattia renale cronica, przewlekla choroba nerek, chronische nierziekte",
    "MONDO:0005178": "oa, arthrosis, arthrose, artrosis, artrosi, artroza, artrose",
    "MONDO:0005252": "herzinsuffizienz, insuffisance cardiaque, insuficiencia cardiaca, "
    "scompenso cardiaco, niewydolnosc serca, hartfalen",
}
_SEXES = {
    "PATO:0000383": "f, female, woman, w, weiblich, frau, femme, feminin, mujer, femenino, "
    "femenina, hembra, femmina, donna, femminile, kobieta, k, zenska, vrouw, vrouwelijk, "
    "feminino, kvinde, kvinna, kvinne, nainen, zena, zenske, femeie, zenski, naine, sieviete, "
    "moteris, kadin, γυναικα, θηλυ, "
    "θ, жена, женски, ж",
    "PATO:0000384": "m, male, man, mannlich, mann, homme, masculin, hombre, masculino, varon, "
    "maschio, uomo, maschile, mezczyzna, meska, mannelijk, mand, mies, muz, muzske, ferfi, barbat, "
    "muski, moski, mees, virietis, vyras, erkek, ανδρας, "
    "αρρεν, α, мъж, мъжки, м",
}
_ASSAYS = {
    "EFO:0009901": "10x v1, 10xv1, 10x 3 v1, chromium v1",
    "EFO:0009922": "10x v3, 10xv3, 10x 3 v3, chromium v3",
    "EFO:0009899": "10x v2, 10xv2, 10x 3 v2, chromium v2",
    "EFO:0008931": "smartseq2, smart seq 2, ss2",
    "EFO:0008722": "dropseq",
}


def _table(entries: Mapping[str, str]) -> dict[str, str]:
    return {shorthand(word): term for term, words in entries.items() for word in words.split(",")}


def shorthand(text: str) -> str:
    """A text as it is looked up here; of other alphabets than the Latin one its small letters.

    >>> shorthand("NK-Zellen"), shorthand(" \u0386\u03bd\u03b4\u03c1\u03b1\u03c2 ")
    ('nk zellen', '\u03b1\u03bd\u03b4\u03c1\u03b1\u03c3')
    """
    return normalise(text) or folded(text).strip()


SHORTHAND: Mapping[str, Mapping[str, str]] = {
    "cell_type": _table(_CELLS),
    "tissue_ontology_term_id": _table(_TISSUES),
    "disease_ontology_term_id": _table(_DISEASES),
    "sex_ontology_term_id": _table(_SEXES),
    "assay_ontology_term_id": _table(_ASSAYS),
}
"""By column: a text as `normalise` gives it → the term it stands for."""

SPELT: Mapping[str, str] = {
    "mono": "monocyte",
    "mem": "memory",
    "nk": "natural killer cell",
    "prog": "progenitor",
}
"""Words of cell-type labels, spelt out before the nearest terms are looked for."""


def words_for(term_id: str) -> list[str]:
    """Return the words that files use for a term beside its label and synonyms.

    >>> words_for("CL:0000784"), words_for("CL:0000000")
    (['pdc'], [])
    """
    return [word for table in SHORTHAND.values() for word, term in table.items() if term == term_id]
