"""Tell genes from antibodies, hashtags and other features by a column of var."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = [
    "featuretypes",
    "featuretype",
    "modality",
    "modalities",
    "assay",
    "assays",
    "librarytype",
    "library",
    "kind",
    "type",
    "featureclass",
    "featurekind",
    "omics",
]
"""Names of columns that tell features apart, letters only, likelier ones first."""
_STRONG = frozenset(_COLUMNS[:4])
_GENES = frozenset(
    [
        "geneexpression",
        "geneexpressions",
        "gex",
        "rna",
        "mrna",
        "scrna",
        "snrna",
        "rnas",
        "gene",
        "genes",
        "expression",
        "transcript",
        "transcripts",
        "transcriptome",
        "transcriptomic",
        "geneexp",
        "exp",
        "ge",
    ]
)
_OTHERS = re.compile(
    "antibod|^abs?$|adt|protein|^prot|cite|hto|hash|multiplex|custom|crispr|guide|grna|sgrna|tag"
    "|atac|peak|chromatin|isotype|control|codeword|blank|barcode|tcr|bcr|^vdj|cmo|spike|virus|viral"
)
_NEVER_GENES = re.compile(
    "antibod(?:y|ies)(?:capture|derivedtags?)?|adts?|hto|hashtags?|multiplexingcapture|peaks?"
    "|crisprguidecapture|chromatinaccessibility|atac"
)
"""Values that call no feature a gene, whatever stands beside them."""
_UNSTATED = frozenset({"", "nan", "none", "na", "unknown"})
MAX_KINDS = 50


@dataclass(frozen=True)
class FeatureKinds:
    """A column that tells genes from other features, and its values."""

    column: str
    gene_value: str
    n_features: Mapping[str, int]
    is_other: np.ndarray

    def __str__(self) -> str:
        return ", ".join(f"{n} {value}" for value, n in self.n_features.items())


def feature_kinds(var: pd.DataFrame) -> FeatureKinds | None:
    """The column of `var` that tells genes from other features, if both are there.

    >>> import pandas as pd
    >>> var = pd.DataFrame({"modality": ["RNA", "RNA", "ADT"]}, index=["CD4", "CD8A", "CD4"])
    >>> found = feature_kinds(var)
    >>> found.column, found.gene_value, found.is_other.tolist()
    ('modality', 'RNA', [False, False, True])
    """
    columns = {_letters(column): column for column in reversed(list(var.columns))}
    ordered = [columns[name] for name in _COLUMNS if name in columns]
    for column in [*ordered, *(column for column in var.columns if column not in ordered)]:
        values = as_text(var[column], missing="").to_numpy(dtype=object)
        counted = Counter(values.tolist())
        if not 1 < len(counted) <= MAX_KINDS:
            continue
        genes = [value for value in counted if _letters(value) in _GENES]
        others = [
            value
            for value in counted
            if _letters(value) not in _UNSTATED and _letters(value) not in _GENES
        ]
        told = _letters(column) in _STRONG or any(_OTHERS.search(_letters(one)) for one in others)
        if genes and others and told:
            best = max(genes, key=lambda value: counted[value])
            in_order = dict(counted.most_common())
            return FeatureKinds(str(column), best, in_order, np.isin(values, others))
    return None


def other_features_alone(var: pd.DataFrame) -> str:
    """What the column that tells features apart calls all of them, where none is a gene; or ''.

    >>> import pandas as pd
    >>> other_features_alone(pd.DataFrame({"feature_types": ["Antibody Capture"] * 2}))
    "'Antibody Capture' (column 'feature_types' of var)"
    >>> other_features_alone(pd.DataFrame({"feature_type": ["protein_coding", "lncRNA"]}))
    ''
    """
    for column in var.columns:
        kinds = set(as_text(var[column], missing="")) if _letters(column) in _STRONG else set()
        if kinds and all(_NEVER_GENES.fullmatch(_letters(kind)) for kind in kinds):
            return f"{', '.join(map(repr, sorted(kinds)))} (column {column!r} of var)"
    return ""


def _letters(text: object) -> str:
    return re.sub(r"[^a-z]", "", str(text).lower())
