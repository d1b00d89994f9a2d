# INPUTS:  results/cohorts/{cohort}/intake.h5ad; nothing of any other cohort
# OUTPUTS: results/cohorts/{cohort}/qc.parquet, qc_samples.parquet, status.json, moments.npz


rule qc:
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
    threads: threads_of("qc")
    resources:
        mem_mb=mem_mb("qc"),
        runtime=minutes("qc"),
        disk_mb=disk_mb("qc"),
    params:
        out=subpath(output.cells, parent=True),
        config=config_option,
        memory=memory_share,
        options=step_options("qc"),
    shell:
        "pmcell qc --counts {input.counts:q} --intake {input.facts:q} --out-dir {params.out:q} "
        "{params.config} --threads {threads} --memory {params.memory} > {log:q} 2>&1"


rule gene_stats:
    input:
        counts="results/cohorts/{cohort}/intake.h5ad",
        cells="results/cohorts/{cohort}/qc.parquet",
    output:
        "results/cohorts/{cohort}/moments.npz",
    log:
        "results/logs/gene_stats/{cohort}.log",
    benchmark:
        "results/benchmarks/gene_stats/{cohort}.tsv"
    conda:
        "../../envs/pmcell.yaml"
    threads: threads_of("gene_stats")
    resources:
        mem_mb=mem_mb("gene_stats"),
        runtime=minutes("gene_stats"),
        disk_mb=disk_mb("gene_stats"),
    params:
        memory=memory_share,
        options=step_options("gene_stats"),
    shell:
        "pmcell gene_stats --counts {input.counts:q} --qc {input.cells:q} --out {output:q} "
        "--threads {threads} --memory {params.memory} > {log:q} 2>&1"
