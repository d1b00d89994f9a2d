#!/bin/sh
# Puts pmcell itself into an environment that Snakemake made from pmcell.yaml (--sdm conda).
# PMCELL_SOURCE: the folder of a checkout, a wheel, or what pip accepts as one.
set -eu
if [ -z "${PMCELL_SOURCE:-}" ]; then
    echo "PMCELL_SOURCE must name a checkout or a wheel of pmcell; it is not set." >&2
    echo "For example: PMCELL_SOURCE=\$HOME/pmcell snakemake --sdm conda ..." >&2
    exit 1
fi
python -m pip install --no-deps --no-input --disable-pip-version-check "$PMCELL_SOURCE"
