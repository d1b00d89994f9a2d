# INPUTS:  everything above
# OUTPUTS: results/release/: written beside, then renamed; its manifest is the last file
#          results/controlled/<cohort>/: encrypted to the recipients that section seal names


rule write_release:
    input:
        per_cohort("intake.h5ad"),
        per_cohort("gene_ledger.parquet"),
        per_cohort("donors.parquet"),
        per_cohort("visits.parquet"),
        per_cohort("samples.parquet"),
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
        "results/strata/donors.h5ad",
        "results/strata/composition.parquet",
        "results/strata/strata.json",
        "results/strata/strata.parquet",
        "results/strata/assignments.parquet",
        "results/strata/associations.parquet",
        "results/strata/drivers.parquet",
    output:
        # An older release keeps its manifest until the new one takes its place as a whole.
        update("results/release/manifest.json"),
    log:
        "results/logs/release.log",
    benchmark:
        "results/benchmarks/release.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("write_release"),
        runtime=minutes("write_release"),
        disk_mb=disk_mb("write_release"),
    params:
        config=config_option,
        options=step_options("release"),
    shell:
        "pmcell release --results results --out results/release {params.config} > {log:q} 2>&1"


# Only where the study names recipients; the packages of a study are all made by one job.
rule seal_cohorts:
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
        mem_mb=mem_mb("seal_cohorts"),
        runtime=minutes("seal_cohorts"),
        disk_mb=disk_mb("seal_cohorts"),
    params:
        config=config_option,
        options=step_options("seal"),
    shell:
        "pmcell seal --results results --out results/controlled {params.config} > {log:q} 2>&1"
