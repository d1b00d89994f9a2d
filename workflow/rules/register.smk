# INPUTS:  config/cohorts/{cohort}/*, the programme that it names, the submitted matrix
# OUTPUTS: results/cohorts/{cohort}/intake.h5ad, gene_ledger, donors, visits, samples, measurements,
#          intake.json


rule intake:
    input:
        registration=registration_files,
        matrix=matrix_files,
    output:
        counts="results/cohorts/{cohort}/intake.h5ad",
        ledger="results/cohorts/{cohort}/gene_ledger.parquet",
        donors="results/cohorts/{cohort}/donors.parquet",
        visits="results/cohorts/{cohort}/visits.parquet",
        samples="results/cohorts/{cohort}/samples.parquet",
        measurements="results/cohorts/{cohort}/measurements.parquet",
        facts="results/cohorts/{cohort}/intake.json",
    log:
        "results/logs/intake/{cohort}.log",
    benchmark:
        "results/benchmarks/intake/{cohort}.tsv"
    conda:
        "../../envs/pmcell.yaml"
    threads: threads_of("intake")
    resources:
        mem_mb=mem_mb("intake"),
        runtime=minutes("intake"),
        disk_mb=disk_mb("intake"),
    params:
        folder=lambda wildcards, input: COHORTS_DIR / wildcards.cohort,
        out=subpath(output.counts, parent=True),
        config=config_option,
        digest=registration_digest,
        matrix=matrix_digest,
        options=step_options("intake"),
    shell:
        "pmcell intake --cohort-dir {params.folder:q} --out-dir {params.out:q} {params.config} "
        "> {log:q} 2>&1"
