# INPUTS:  moments of every cohort; then, cohort by cohort, what the atlas asks of its counts
# OUTPUTS: results/atlas/*: accepted cohorts, features, basis, embedding, graph, clusters, map,
#          markers, annotation; results/cohorts/{cohort}/gram.npz, embedding.npz, aggregate.npz


rule select_features:
    input:
        moments=per_cohort("moments.npz"),
        status=per_cohort("status.json"),
    output:
        features="results/atlas/features.parquet",
        cohorts="results/atlas/cohorts.json",
    log:
        "results/logs/features.log",
    benchmark:
        "results/benchmarks/features.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("select_features"),
        runtime=minutes("select_features"),
        disk_mb=disk_mb("select_features"),
    params:
        cohorts=cohort_arguments,
        config=config_option,
        options=step_options("features"),
    shell:
        "pmcell features {params.cohorts} --out {output.features:q} "
        "--cohorts-out {output.cohorts:q} {params.config} --threads {threads} > {log:q} 2>&1"


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
    threads: threads_of("sum_products")
    resources:
        mem_mb=mem_mb("sum_products"),
        runtime=minutes("sum_products"),
        disk_mb=disk_mb("sum_products"),
    params:
        memory=memory_share,
        options=step_options("gram"),
    shell:
        "pmcell gram --cohort {wildcards.cohort:q} --counts {input.counts:q} --qc {input.cells:q} "
        "--features {input.features:q} --cohorts {input.cohorts:q} --out {output:q} "
        "--threads {threads} --memory {params.memory} > {log:q} 2>&1"


rule find_basis:
    input:
        grams=per_cohort("gram.npz"),
        features="results/atlas/features.parquet",
    output:
        "results/atlas/basis.npz",
    log:
        "results/logs/basis.log",
    benchmark:
        "results/benchmarks/basis.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("find_basis"),
        runtime=minutes("find_basis"),
        disk_mb=disk_mb("find_basis"),
    params:
        grams=lambda wildcards, input: " ".join(
            f"--gram {path}" for path in input.grams
        ),
        config=config_option,
        options=step_options("basis"),
    shell:
        "pmcell basis {params.grams} --features {input.features:q} --out {output:q} "
        "{params.config} --threads {threads} > {log:q} 2>&1"


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
    threads: threads_of("project_cells")
    resources:
        mem_mb=mem_mb("project_cells"),
        runtime=minutes("project_cells"),
        disk_mb=disk_mb("project_cells"),
    params:
        memory=memory_share,
        options=step_options("project"),
    shell:
        "pmcell project --cohort {wildcards.cohort:q} --counts {input.counts:q} "
        "--qc {input.cells:q} --features {input.features:q} --cohorts {input.cohorts:q} "
        "--basis {input.basis:q} --out {output:q} --threads {threads} "
        "--memory {params.memory} > {log:q} 2>&1"


rule integrate_cohorts:
    input:
        embeddings=per_cohort("embedding.npz"),
        counts=per_cohort("intake.h5ad"),
        cells=per_cohort("qc.parquet"),
        samples=per_cohort("samples.parquet"),
    output:
        "results/atlas/embedding.h5ad",
    log:
        "results/logs/integrate.log",
    benchmark:
        "results/benchmarks/integrate.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("integrate_cohorts"),
        runtime=minutes("integrate_cohorts"),
        disk_mb=disk_mb("integrate_cohorts"),
    params:
        cohorts=cohort_arguments,
        config=config_option,
        options=step_options("integrate"),
    shell:
        "pmcell integrate {params.cohorts} --out {output:q} {params.config} "
        "--threads {threads} > {log:q} 2>&1"


rule find_neighbors:
    input:
        "results/atlas/embedding.h5ad",
    output:
        "results/atlas/graph.h5ad",
    log:
        "results/logs/neighbors.log",
    benchmark:
        "results/benchmarks/neighbors.tsv"
    conda:
        "../../envs/pmcell.yaml"
    threads: threads_of("find_neighbors")
    resources:
        mem_mb=mem_mb("find_neighbors"),
        runtime=minutes("find_neighbors"),
        disk_mb=disk_mb("find_neighbors"),
    params:
        config=config_option,
        options=step_options("neighbors"),
    shell:
        "pmcell neighbors --embedding {input:q} --out {output:q} {params.config} "
        "--threads {threads} > {log:q} 2>&1"


rule cluster_cells:
    input:
        "results/atlas/graph.h5ad",
    output:
        "results/atlas/clusters.parquet",
    log:
        "results/logs/cluster.log",
    benchmark:
        "results/benchmarks/cluster.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("cluster_cells"),
        runtime=minutes("cluster_cells"),
        disk_mb=disk_mb("cluster_cells"),
    params:
        config=config_option,
        options=step_options("cluster"),
    shell:
        "pmcell cluster --graph {input:q} --out {output:q} {params.config} "
        "--threads {threads} > {log:q} 2>&1"


rule map_cells:
    input:
        graph="results/atlas/graph.h5ad",
        embedding="results/atlas/embedding.h5ad",
    output:
        "results/atlas/umap.parquet",
    log:
        "results/logs/umap.log",
    benchmark:
        "results/benchmarks/umap.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("map_cells"),
        runtime=minutes("map_cells"),
        disk_mb=disk_mb("map_cells"),
    params:
        config=config_option,
        options=step_options("umap"),
    shell:
        "pmcell umap --graph {input.graph:q} --embedding {input.embedding:q} --out {output:q} "
        "{params.config} --threads {threads} > {log:q} 2>&1"


# Without --memory: what it needs goes with the number of clusters, unknown when memory is asked for.
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
    threads: threads_of("aggregate_cells")
    resources:
        mem_mb=mem_mb("aggregate_cells"),
        runtime=minutes("aggregate_cells"),
        disk_mb=disk_mb("aggregate_cells"),
    params:
        options=step_options("aggregate"),
    shell:
        "pmcell aggregate --counts {input.counts:q} --qc {input.cells:q} "
        "--clusters {input.clusters:q} --out {output:q} --threads {threads} > {log:q} 2>&1"


rule find_markers:
    input:
        sums=per_cohort("aggregate.npz"),
        counts=per_cohort("intake.h5ad"),
        cells=per_cohort("qc.parquet"),
        clusters="results/atlas/clusters.parquet",
        features="results/atlas/features.parquet",
    output:
        "results/atlas/markers.parquet",
    log:
        "results/logs/markers.log",
    benchmark:
        "results/benchmarks/markers.tsv"
    conda:
        "../../envs/pmcell.yaml"
    threads: threads_of("find_markers")
    resources:
        mem_mb=mem_mb("find_markers"),
        runtime=minutes("find_markers"),
        disk_mb=disk_mb("find_markers"),
    params:
        cohorts=cohort_arguments,
        config=config_option,
        options=step_options("markers"),
    shell:
        "pmcell markers {params.cohorts} --clusters {input.clusters:q} "
        "--features {input.features:q} --out {output:q} "
        "{params.config} --threads {threads} > {log:q} 2>&1"


rule annotate_clusters:
    input:
        sums=per_cohort("aggregate.npz"),
        clusters="results/atlas/clusters.parquet",
        embedding="results/atlas/embedding.h5ad",
        features="results/atlas/features.parquet",
    output:
        "results/atlas/annotation.parquet",
    log:
        "results/logs/annotate.log",
    benchmark:
        "results/benchmarks/annotate.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("annotate_clusters"),
        runtime=minutes("annotate_clusters"),
        disk_mb=disk_mb("annotate_clusters"),
    params:
        config=config_option,
        options=step_options("annotate"),
    shell:
        "pmcell annotate --clusters {input.clusters:q} --embedding {input.embedding:q} "
        "--aggregate {input.sums:q} --features {input.features:q} --out {output:q} "
        "{params.config} --threads {threads} > {log:q} 2>&1"
