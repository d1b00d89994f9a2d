# INPUTS:  results/cohorts/{cohort}/intake.h5ad; features, basis and clusters of results/atlas
# OUTPUTS: results/cohorts/{cohort}/qc.parquet, status.json, moments.npz, gram.npz, embedding.npz,
#          aggregate.npz


rule mark_cells:
    input:
        counts="results/cohorts/{cohort}/intake.h5ad",
        facts="results/cohorts/{cohort}/intake.json",
    output:
        cells="results/cohorts/{cohort}/qc.parquet",
        samples="results/cohorts/{cohort}/qc_samples.parquet",
        status="results/cohorts/{cohort}/status.json",
    log:
        "results/logs/qc/{cohort}.log",
    benchmark:
        "results/benchmarks/qc/{cohort}.tsv"
    conda:
        "../../envs/pmcell.yaml"
    threads: 1
    resources:
        mem_mb=memory(1500, 4),
        runtime=60,
    params:
        out=subpath(output.cells, parent=True),
        config=config_option(),
        options=step_options("qc"),
    shell:
        "pmcell qc --counts {input.counts:q} --intake {input.facts:q} --out-dir {params.out:q} "
        "{params.config} --threads {threads} > {log:q} 2>&1"


rule sum_moments:
    input:
        counts="results/cohorts/{cohort}/intake.h5ad",
        cells="results/cohorts/{cohort}/qc.parquet",
    output:
        "results/cohorts/{cohort}/moments.npz",
    log:
        "results/logs/moments/{cohort}.log",
    benchmark:
        "results/benchmarks/moments/{cohort}.tsv"
    conda:
        "../../envs/pmcell.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 1),
        runtime=30,
    shell:
        "pmcell moments --counts {input.counts:q} --qc {input.cells:q} --out {output:q} "
        "--threads {threads} > {log:q} 2>&1"


rule sum_products:
    input:
        counts="results/cohorts/{cohort}/intake.h5ad",
        cells="results/cohorts/{cohort}/qc.parquet",
        features="results/atlas/features.parquet",
        cohorts="results/atlas/cohorts.json",
    output:
        "results/cohorts/{cohort}/gram.npz",
    log:
        "results/logs/gram/{cohort}.log",
    benchmark:
        "results/benchmarks/gram/{cohort}.tsv"
    conda:
        "../../envs/pmcell.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 1),
        runtime=30,
    shell:
        "pmcell gram --cohort {wildcards.cohort:q} --counts {input.counts:q} --qc {input.cells:q} "
        "--features {input.features:q} --cohorts {input.cohorts:q} --out {output:q} "
        "--threads {threads} > {log:q} 2>&1"


rule project_cells:
    input:
        counts="results/cohorts/{cohort}/intake.h5ad",
        cells="results/cohorts/{cohort}/qc.parquet",
        features="results/atlas/features.parquet",
        cohorts="results/atlas/cohorts.json",
        basis="results/atlas/basis.npz",
    output:
        "results/cohorts/{cohort}/embedding.npz",
    log:
        "results/logs/project/{cohort}.log",
    benchmark:
        "results/benchmarks/project/{cohort}.tsv"
    conda:
        "../../envs/pmcell.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, 1),
        runtime=30,
    shell:
        "pmcell project --cohort {wildcards.cohort:q} --counts {input.counts:q} "
        "--qc {input.cells:q} --features {input.features:q} --cohorts {input.cohorts:q} "
        "--basis {input.basis:q} --out {output:q} --threads {threads} > {log:q} 2>&1"


rule aggregate_cells:
    input:
        counts="results/cohorts/{cohort}/intake.h5ad",
        cells="results/cohorts/{cohort}/qc.parquet",
        clusters="results/atlas/clusters.parquet",
    output:
        "results/cohorts/{cohort}/aggregate.npz",
    log:
        "results/logs/aggregate/{cohort}.log",
    benchmark:
        "results/benchmarks/aggregate/{cohort}.tsv"
    conda:
        "../../envs/pmcell.yaml"
    threads: 1
    resources:
        mem_mb=memory(1500, 4),
        runtime=30,
    shell:
        "pmcell aggregate --counts {input.counts:q} --qc {input.cells:q} "
        "--clusters {input.clusters:q} --out {output:q} --threads {threads} > {log:q} 2>&1"
