# INPUTS:  a release with a reference, and files of samples of new people (config: release, files, out)
# OUTPUTS: <out>/<file>/outcome.json for each, with mapped.json and two tables where it was mapped;
#          <out>/outcomes.tsv, one line a file
#
# Each file is a job of its own: one that cannot be mapped is refused with its reason and stops no
# other, and what is done is not done again.
#
#   snakemake --snakefile workflow/map.smk --cores 4 \
#     --config release=results/release out=mapped 'files=["a.h5ad", "b.h5ad"]'

import shlex
from pathlib import Path

from snakemake.utils import min_version

min_version("9.20")

WANTED = ("release", "files", "out")
if missing := [name for name in WANTED if not config.get(name)]:
    raise WorkflowError(
        f"the configuration must have {', '.join(WANTED)}; {', '.join(missing)} is missing. "
        'Write --config release=FOLDER out=FOLDER \'files=["FILE", "FILE"]\''
    )
RELEASE, OUT = Path(config["release"]), Path(config["out"])
LISTED = [config["files"]] if isinstance(config["files"], str) else config["files"]
FILES = {Path(path).name.partition(".")[0]: str(path) for path in LISTED}
if len(FILES) < len(LISTED):
    raise WorkflowError(
        f"every file must have a name of its own; {len(LISTED)} files have {len(FILES)} names"
    )


wildcard_constraints:
    name="[^/]+",


rule all:
    input:
        OUT / "outcomes.tsv",


rule map_file:
    input:
        file=lambda wildcards: FILES[wildcards.name],
        release=RELEASE / "manifest.json",
    output:
        OUT / "{name}" / "outcome.json",
    log:
        OUT / "logs" / "{name}.log",
    conda:
        "../envs/pmcell.yaml"
    resources:
        mem_mb=4000,
    params:
        release=shlex.quote(str(RELEASE)),
        out=shlex.quote(str(OUT)),
        options=config.get("options", ""),
    shell:
        # 3: the file was refused, which its outcome says.
        "pmcell map {input.file:q} --each --release {params.release} --out {params.out} "
        "{params.options} > {log:q} 2>&1 || [ $? -eq 3 ]"


rule list_outcomes:
    input:
        expand(OUT / "{name}" / "outcome.json", name=FILES),
    output:
        OUT / "outcomes.tsv",
    log:
        OUT / "logs" / "outcomes.log",
    conda:
        "../envs/pmcell.yaml"
    params:
        script=workflow.source_path("scripts/outcomes.py"),
    shell:
        "python {params.script:q} {input:q} > {output:q} 2> {log:q}"
