"""Codes of clinical values by the names that tables give them, to offer: nothing is taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pmcell.registry.draft.column_names import plain_name
from pmcell.registry.draft.measured_columns import Measured
from pmcell.settings.programme import Programme, Variable

_WORDS: Mapping[str, str] = {
    "albumin_creatinine": "uacr acr albumincreatinineratio albuminkreatininquotient rac",
    "body_mass_index": "bmi imc",
    "body_weight": "weight gewicht korpergewicht poids peso masaciala lichaamsgewicht",
    "creatinine": "serumcreatinine kreatinin serumkreatinin creatininemie creatinina kreatynina "
    "creatininaserica",
    "crp": "creactiveprotein creaktivesprotein proteinecreactive",
    "diastolic": "dbp diastolicbloodpressure diastolischerblutdruck rrdiast pad tad",
    "egfr": "gfr egfrckdepi ckdepi dfg dfge efge",
    "ejection_fraction": "lvef ef fevg fevi",
    "glucose_fasting": "fastingglucose nuchternglukose nuchternblutzucker glycemieajeun "
    "glucosaenayunas glicemiaadigiuno glukozanaczczo",
    "haemoglobin": "hb hgb hemoglobin hamoglobin hemoglobine hemoglobina emoglobina",
    "hba1c": "a1c glycatedhaemoglobin glycatedhemoglobin hemoglobinaglicosilada",
    "heart_rate": "hr puls herzfrequenz frequencecardiaque frecuenciacardiaca tetno hartslag",
    "ldl": "ldlc ldlcholesterol ldlcholesterin cholesterolldl colesterolldl",
    "potassium": "kalium potas potasio potassio",
    "sedimentation": "esr bsg vsg ves ob",
    "steps": "stepcount schritte pas pasos passi kroki stappen",
    "systolic": "sbp systolicbloodpressure systolischerblutdruck rrsyst pas tas",
}
"""Plain names of columns by the variable of the programmes that they are."""
_ONE_UNIT = frozenset({"body_mass_index", "diastolic", "ejection_fraction", "systolic"})
"""Variables that everyone gives in one unit, so that their columns seldom name it."""


def coded(column: str, programmes: Iterable[Programme]) -> Measured | None:
    """The code and unit of a column by its name, of the first programme that has the variable.

    A unit that no variable is kept in, or none in the name where there are several, tells nothing:
    a factor of ten would pass unseen.
    """
    plain = _plain(column)
    for programme in programmes:
        for name, variable in programme.variables.items():
            words = (plain_name(name), *_WORDS.get(name, "").split())
            for loinc, unit in _codes(variable):
                named = {word + _plain(unit) for word in words}
                if plain in named or (name in _ONE_UNIT and plain in words):
                    return Measured(column, loinc, unit)
    return None


def _codes(variable: Variable) -> Iterator[tuple[str, str]]:
    yield variable.loinc, variable.unit
    for other in variable.also:
        yield other.loinc, other.unit


def _plain(text: str) -> str:
    """A name or unit as letters and digits alone.

    >>> _plain("HbA1c [%]"), _plain("Kreatinin (µmol/l)"), _plain("mL/min/{1.73_m2}")
    ('hba1cpercent', 'kreatininumoll', 'mlmin173m2')
    """
    for sign, word in (("%", "percent"), ("µ", "u"), ("μ", "u")):
        text = text.replace(sign, word)
    return plain_name(text)
