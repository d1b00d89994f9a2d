"""Undo what other tools do to the spelling of gene names, without looking any name up."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from itertools import product

MAX_DOTS = 6
"""Dots of a name that are tried as dashes; 64 spellings at most."""

_ENSEMBL = re.compile(r"(ENSG\d{11})(?:\.\d+)?(?:_PAR_Y)?")
_BESIDE = r"[_|:;,/ .()\[\]-]"
_ENSEMBL_INSIDE = re.compile(rf"(?:^|{_BESIDE})(ENSG\d{{11}})(?:\.\d+)?(?=$|{_BESIDE})")
_OTHER_ENSEMBL = re.compile(r"ENS([A-Z]{3,4})G\d{11}(\.\d+)?")
# Cell Ranger writes GRCh38_CD3E (older: GRCh38___), Seurat makes dashes of it, R's make.names dots.
_GENOME = re.compile(
    r"(?:GRCh3[78]|hg19|hg38|human)(?:[-_.](?:premrna|(?:2020|2024)-A|3[.]0[.]0))?[-_.|:]+(.+)",
    re.IGNORECASE,
)
OTHER_GENOME = re.compile(r"(?:GRCm3[89]|mm(?:9|10|39)|mouse|rn[67]|mRatBN7[.]2)[-_.|:]+.", re.I)
_TRANSCRIPT = re.compile(r"ENST\d{11}(?:\.\d+)?")
# Annotations write gene:CD3E and gene-CD3E, exports HGNC:CD3E, Python's text of bytes b'CD3E'.
_AROUND = re.compile(r"(?:HGNC:|gene[:-])(?=\D)|^b(?=(['\"]).*\1$)")
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212\uff0d"), "-")
_MADE_UNIQUE = re.compile(r"(.+)[-.](\d{1,3})")
# Names of months as spreadsheets write them in English, German, Dutch, French, Spanish, Italian,
# Portuguese and the Nordic languages; MARCH, SEPT, DEC, OCT and FEB once began symbols.
_MONTHS = (
    "jan(?:uary|uar|vier|eiro)? feb(?:ruary|ruar)? f[eé]v(?:rier|ereiro)? m[aä]r(?:z|ch|s|t|zo)? "
    "mrz mrt mars ma(?:rt|art) a[pbv]r(?:il)? avr(?:il)? may mai maj mei mag ju[nl](?:i|y|e)? juin "
    "juil giu lug aug ao[uû]t ago set sep(?:t|tember)? okt(?:ober)? o[ct]t(?:ober)? "
    "nov(?:ember)? de[cszk](?:ember)? d[eé]c(?:embre)? dic gen ene fev out dez abr"
)
_MONTH = f"(?:{'|'.join(_MONTHS.split())})[.]?"
_SPREADSHEET = re.compile(
    rf"\d{{1,2}}[.]?[-/ .]*{_MONTH}(?:[-/ ]*\d{{2,4}})?|{_MONTH}[-/ .]+\d{{1,4}}"
    r"|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[ T]\d{1,2}:\d{2}(?::\d{2})?)?"
    r"|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}(?: \d{1,2}:\d{2}(?::\d{2})?)?"
    r"|[34]\d{4}(?:[.]0)?|\d[.,]\d+E\+\d{2}",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+(?:[.]0+)?")
_PART = re.compile(r"(.+)-(?:[UAI]|I\d+)")
"""How alevin-fry (-U, -A) and lists of introns (-I, -I2) name what they count beside a gene."""


def ensembl_id_of(name: str) -> str:
    """The human Ensembl id that the name is, without its version; empty where it is none.

    >>> ensembl_id_of("ENSG00000182378.15_PAR_Y")
    'ENSG00000182378'
    """
    match = _ENSEMBL.fullmatch(name) if name.startswith("ENSG") else None
    return match.group(1) if match else ""


def ensembl_id_inside(name: str) -> str:
    """The human Ensembl id within a compound name; empty where there is none.

    >>> ensembl_id_inside("CD3E-ENSG00000198851.12")
    'ENSG00000198851'
    """
    match = _ENSEMBL_INSIDE.search(name) if "ENSG" in name else None
    return match.group(1) if match else ""


def other_species_of_id(name: str) -> str:
    """Whose Ensembl gene id the name is, when it is not human; else empty."""
    match = _OTHER_ENSEMBL.fullmatch(name)
    if not match:
        return ""
    return {"MUS": "a mouse", "RNO": "a rat"}.get(match.group(1), "another species'")


def without_genome(name: str) -> str:
    """The name behind the prefix of a human genome; empty where there is no such prefix.

    >>> [without_genome(name) for name in ("GRCh38_CD3E", "hg19-CD3E", "GRCh38---HLA-A", "CD3E")]
    ['CD3E', 'CD3E', 'HLA-A', '']
    """
    match = _GENOME.fullmatch(name)
    return match.group(1) if match else ""


def original_of_duplicate(name: str, present: Collection[str]) -> str:
    """The name that was made unique by a suffix, if it is in `present`; else empty."""
    match = _MADE_UNIQUE.fullmatch(name)
    return match.group(1) if match and match.group(1) in present else ""


def whole_of_part(name: str, present: Collection[str]) -> str:
    """The gene in `present` of which the name is the unspliced or ambiguous part; else empty.

    >>> whole_of_part("ENSG00000198851-U", {"ENSG00000198851"}), whole_of_part("HLA-A", {"CD4"})
    ('ENSG00000198851', '')
    """
    match = _PART.fullmatch(name)
    return match.group(1) if match and match.group(1) in present else ""


def is_transcript(name: str) -> bool:
    """Whether the name is the Ensembl id of a human transcript."""
    return bool(_TRANSCRIPT.fullmatch(name))


def plain_spelling(name: str) -> str:
    """The name as it is typed; the same where there is nothing to undo.

    Quotes and spaces around it, marks of a program before it, signs that only look like ASCII
    and those that are not seen at all are no part of a gene's name.

    >>> [plain_spelling(name) for name in ('"CD3E"', "HGNC:HLA-A", "MT\u2011ND1", "b'CD3E'")]
    ['CD3E', 'HLA-A', 'MT-ND1', 'CD3E']
    """
    bare = name
    if not name.isascii():
        bare = unicodedata.normalize("NFKC", name).translate(_DASHES)
        bare = "".join(sign for sign in bare if unicodedata.category(sign) != "Cf")
    bare = _AROUND.sub("", bare.strip(), count=1).strip("\"'").strip()
    return bare.upper() if bare.startswith("ensg") else bare


def dashed_spellings(name: str) -> Iterator[str]:
    """The names of which R's make.names may have made this one: each dot was a dash or is a dot.

    Databases and shells take underscores for dashes: all of a name's are.

    >>> list(dashed_spellings("CTA.109P11.1"))
    ['CTA-109P11-1', 'CTA-109P11.1', 'CTA.109P11-1']
    >>> list(dashed_spellings("HLA_A"))
    ['HLA-A']
    """
    if "_" in name:
        name = name.replace("_", "-")
        yield name
    # make.names puts X before a digit: X7SK was 7SK.
    bare = [name, name[1:]] if re.match(r"X\d", name) else [name]
    for start in bare:
        parts = start.split(".")
        if len(parts) - 1 > MAX_DOTS:
            continue
        for signs in product("-.", repeat=len(parts) - 1):
            spelling = parts[0] + "".join(
                sign + part for sign, part in zip(signs, parts[1:], strict=True)
            )
            if spelling != name:
                yield spelling


def is_spreadsheet_date(name: str) -> bool:
    """Whether a spreadsheet made a date or a number of the name.

    >>> [is_spreadsheet_date(name) for name in ("2-Sep", "02. Sep", "1. Mrz", "SEPT2", "44441")]
    [True, True, True, False, True]
    """
    return bool(_SPREADSHEET.fullmatch(name))


def as_number(name: str) -> str:
    """The whole number that the name is, such as an Entrez id; else empty.

    >>> as_number("100.0"), as_number("CD3E")
    ('100', '')
    """
    return name.split(".")[0] if _NUMBER.fullmatch(name) else ""
