"""Clinical values of donors: read from FHIR and Open mHealth, checked, in one unit a quantity."""
