"""Members that are read one by one are those of the whole text."""

import json
import re

import pytest

from pmcell.registry.terms import one_by_one
from pmcell.registry.terms.one_by_one import ENOUGH, OneByOne
from pmcell.registry.terms.ontology import terms


def written(members):
    return json.dumps(members, separators=(",", ":"))


def test_each_member_is_read_alone_until_there_are_many(monkeypatch):
    members = {f"A:{number}": {"label": f'{{"{number}"', "up": {"A:0": 1}} for number in range(99)}
    found = OneByOne(written(members))
    wholes = []

    def load(text):
        wholes.append(text)
        return members

    monkeypatch.setattr(one_by_one.json, "loads", load)
    keys = list(members)
    assert [found[key] for key in keys[:ENOUGH]] == list(members.values())[:ENOUGH]
    assert not wholes
    assert dict(found) == members
    assert len(wholes) == 1


def test_a_key_that_is_not_there_is_missing_before_and_after_the_whole_is_read():
    found = OneByOne(written({"A:1": {"up": {"A:2": 1}}}))
    for _ in range(2):
        assert "A:2" not in found
        assert found["A:1"] == {"up": {"A:2": 1}}
        with pytest.raises(KeyError, match="A:3"):
            found["A:3"]
    assert len(found) == 1


@pytest.mark.parametrize("ontology", ["CL", "EFO", "HANCESTRO", "HsapDv", "PATO"])
def test_no_term_holds_an_object_under_the_id_of_a_term(ontology):
    whole = terms(ontology)
    ids = re.findall(r'"([A-Za-z]+:\d+)":\{', whole._text)
    assert ids == list(whole)
    some = ids[:: len(ids) // 5]
    alone = OneByOne(whole._text)
    assert [alone[term] for term in some] == [whole[term] for term in some]
