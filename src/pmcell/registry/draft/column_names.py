"""What columns of files and tables are called: names by meaning, in the languages of Europe."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pmcell.registry.terms.shorthand import SHORTHAND
from pmcell.spelling import folded

_NAMES = {
    "sample_id": (
        "sampleid sample samplename library libraryid librarysample specimen specimenid "
        "origident sampleuuid libraryuuid channel gsm sampletag "
        "sampleassignment hashid htomaxid hto "
        "probe probenid probenname echantillon idechantillon muestra idmuestra campione "
        "idcampione probka probki monster amostra proben prelevement"
    ),
    "donor_id": (
        "donorid donor donorname patient patientid subject subjectid individual "
        "individualid participant participantid person personid indcov ind assignment "
        "donorassignment souporcellassignment bestsinglet sngbestguess snglbestguess vireodonor "
        "spender spenderid spenderin proband probandid probandin patientin donneur sujet paciente "
        "idpaciente donante sujeto paziente idpaziente donatore soggetto pacjent idpacjenta dawca "
        "proefpersoon doador patienten pacjenta dawcy teilnehmer best sng1st "
        "givare potilas luovuttaja pacient darce beteg donator hasta patsient pacients pacientas "
        "ασθενησ δοτησ "
        "κωδικοσασθενουσ "
        "κωδικοσδοτη пациент донор"
    ),
    "visit": (
        "visit visitid visitlabel timepoint time tp visite visita wizyta zeitpunkt tijdstip momento"
    ),
    "visit_day": "visitday studyday daysincefirstvisit",
    "batch_id": (
        "batchid batch processingbatch seqbatch pool poolid seqrun run lane charge lot lote lotto "
        "partia pula"
    ),
    "cell_type": (
        "authorcelltype celltype celltypes celltypeoriginal mergedcelltype cellannotation "
        "celllabel celltypelabel celltypename annotation celltypefine celltypemajor "
        "celltypecoarse celltypel2 celltypel1 predictedcelltype celltypist labels "
        "zelltyp typecellulaire soustypecellulaire tipocelular tipocellulare typkomorki celtype"
    ),
    "sex": (
        "sex gender donorsex geschlecht geschl sexe sexo sesso plec geslacht "
        "kon kjonn sukupuoli pohlavi pohlavie nem spol sugu dzimums lytis cinsiyet "
        "φυλο пол"
    ),
    "age": (
        "age organismage agemonths ageinmonths ageweeks ageinweeks agedays ageindays ageyears "
        "ageyear donorage ageatsampling ageatcollection ageatdonation ageatdraw ageatblooddraw "
        "ageatbiopsy ageatrecruitment ageatenrollment ageatenrolment ageatinclusion ageatvisit "
        "alter alterbeientnahme alterbeiprobenentnahme alterbeiblutentnahme alterbeieinschluss "
        "agealinclusion ageauprelevement edad edadalmuestreo edadalainclusion eta etaalprelievo "
        "wiek leeftijd leeftijdbijafname idade alder ika vek eletkor varsta starost vanus vecums "
        "amzius yas ηλικια възраст "
        "developmentstage"
    ),
    "age_group": (
        "agegroup ageinterval ageband agerange agebin agecategory "
        "altersgruppe tranchedage grupodeedad fasciadieta grupawiekowa leeftijdsgroep"
    ),
    "disease": (
        "disease diagnosis diseasestate diseasestatus diseasename "
        "diagnose krankheit erkrankung maladie diagnostic enfermedad diagnostico malattia "
        "diagnosi choroba rozpoznanie ziekte doenca"
    ),
    "condition": (
        "condition condgroup group status treatment stim stimulation severity outcome diseasegroup "
        "gruppe groupe grupo gruppo grupa groep behandlung traitement tratamiento trattamento "
        "leczenie behandeling"
    ),
    "ethnicity": (
        "selfreportedethnicity ethnicity race ancestry ethnie ethnischeherkunft origineethnique "
        "etnia origenetnico origineetnica pochodzenieetniczne etniciteit"
    ),
    "tissue": (
        "tissue organ tissuename gewebe tissu tejido tessuto tkanka weefsel tecido "
        "material probenmaterial materialart materiel materiale"
    ),
    "assay": (
        "assay technology platform chemistry protocol method library10xversion librarykit kit "
        "kitversion libraryprep librarypreparation librarychemistry "
        "chemie chimie quimica chimica chemia"
    ),
}
ROLES: Mapping[str, tuple[str, ...]] = {
    role: tuple(names.split()) for role, names in _NAMES.items()
}
"""Names that columns of each meaning have, folded letters and digits only, likelier ones first.

English, and what tables in German, French, Spanish, Italian, Polish, Dutch and Portuguese write; of
people's ids, sex and age those in other languages of Europe too.
"""

TAGS = ("hashid", "sampletag", "sampleassignment", "htomaxid", "hto")
"""Names of columns of samples, the tags of which stand for one sample within a pool alone."""

_WORDS = frozenset(name for names in ROLES.values() for name in names)
_NUMBERED = re.compile(
    r"^(?P<before>id|nr|no|num|numer|numero|code|kod|codigo|codice)?(?P<name>.+?)"
    r"(?P<after>id|nr|no|num|number|nummer|numer|numero|code|kod|codigo|codice|kennung|kurzel"
    r"|pseudonym|identifier)?$"
)
"""A name with what says that it is an id before or behind it, such as Spendernummer."""
ID_ROLES = ("donor_id", "sample_id", "batch_id", "visit")

TERM_COLUMNS = (
    "assay_ontology_term_id",
    "cell_type_ontology_term_id",
    "development_stage_ontology_term_id",
    "disease_ontology_term_id",
    "self_reported_ethnicity_ontology_term_id",
    "sex_ontology_term_id",
    "tissue_ontology_term_id",
)
"""Columns that files in the CELLxGENE schema have."""


def is_known_word(word: str) -> bool:
    """Whether a word, in small letters without accents, names a column, or is a sex."""
    return word in _WORDS or word in SHORTHAND["sex_ontology_term_id"]


def plain_name(column: str) -> str:
    """A column's name as it is compared: letters and digits alone.

    >>> plain_name("Donor ID"), plain_name("Płeć")
    ('donorid', 'plec')
    """
    return re.sub(r"[\W_]", "", folded(column))


def is_named(column: str, role: str) -> bool:
    """Whether the name of a column has the meaning, as an id too (Spendernummer, kod dawcy)."""
    names = {plain_name(column), _without_number(column) if role in ID_ROLES else ""}
    return bool(names & set(ROLES[role]))


def _without_number(column: str) -> str:
    """The plain name without what says that it is an id.

    >>> [_without_number(name) for name in ("Spendernummer", "N° patient", "Kod dawcy", "age")]
    ['spender', 'patient', 'dawcy', '']
    """
    found = _NUMBERED.match(plain_name(column.replace("°", "o")))
    return found["name"] if found and (found["before"] or found["after"]) else ""
