# INPUTS:  results/atlas/embedding.h5ad, clusters.parquet, annotation.parquet
# OUTPUTS: results/strata/*: donor profiles, composition, strata, assignments, associations, drivers


rule profile_donors:
    input:
        embedding="results/atlas/embedding.h5ad",
        clusters="results/atlas/clusters.parquet",
        annotation="results/atlas/annotation.parquet",
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
        mem_mb=mem_mb("profile_donors"),
        runtime=minutes("profile_donors"),
        disk_mb=disk_mb("profile_donors"),
    params:
        config=config_option,
        options=step_options("profile"),
    shell:
        "pmcell profile --embedding {input.embedding:q} --clusters {input.clusters:q} "
        "--annotation {input.annotation:q} --out {output.profiles:q} "
        "--composition-out {output.composition:q} {params.config} "
        "--threads {threads} > {log:q} 2>&1"


rule find_strata:
    input:
        "results/strata/profiles.h5ad",
    output:
        donors="results/strata/donors.h5ad",
        summary="results/strata/strata.json",
        strata="results/strata/strata.parquet",
        assignments="results/strata/assignments.parquet",
        associations="results/strata/associations.parquet",
        drivers="results/strata/drivers.parquet",
    log:
        "results/logs/strata.log",
    benchmark:
        "results/benchmarks/strata.tsv"
    conda:
        "../../envs/pmcell.yaml"
    threads: threads_of("find_strata")
    resources:
        mem_mb=mem_mb("find_strata"),
        runtime=minutes("find_strata"),
        disk_mb=disk_mb("find_strata"),
    params:
        out=subpath(output.summary, parent=True),
        config=config_option,
        options=step_options("strata"),
    shell:
        "pmcell strata --profiles {input:q} --out-dir {params.out:q} {params.config} "
        "--threads {threads} > {log:q} 2>&1"
