"""Consent resources of FHIR R4 and R5: read whole or not at all, and written.

What a resource says and pmcell does not understand could be a limit, so it is a
fault and never passed over. Sources: HL7 FHIR R4 4.0.1 and R5 5.0.0, resource
Consent; codes of purposes from DUO, DPV and HL7's ActReason.
"""
