# INPUTS:  everything above
# OUTPUTS: results/atlas/release_plan.json
#          results/cohorts/{cohort}/cells.h5ad, expression.parquet, cells.json: parts of the release
#          results/atlas/reference.json, centroids.npz, reference_labels.npz
#          results/release/: written beside, then renamed; its manifest is the last file
#          results/controlled/<cohort>/: encrypted to the recipients that section seal names


rule release_plan:
    input:
        per_cohort("intake.json"),
        cohorts="results/atlas/cohorts.json",
        strata="results/strata/strata.json",
    output:
        "results/atlas/release_plan.json",
    log:
        "results/logs/release_plan.log",
    benchmark:
        "results/benchmarks/release_plan.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("release_plan"),
        runtime=minutes("release_plan"),
        disk_mb=disk_mb("release_plan"),
    params:
        config=config_option,
        options=step_options("release_plan"),
    shell:
        "pmcell release_plan --results results --out {output:q} {params.config} "
        "> {log:q} 2>&1"


rule cells:
    input:
        "results/cohorts/{cohort}/intake.h5ad",
        "results/cohorts/{cohort}/intake.json",
        "results/cohorts/{cohort}/qc.parquet",
        "results/cohorts/{cohort}/aggregate.npz",
        "results/atlas/release_plan.json",
        "results/atlas/features.parquet",
        "results/atlas/embedding.h5ad",
        "results/atlas/clusters.parquet",
        "results/atlas/umap.parquet",
        "results/atlas/annotation.parquet",
        "results/atlas/cell_labels.parquet",
        "results/atlas/cell_types.parquet",
        "results/strata/strata.json",
        "results/strata/assignments.parquet",
    output:
        cells="results/cohorts/{cohort}/cells.h5ad",
        expression="results/cohorts/{cohort}/expression.parquet",
        record="results/cohorts/{cohort}/cells.json",
    log:
        "results/logs/cells/{cohort}.log",
    benchmark:
        "results/benchmarks/cells/{cohort}.tsv"
    conda:
        "../../envs/pmcell.yaml"
    threads: threads_of("cells")
    resources:
        mem_mb=mem_mb("cells"),
        runtime=minutes("cells"),
        disk_mb=disk_mb("cells"),
    params:
        out=subpath(output.cells, parent=True),
        options=step_options("cells"),
    shell:
        "pmcell cells --results results --cohort {wildcards.cohort:q} --out-dir {params.out:q} "
        "--threads {threads} > {log:q} 2>&1"


rule reference:
    input:
        per_cohort("intake.h5ad"),
        per_cohort("intake.json"),
        per_cohort("aggregate.npz"),
        "results/atlas/cohorts.json",
        "results/atlas/features.parquet",
        "results/atlas/basis.npz",
        "results/atlas/embedding.h5ad",
        "results/atlas/clusters.parquet",
        "results/atlas/umap.parquet",
        "results/atlas/annotation.parquet",
        "results/atlas/cell_labels.parquet",
        "results/atlas/cell_types.parquet",
    output:
        centroids="results/atlas/centroids.npz",
        labels="results/atlas/reference_labels.npz",
        record="results/atlas/reference.json",
    log:
        "results/logs/reference.log",
    benchmark:
        "results/benchmarks/reference.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("reference"),
        runtime=minutes("reference"),
        disk_mb=disk_mb("reference"),
    params:
        out=subpath(output.record, parent=True),
        config=config_option,
        options=step_options("reference"),
    shell:
        "pmcell reference --results results --out-dir {params.out:q} {params.config} > {log:q} 2>&1"


rule release:
    input:
        per_cohort("intake.h5ad"),
        per_cohort("gene_ledger.parquet"),
        per_cohort("donors.parquet"),
        per_cohort("visits.parquet"),
        per_cohort("samples.parquet"),
        per_cohort("measurements.parquet"),
        per_cohort("intake.json"),
        per_cohort("qc.parquet"),
        per_cohort("qc_samples.parquet"),
        per_cohort("status.json"),
        per_cohort("aggregate.npz"),
        "results/atlas/cohorts.json",
        "results/atlas/features.parquet",
        "results/atlas/basis.npz",
        "results/atlas/embedding.h5ad",
        "results/atlas/clusters.parquet",
        "results/atlas/umap.parquet",
        "results/atlas/markers.parquet",
        "results/atlas/annotation.parquet",
        "results/atlas/cell_labels.parquet",
        "results/atlas/cell_types.parquet",
        "results/atlas/duplicates.parquet",
        "results/strata/donors.h5ad",
        "results/strata/composition.parquet",
        "results/strata/strata.json",
        "results/strata/strata.parquet",
        "results/strata/assignments.parquet",
        "results/strata/associations.parquet",
        "results/strata/drivers.parquet",
        "results/strata/composition_shifts.parquet",
        "results/strata/movement.parquet",
        "results/strata/followup.parquet",
        "results/strata/stratum_steps.parquet",
        "results/strata/followup_effects.parquet",
        "results/strata/expression_contrasts.parquet",
        "results/strata/differential_expression.parquet",
        "results/strata/pathways.parquet",
        "results/strata/gene_drivers.parquet",
        "results/strata/outcomes.parquet",
        "results/strata/survival.parquet",
        "results/atlas/release_plan.json",
        per_cohort("cells.h5ad"),
        per_cohort("expression.parquet"),
        per_cohort("cells.json"),
        "results/atlas/centroids.npz",
        "results/atlas/reference_labels.npz",
        "results/atlas/reference.json",
    output:
        # An older release stays until the new one takes its place as a whole.
        manifest=update("results/release/manifest.json"),
        # Snakemake's report shows what passed the disclosure gate, and nothing else.
        report=report(
            update("results/release/report.html"),
            caption="../report/release.rst",
            category="Release",
            labels={"content": "report"},
        ),
        cohorts=report(
            update("results/release/tables/cohorts.parquet"),
            caption="../report/cohorts.rst",
            category="Cohorts",
            labels={"content": "verdicts"},
        ),
        qc=report(
            update("results/release/tables/qc.parquet"),
            caption="../report/qc.rst",
            category="Cohorts",
            labels={"content": "quality control of samples"},
        ),
        clusters=report(
            update("results/release/tables/clusters.parquet"),
            caption="../report/clusters.rst",
            category="Cells",
            labels={"content": "clusters and cell types"},
        ),
        markers=report(
            update("results/release/tables/markers.parquet"),
            caption="../report/markers.rst",
            category="Cells",
            labels={"content": "marker genes"},
        ),
        summary=report(
            update("results/release/strata.json"),
            caption="../report/strata_verdict.rst",
            category="Donors",
            labels={"content": "verdict on strata"},
        ),
        assignments=report(
            update("results/release/tables/assignments.parquet"),
            caption="../report/assignments.rst",
            category="Donors",
            labels={"content": "places of donors"},
        ),
        associations=report(
            update("results/release/tables/associations.parquet"),
            caption="../report/associations.rst",
            category="Donors",
            labels={"content": "associations"},
        ),
        runtime=report(
            update("results/release/tables/runtime.parquet"),
            caption="../report/runtime.rst",
            category="Run",
            labels={"content": "time and memory of jobs"},
        ),
    log:
        "results/logs/release.log",
    benchmark:
        "results/benchmarks/release.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("release"),
        runtime=minutes("release"),
        disk_mb=disk_mb("release"),
    params:
        config=config_option,
        options=step_options("release"),
    shell:
        "pmcell release --results results --out results/release {params.config} > {log:q} 2>&1"


# Only where the study names recipients; the packages of a study are all made by one job.
rule seal:
    input:
        "results/release/manifest.json",
    output:
        "results/controlled/index.json",
    log:
        "results/logs/seal.log",
    benchmark:
        "results/benchmarks/seal.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("seal"),
        runtime=minutes("seal"),
        disk_mb=disk_mb("seal"),
    params:
        config=config_option,
        options=step_options("seal"),
    shell:
        "pmcell seal --results results --out results/controlled {params.config} > {log:q} 2>&1"
