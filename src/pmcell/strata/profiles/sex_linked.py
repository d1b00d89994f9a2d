"""Genes whose expression tells sex and nothing else of a donor."""

from __future__ import annotations

SEX_LINKED = frozenset(
    (
        "ENSG00000099721",  # AMELY
        "ENSG00000241859",  # ANOS2P
        "ENSG00000215580",  # BCORP1
        "ENSG00000291031",  # BCORP1
        "ENSG00000183753",  # BPY2
        "ENSG00000185275",  # CD24P4
        "ENSG00000172288",  # CDY1
        "ENSG00000188120",  # DAZ1
        "ENSG00000067048",  # DDX3Y
        "ENSG00000198692",  # EIF1AY
        "ENSG00000224336",  # FAM197Y1
        "ENSG00000230590",  # FTX
        "ENSG00000206159",  # GYG2P1
        "ENSG00000172468",  # HSFY1
        "ENSG00000225470",  # JPX
        "ENSG00000012817",  # KDM5D
        "ENSG00000231535",  # LINC00278
        "ENSG00000165246",  # NLGN4Y
        "ENSG00000099715",  # PCDH11Y
        "ENSG00000099725",  # PRKY
        "ENSG00000293442",  # PRKY
        "ENSG00000183146",  # PRORY
        "ENSG00000215414",  # PSMA6P1
        "ENSG00000234414",  # RBMY1A1
        "ENSG00000129824",  # RPS4Y1
        "ENSG00000280969",  # RPS4Y2
        "ENSG00000184895",  # SRY
        "ENSG00000092377",  # TBL1Y
        "ENSG00000154620",  # TMSB4Y
        "ENSG00000270641",  # TSIX
        "ENSG00000258992",  # TSPY1
        "ENSG00000229236",  # TTTY10
        "ENSG00000176728",  # TTTY14
        "ENSG00000215560",  # TTTY5
        "ENSG00000131002",  # TXLNGY
        "ENSG00000291033",  # TXLNGY
        "ENSG00000114374",  # USP9Y
        "ENSG00000183878",  # UTY
        "ENSG00000129864",  # VCY
        "ENSG00000229807",  # XIST
        "ENSG00000250868",  # XKRY
        "ENSG00000290724",  # XKRY
        "ENSG00000067646",  # ZFY
    )
)
"""Ensembl ids of genes of the Y chromosome outside the pseudoautosomal regions, and of the
non-coding genes of the X inactivation centre (GENCODE v48)."""
