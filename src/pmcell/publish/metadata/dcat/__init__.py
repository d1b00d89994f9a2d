"""The catalogue record of a release (DCAT-AP, HealthDCAT-AP)."""
