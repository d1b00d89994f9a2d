# INPUTS:  results/atlas/embedding.h5ad, clusters, cell_labels, cell_types, features; sums of each cohort
# OUTPUTS: results/strata/*: donor profiles, composition, strata, assignments, associations, drivers;
#          change over visits, steps between strata, what programmes ask;
#          what strata and conditions differ in: genes, gene sets, gene drivers


rule profile:
    input:
        embedding="results/atlas/embedding.h5ad",
        clusters="results/atlas/clusters.parquet",
        labels="results/atlas/cell_labels.parquet",
        cell_types="results/atlas/cell_types.parquet",
        sums=per_cohort("aggregate.npz"),
        samples=per_cohort("samples.parquet"),
    output:
        profiles="results/strata/profiles.h5ad",
        composition="results/strata/composition.parquet",
    log:
        "results/logs/profile.log",
    benchmark:
        "results/benchmarks/profile.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("profile"),
        runtime=minutes("profile"),
        disk_mb=disk_mb("profile"),
    params:
        cohorts=cohort_arguments,
        config=config_option,
        options=step_options("profile"),
    shell:
        "pmcell profile --embedding {input.embedding:q} --clusters {input.clusters:q} "
        "--labels {input.labels:q} --cell-types {input.cell_types:q} {params.cohorts} "
        "--out {output.profiles:q} --composition-out {output.composition:q} {params.config} "
        "--threads {threads} > {log:q} 2>&1"


rule strata:
    input:
        profiles="results/strata/profiles.h5ad",
        clinical=clinical_table,
    output:
        donors="results/strata/donors.h5ad",
        summary="results/strata/strata.json",
        strata="results/strata/strata.parquet",
        assignments="results/strata/assignments.parquet",
        associations="results/strata/associations.parquet",
        drivers="results/strata/drivers.parquet",
        shifts="results/strata/composition_shifts.parquet",
        movement="results/strata/movement.parquet",
        outcomes="results/strata/outcomes.parquet",
        survival="results/strata/survival.parquet",
    log:
        "results/logs/strata.log",
    benchmark:
        "results/benchmarks/strata.tsv"
    conda:
        "../../envs/pmcell.yaml"
    threads: threads_of("strata")
    resources:
        mem_mb=mem_mb("strata"),
        runtime=minutes("strata"),
        disk_mb=disk_mb("strata"),
    params:
        out=subpath(output.summary, parent=True),
        clinical=clinical_option,
        config=config_option,
        options=step_options("strata"),
        threads=threads_to_spare,
    shell:
        "pmcell strata --profiles {input.profiles:q} --out-dir {params.out:q} {params.clinical} "
        "{params.config} "
        "--threads {params.threads} > {log:q} 2>&1"


rule followup:
    input:
        donors="results/strata/donors.h5ad",
        sums=per_cohort("aggregate.npz"),
        samples=per_cohort("samples.parquet"),
        measurements=per_cohort("measurements.parquet"),
        facts=per_cohort("intake.json"),
        cell_types="results/atlas/cell_types.parquet",
        clinical=clinical_table,
        programmes=programme_files,
    output:
        changes="results/strata/followup.parquet",
        steps="results/strata/stratum_steps.parquet",
        effects="results/strata/followup_effects.parquet",
    log:
        "results/logs/followup.log",
    benchmark:
        "results/benchmarks/followup.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("followup"),
        runtime=minutes("followup"),
        disk_mb=disk_mb("followup"),
    params:
        cohorts=cohort_arguments,
        out=subpath(output.changes, parent=True),
        clinical=clinical_option,
        programmes=programmes_option,
        config=config_option,
        options=step_options("followup"),
    shell:
        "pmcell followup --donors {input.donors:q} {params.cohorts} "
        "--cell-types {input.cell_types:q} --out-dir {params.out:q} {params.clinical} "
        "{params.programmes} {params.config} "
        "--threads {threads} > {log:q} 2>&1"


# Reruns when donors, sums, labels or the file of gene sets change.
rule differential_expression:
    input:
        donors="results/strata/donors.h5ad",
        sums=per_cohort("aggregate.npz"),
        samples=per_cohort("samples.parquet"),
        cell_types="results/atlas/cell_types.parquet",
        features="results/atlas/features.parquet",
        gene_sets=gene_sets,
    output:
        contrasts="results/strata/expression_contrasts.parquet",
        genes="results/strata/differential_expression.parquet",
        pathways="results/strata/pathways.parquet",
        drivers="results/strata/gene_drivers.parquet",
    log:
        "results/logs/differential_expression.log",
    benchmark:
        "results/benchmarks/differential_expression.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("differential_expression"),
        runtime=minutes("differential_expression"),
        disk_mb=disk_mb("differential_expression"),
    params:
        cohorts=cohort_arguments,
        out=subpath(output.contrasts, parent=True),
        gene_sets=gene_sets_option,
        config=config_option,
        options=step_options("differential_expression"),
    shell:
        "pmcell differential_expression --donors {input.donors:q} {params.cohorts} "
        "--cell-types {input.cell_types:q} --features {input.features:q} --out-dir {params.out:q} {params.gene_sets} {params.config} "
        "--threads {threads} > {log:q} 2>&1"
