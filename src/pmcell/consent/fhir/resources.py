"""Consent resources, read with every fault at once: a resource is taken whole or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from pmcell.consent.entries import ACTS, PERMITTING, SCOPED, Entry, instant_of, parse_row
from pmcell.consent.fhir.codes import (
    ACT_CODE,
    ACT_SYSTEM,
    CONFIDENTIALITY,
    NOT_CONSENT,
    NOT_OF_DATA,
    OF_RESOURCE,
    OPTING,
    SCOPE_SYSTEM,
    SCOPES,
)
from pmcell.consent.fhir.files import (
    as_list,
    changed_meanings,
    codings_of,
    is_of,
    read_resources,
)
from pmcell.consent.fhir.others import other_faults
from pmcell.consent.fhir.patients import Patients, patients_of
from pmcell.consent.fhir.provisions import AS_TABLE, begins, period_of, scope_of, within
from pmcell.consent.fhir.sayings import outside_a_life, words_against
from pmcell.errors import Fault, FaultsError


def read_consents(
    path: Path,
    *,
    policy: str,
    recorded_at: str,
    first_visits: Mapping[str, date] | None = None,
    donors: Collection[str] = (),
) -> tuple[list[Entry], list[int]]:
    """Entries of a file of Consent resources, their subjects still donors' ids, and their rows.

    Parameters
    ----------
    path
        A Bundle, one resource, a list of them, or one a line (NDJSON).
    policy
        The policy under which resources stand that name none.
    recorded_at
        When they are entered.
    first_visits
        Day of each donor's first visit, from which periods of data are counted.
    donors
        Donors of the cohort: of several identifiers of a patient the one that is a donor's counts.

    Returns
    -------
    tuple
        Entries, and the number of the resource in the file that each comes from (from 1).
    """
    faults: list[Fault] = []
    entries: list[Entry] = []
    rows: list[int] = []
    resources = read_resources(path, faults)
    patients = patients_of(resources, donors, path.name, faults)
    consents = [
        (number, item)
        for number, (_, item) in enumerate(resources, start=1)
        if item.get("resourceType") == "Consent"
    ]
    faults += _repeated(consents, path.name)
    faults += other_faults(resources, patients, path.name)
    for number, resource in consents:
        reader = _Reader(path.name, number, patients, policy, first_visits or {})
        for cells in reader.rows(resource):
            entry, wrong = parse_row(cells, file=path.name, row=number, recorded_at=recorded_at)
            reader.faults += wrong
            if entry is not None:
                entries.append(entry)
                rows.append(number)
        faults += reader.faults
    faults += _ended(consents, entries, rows, path.name)
    faults += _taken_back_before_it_began(dict(consents), entries, rows, path.name)
    if not consents and not faults:
        found = f"{len(resources)} other resources"
        faults.append(Fault(path.name, "must hold Consent resources", found, "Export them anew."))
    if faults:
        raise FaultsError(faults)
    return entries, rows


def _repeated(consents: Sequence[tuple[int, Mapping[str, Any]]], file: str) -> Iterator[Fault]:
    """Versions of one consent: which of them holds, a file does not say."""
    for column in ("id", "identifier"):
        names = {number: set(_names(item, column)) for number, item in consents}
        times = Counter(name for found in names.values() for name in found)
        for number, own in names.items():
            if (most := max((times[name] for name in own), default=1)) > 1:
                must, fix = "must be in the file once", "Keep the version that holds."
                found = f"{most} of one {column}"
                yield Fault(file, must, found, fix, row=number, column=column, reason="consent")


def _names(item: Mapping[str, Any], column: str) -> Iterator[tuple[str, ...]]:
    """The id of a resource, or its identifiers, each with its system and the person."""
    for part in as_list(item.get(column)):
        if isinstance(part, str):
            yield (part,)
        elif isinstance(part, Mapping) and isinstance(part.get("value"), str):
            person = repr(item.get("patient", item.get("subject")))
            yield str(part.get("system")), part["value"], person


def _ended(
    consents: Sequence[tuple[int, Mapping[str, Any]]],
    entries: Sequence[Entry],
    rows: Sequence[int],
    file: str,
) -> Iterator[Fault]:
    """Consents of our own export that have ended, where the file does not hold what ended them."""
    inactive = {number for number, item in consents if item.get("status") == "inactive"}
    last: dict[str, datetime] = {}
    for entry in entries:
        if entry.act in ("narrow", "withdraw"):
            last[entry.subject] = max(entry.instant, last.get(entry.subject, entry.instant))
    for row, entry in zip(rows, entries, strict=True):
        ended_by = last.get(entry.subject)
        is_open = ended_by is None or ended_by < entry.instant
        if row in inactive and entry.act == "give" and is_open:
            must = "must stand beside what ended it: it is inactive"
            fix = "Export all consents of the person, or remove the resource."
            yield Fault(file, must, "nothing", fix, row=row, column="status", reason="consent")


def _taken_back_before_it_began(
    consents: Mapping[int, Mapping[str, Any]],
    entries: Sequence[Entry],
    rows: Sequence[int],
    file: str,
) -> Iterator[Fault]:
    """Consents to come that the person took back after having given them: they never will hold."""
    acted = [_acted(consents[row]) for row in rows]
    taken_back: dict[str, list[tuple[datetime, datetime]]] = {}
    for when, entry in zip(acted, entries, strict=True):
        if entry.act == "withdraw" and when is not None:
            taken_back.setdefault(entry.subject, []).append((when, entry.instant))
    for when, entry, row in zip(acted, entries, rows, strict=True):
        if entry.act != "give" or when is None:
            continue
        if any(
            when <= at and since < entry.instant for at, since in taken_back.get(entry.subject, ())
        ):
            must = "must not begin after the person took it back"
            found = f"{entry.effective_from}, given before a withdrawal of the file"
            fix = "Remove the resource, or give the consent that the person gave since."
            yield Fault(file, must, found, fix, row=row, column="period", reason="consent")


def _acted(item: Mapping[str, Any]) -> datetime | None:
    """When the person acted, where the resource says so."""
    try:
        return instant_of(str(item.get("dateTime") or item.get("date") or ""))
    except ValueError:
        return None


def _moment(text: str, otherwise: datetime) -> datetime:
    """A moment as it is written; `otherwise` where it is none, which the check of its row says."""
    try:
        return instant_of(text)
    except ValueError:
        return otherwise


def _later(one: str, other: str) -> str:
    """The later of two moments; what is none is left to the check of its row."""
    try:
        return max(one, other, key=instant_of)
    except ValueError:
        return one


class _Reader:
    """One Consent resource: what it says as rows of a consent table, and what is wrong with it."""

    def __init__(
        self,
        file: str,
        row: int,
        patients: Patients,
        policy: str,
        first_visits: Mapping[str, date],
    ) -> None:
        self._file, self._row, self._patients, self._policy = file, row, patients, policy
        self._first_visits = first_visits
        self.faults: list[Fault] = []

    def _add(self, column: str, must: str, found: str, fix: str) -> None:
        row = self._row
        fault = Fault(self._file, must, found, fix, row=row, column=column, reason="consent")
        self.faults.append(fault)

    def rows(self, item: Mapping[str, Any]) -> Iterator[dict[str, str]]:
        for key in sorted(item.keys() - OF_RESOURCE):
            must = "must hold nothing that limits a consent in a way that is not understood"
            self._add(key, must, "a value", AS_TABLE)
        for where in changed_meanings(item, "Consent"):
            must = "must hold no extension that changes its meaning, and no value that is missing"
            self._add(where, must, "one", AS_TABLE)
        self._check_kind(item)
        is_r5 = bool({"subject", "decision", "grantor"} & item.keys()) or isinstance(
            item.get("provision"), list
        )
        if is_r5 and {"patient", "dateTime"} & item.keys():
            must = "must be of one version of FHIR"
            self._add("Consent", must, "keys of R4 and of R5", "Export it anew.")
            return
        tag = self._tag(item)
        common = {
            "donor_id": self._patients.donor(
                item.get("subject" if is_r5 else "patient"), self._add
            ),
            "policy": self._policy_of(item, is_r5=is_r5),
            "effective_from": str(item.get("date" if is_r5 else "dateTime") or ""),
        }
        if is_r5:
            root = {"type": item.get("decision"), "period": item.get("period")}
            nested = as_list(item.get("provision"))
        else:
            given = item.get("provision")
            root = dict(given) if isinstance(given, Mapping) else {}
            nested = as_list(root.pop("provision", None))
        self._check_people(item, common["donor_id"])
        for row in self._acts(item, common, root, nested, tag, is_r5=is_r5):
            if row["act"] not in ("withdraw", "opt_out"):
                self._check_words(item, row["donor_id"])
            yield row

    def _tag(self, item: Mapping[str, Any]) -> str | None:
        """The act that our own export notes; a state beside it must be one of a consent."""
        meta = item.get("meta")
        if meta is not None and not isinstance(meta, Mapping):
            self._add("meta", "must be an object", repr(meta)[:40], "Export it anew.")
        tags = as_list(meta.get("tag")) if isinstance(meta, Mapping) else []
        labels = as_list(meta.get("security")) if isinstance(meta, Mapping) else []
        if not all(is_of(label, CONFIDENTIALITY) for label in labels):
            # Of test data, or of what may not be passed on.
            must = "must hold no label but of who may see the resource"
            self._add("meta.security", must, "another", AS_TABLE)
        codes = [tag.get("code") for tag in tags if is_of(tag, ACT_SYSTEM)]
        if len(codes) > 1 or not set(codes) <= set(ACTS):
            found = ", ".join(sorted(map(repr, codes)))[:80]
            self._add("meta.tag", f"must be one of {', '.join(ACTS)}", found, "Correct it.")
        status = item.get("status")
        if status not in ("active", "inactive"):
            known = f"; {status} is no consent yet, or never was" if status in NOT_CONSENT else ""
            fix = f"Remove the resource, or give the state that holds{known}."
            self._add("status", "must be active or inactive", repr(status), fix)
        return str(codes[0]) if codes else None

    def _acts(
        self,
        item: Mapping[str, Any],
        common: dict[str, str],
        root: Mapping[str, Any],
        nested: Sequence[Any],
        tag: str | None,
        *,
        is_r5: bool,
    ) -> Iterator[dict[str, str]]:
        rule = self._rule(item)
        where = "decision" if is_r5 else "provision.type"
        kind = root.get("type")
        begin = begins(period_of(root.get("period"), "period", self._add))
        if begin:
            # Nobody takes back what they give later: it counts from the act, not from before it.
            begin = {"effective_from": _later(common["effective_from"], begin["effective_from"])}
        if tag is not None and tag not in SCOPED:
            if kind != ("permit" if tag in PERMITTING else "deny"):
                found = f"{kind!r} beside {tag}"
                self._add(where, "must say the same as meta.tag", found, "Correct one of them.")
            yield {**common, **begin, "act": tag}
        elif item.get("status") == "inactive" and tag is None:
            updated = (item.get("meta") or {}).get("lastUpdated")
            if not updated:
                must = "must say since when it is inactive"
                self._add("meta.lastUpdated", must, "nothing", "Add it.")
                return
            if (acted := _acted(item)) and _moment(str(updated), acted) < acted:
                must = "must not lie before the consent that it ended"
                self._add("meta.lastUpdated", must, str(updated)[:40], "Write when it ended.")
                return
            yield {**common, "act": "withdraw", "effective_from": str(updated)}
        elif rule & OPTING:
            if tag is not None or (kind == "deny") == ("OPTIN" in rule):
                found = f"{kind!r}, tag {tag!r}"
                must = f"must say the same as policyRule ({', '.join(sorted(map(str, rule)))})"
                if tag is not None or "OPTIN" in rule:
                    self._add(where, must, found, "Correct one of them.")
            yield {**common, **begin, "act": "opt_out" if "OPTOUT" in rule else "opt_in"}
        elif kind == "deny" and not nested:
            if tag is not None:
                self._add(where, f"must permit something, as {tag} says", "deny", "Correct it.")
            yield {**common, **begin, "act": "withdraw"}
        elif kind not in ("deny", "permit"):
            self._add(where, "must be deny or permit", repr(kind), "Say which.")
        else:
            yield from self._scoped(common, root, nested, tag or "give", is_r5=is_r5)

    def _check_people(self, item: Mapping[str, Any], name: str) -> None:
        """Nobody else gave it, or was asked in the person's place, without that being said."""
        checks = [part for part in as_list(item.get("verification")) if isinstance(part, Mapping)]
        acted = _acted(item)
        for check in checks:
            said = [str(moment) for moment in as_list(check.get("verificationDate"))]
            if acted and any(_moment(moment, acted).date() < acted.date() for moment in said):
                must = "must not be verified before it was given"
                fix = "Ask which form was verified."
                self._add("verification.verificationDate", must, min(said)[:40], fix)
        others = {
            "performer": as_list(item.get("performer")),
            "grantor": as_list(item.get("grantor")),
            "verification.verifiedWith": [check.get("verifiedWith") for check in checks],
        }
        for key, who in others.items():
            if any(found not in (None, name) for found in map(self._patients.known, who)):
                fix = "Export the consent that the person gave, or one of who speaks for them."
                self._add(key, "must be the person, or nobody who is another donor", "another", fix)

    def _check_words(self, item: Mapping[str, Any], name: str) -> None:
        """Words that take back what the codes permit, and a day on which nobody could give."""
        for key, said in words_against(item):
            must = "must say in words what its codes say"
            self._add(key, must, repr(said), "Correct one of them, or write it as a table.")
        meta = item.get("meta")
        updated = str(meta.get("lastUpdated") or "") if isinstance(meta, Mapping) else ""
        acted, record = _acted(item), self._patients.records.get(name)
        if acted and updated and _moment(updated, acted) < acted - timedelta(days=1):
            must = "must not lie before the day of the consent"
            fix = "Ask when the person gave it."
            self._add("meta.lastUpdated", must, updated[:40], fix)
        if acted and record and (found := outside_a_life(record, acted)):
            must = "must be of a day in the life of the person"
            self._add("dateTime", must, found, "Correct the day, or the record of the patient.")

    def _check_kind(self, item: Mapping[str, Any]) -> None:
        """A consent to be treated is none to research, nor one that somebody refused to verify."""
        scope = item.get("scope")
        codes = {str(c.get("code")) for c in codings_of(scope) if c.get("system") in _SCOPED_BY}
        if scope is not None and not codes & SCOPES:
            must = f"must be one of {', '.join(sorted(SCOPES))}"
            found = ", ".join(sorted(codes))[:80] or "words alone, or codes of others"
            self._add("scope", must, found, "Remove the resource.")
        kinds = [c.get("code") for each in as_list(item.get("category")) for c in codings_of(each)]
        if found := ", ".join(kind for kind in kinds if kind in NOT_OF_DATA):
            self._add("category", "must be about the use of data", found, "Remove the resource.")
        for check in as_list(item.get("verification")):
            if not isinstance(check, Mapping) or check.get("verified") is not True:
                must = "must not be one that failed its verification"
                self._add("verification", must, "not verified: true", "Ask where it comes from.")

    def _rule(self, item: Mapping[str, Any]) -> set[Any]:
        """What `policyRule` says of opting; another rule could be a limit."""
        said = item.get("policyRule")
        codings = codings_of(said)
        rule = {coding.get("code") for coding in codings if is_of(coding, ACT_CODE)}
        if said is not None and (len(rule) != 1 or len(codings) > 1 or not rule <= OPTING):
            must = f"must be one of {', '.join(sorted(OPTING))} of ActCode"
            found = ", ".join(sorted(map(str, rule))) or "another rule"
            self._add("policyRule", must, found, AS_TABLE)
        return rule

    def _scoped(
        self,
        common: dict[str, str],
        root: Mapping[str, Any],
        nested: Sequence[Any],
        act: str,
        *,
        is_r5: bool,
    ) -> Iterator[dict[str, str]]:
        # In R5 a provision is an exception to the decision, unless it only details a permit.
        details = [part for part in nested if isinstance(part, Mapping)]
        if len(details) < len(nested):
            self._add("provision", "must be objects", "something else", "Export it anew.")
        if root["type"] == "permit" and details:
            where = "provision" if is_r5 else "provision.provision"
            fix = "Write a consent that denies, with the provisions that are permitted."
            self._add(where, "must not have exceptions to what it permits", f"{len(details)}", fix)
            return
        for key in sorted(root.keys() - {"type", "period", "id"}) if details else ():
            must = "must stand in the provision that it limits"
            fix = "Write it into each of the provisions that are permitted."
            self._add(f"provision.{key}", must, "a value beside provisions", fix)
        outer = period_of(root.get("period"), "period", lambda *_: None)
        first = self._first_visits.get(common["donor_id"])
        for part in details or [root]:
            # In R5 no provision has a type: it is an exception to what the decision denies.
            if part.get("type", "permit" if is_r5 else None) != "permit":
                found = repr(part.get("type"))
                self._add("provision.type", "must be permit below a deny", found, "Say which.")
                continue
            period = within(period_of(part.get("period"), "provision.period", self._add), outer)
            scope = scope_of(part, period, first, self._add)
            begin = begins(period)
            if begin and act != "give":
                since = _later(common["effective_from"], begin["effective_from"])
                begin = {"effective_from": since}
            yield {**common, **begin, "act": act, **scope}

    def _policy_of(self, item: Mapping[str, Any], *, is_r5: bool) -> str:
        if is_r5:
            basis = item.get("policyBasis")
            if isinstance(basis, Mapping) and basis.keys() - {"url", "id"}:
                self._add("policyBasis", "must name a policy by its url alone", "more", AS_TABLE)
            return str((basis.get("url") if isinstance(basis, Mapping) else "") or self._policy)
        policies = as_list(item.get("policy"))
        uris = {str(p.get("uri") or "") if isinstance(p, Mapping) else "" for p in policies}
        if len(uris) > 1 or uris == {""}:
            found = ", ".join(sorted(uris))[:80] or "no uri"
            self._add("policy", "must be one, with its uri", found, "Name the one that holds.")
        return max(uris, default="") or self._policy


_SCOPED_BY = (None, SCOPE_SYSTEM)
