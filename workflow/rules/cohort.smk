# INPUTS:  results/cohorts/{cohort}/intake.h5ad; nothing of any other cohort
# OUTPUTS: results/cohorts/{cohort}/qc.parquet, qc_samples.parquet, status.json, moments.npz


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
        config=config_option,
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
    params:
        options=step_options("moments"),
    shell:
        "pmcell moments --counts {input.counts:q} --qc {input.cells:q} --out {output:q} "
        "--threads {threads} > {log:q} 2>&1"
