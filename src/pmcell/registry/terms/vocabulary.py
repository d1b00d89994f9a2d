"""Closed vocabularies that are checked without an ontology file: use terms, regions, value lists.

Sources: GA4GH Data Use Ontology (codes and labels, release of 2021-02-23,
CC BY 4.0); ISO 3166-1 country codes (Debian iso-codes as carried by pycountry
26.2.16); NUTS 2024 and the codes of candidate and EFTA countries (Regulation
(EC) No 1059/2003 as amended; statistical regions of Eurostat).
"""

from __future__ import annotations

import re

DUO_PERMISSIONS = {
    "DUO:0000004": "no restriction",
    "DUO:0000006": "health or medical or biomedical research",
    "DUO:0000007": "disease specific research",
    "DUO:0000011": "population origins or ancestry research only",
    "DUO:0000042": "general research use",
}
DUO_MODIFIERS = {
    "DUO:0000012": "research specific restrictions",
    "DUO:0000015": "no general methods research",
    "DUO:0000016": "genetic studies only",
    "DUO:0000018": "not for profit, non commercial use only",
    "DUO:0000019": "publication required",
    "DUO:0000020": "collaboration required",
    "DUO:0000021": "ethics approval required",
    "DUO:0000022": "geographical restriction",
    "DUO:0000024": "publication moratorium",
    "DUO:0000025": "time limit on use",
    "DUO:0000026": "user specific restriction",
    "DUO:0000027": "project specific restriction",
    "DUO:0000028": "institution specific restriction",
    "DUO:0000029": "return to database or resource",
    "DUO:0000043": "clinical care use",
    "DUO:0000044": "population origins or ancestry research prohibited",
    "DUO:0000045": "not for profit organisation use only",
    "DUO:0000046": "non-commercial use only",
}
DUO_CODES = {
    "NRES": "DUO:0000004",
    "HMB": "DUO:0000006",
    "DS": "DUO:0000007",
    "POA": "DUO:0000011",
    "GRU": "DUO:0000042",
    "RS": "DUO:0000012",
    "NMDS": "DUO:0000015",
    "GSO": "DUO:0000016",
    "NPUNCU": "DUO:0000018",
    "PUB": "DUO:0000019",
    "COL": "DUO:0000020",
    "IRB": "DUO:0000021",
    "GS": "DUO:0000022",
    "MOR": "DUO:0000024",
    "TS": "DUO:0000025",
    "US": "DUO:0000026",
    "PS": "DUO:0000027",
    "IS": "DUO:0000028",
    "RTN": "DUO:0000029",
    "CC": "DUO:0000043",
    "NPOA": "DUO:0000044",
    "NPU": "DUO:0000045",
    "NCU": "DUO:0000046",
}
"""The shorthand of each term."""
DUO = {**DUO_PERMISSIONS, **DUO_MODIFIERS}
DUO_DISEASE_SPECIFIC = "DUO:0000007"

TISSUE_TYPES = ("tissue", "organoid", "primary cell culture", "cell line")
SUSPENSION_TYPES = ("cell", "nucleus", "na")
SEXES = {"PATO:0000383": "female", "PATO:0000384": "male", "PATO:0001340": "hermaphrodite"}
NORMAL = "PATO:0000461"

EU = frozenset(
    """
    AT BE BG CY CZ DE DK EE EL ES FI FR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK
    """.split()  # noqa: SIM905
)
NUTS_OUTSIDE_EU = frozenset(
    """
    AL BA CH IS LI ME MK NO RS TR UK XK
    """.split()  # noqa: SIM905
)
COUNTRIES = frozenset(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN
    BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ
    DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL
    GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM
    JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME
    MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP
    NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD
    SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO
    TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
    """.split()  # noqa: SIM905
)
LICENSES = (
    "CC0-1.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-4.0",
    "CC-BY-NC-4.0",
    "CC-BY-NC-SA-4.0",
    "CC-BY-NC-ND-4.0",
    "CC-BY-ND-4.0",
    "ODbL-1.0",
    "ODC-By-1.0",
    "PDDL-1.0",
    "MIT",
    "Apache-2.0",
    "BSD-3-Clause",
)
"""SPDX identifiers in use for data; others are accepted as LicenseRef-<name>."""

_NUTS = re.compile(r"([A-Z]{2})[0-9A-Z]{0,3}")
_ISO_3166_2 = re.compile(r"([A-Z]{2})-[A-Z0-9]{1,3}")


def region_problem(code: str) -> str:
    """What is wrong with a region code, or '' when its form and country are right.

    Checked are the form and the country, not whether the country has such a
    region: NUTS (two letters and up to three characters) inside the EU, ISO
    3166-2 (two letters, a hyphen, up to three characters) elsewhere. A bare
    country code is accepted where no more is known.
    """
    iso = _ISO_3166_2.fullmatch(code)
    if iso:
        country = iso.group(1)
        if country in EU or (country == "GR" and "EL" in EU):
            return (
                f"{country} is in the EU: give the NUTS code, such as NL2, not the ISO 3166-2 code"
            )
        return "" if country in COUNTRIES else f"{country} is not an ISO 3166-1 country code"
    nuts = _NUTS.fullmatch(code)
    if not nuts:
        return "the form is neither NUTS (NL2, ITH5) nor ISO 3166-2 (US-MD)"
    country = nuts.group(1)
    if country == "GR":
        return "Greece is EL in NUTS"
    if country in EU or country in NUTS_OUTSIDE_EU:
        return ""
    if country not in COUNTRIES:
        return f"{country} is not a country code"
    if len(code) == 2:
        return ""
    return f"{country} has no NUTS regions: give the ISO 3166-2 code, such as US-MD"
