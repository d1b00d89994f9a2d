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
    threads: threads_of("mark_cells")
    resources:
        mem_mb=mem_mb("mark_cells"),
        runtime=minutes("mark_cells"),
        disk_mb=disk_mb("mark_cells"),
    params:
        out=subpath(output.cells, parent=True),
        config=config_option,
        memory=memory_share,
        options=step_options("qc"),
    shell:
        "pmcell qc --counts {input.counts:q} --intake {input.facts:q} --out-dir {params.out:q} "
        "{params.config} --threads {threads} --memory {params.memory} > {log:q} 2>&1"


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
    threads: threads_of("sum_moments")
    resources:
        mem_mb=mem_mb("sum_moments"),
        runtime=minutes("sum_moments"),
        disk_mb=disk_mb("sum_moments"),
    params:
        memory=memory_share,
        options=step_options("moments"),
    shell:
        "pmcell moments --counts {input.counts:q} --qc {input.cells:q} --out {output:q} "
        "--threads {threads} --memory {params.memory} > {log:q} 2>&1"
