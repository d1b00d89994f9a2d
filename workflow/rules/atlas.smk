# INPUTS:  moments of every cohort; then, cohort by cohort, what the atlas asks of its counts
# OUTPUTS: results/atlas/*: people who stand twice, accepted cohorts, features, basis, embedding, graph, clusters, map,
#          markers, cell_labels, annotation, cell_types; results/cohorts/{cohort}/gram.npz, embedding.npz, aggregate.npz


rule duplicates:
    input:
        counts=per_cohort("intake.h5ad"),
        donors=per_cohort("donors.parquet"),
    output:
        "results/atlas/duplicates.parquet",
    log:
        "results/logs/duplicates.log",
    benchmark:
        "results/benchmarks/duplicates.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("duplicates"),
        runtime=minutes("duplicates"),
        disk_mb=disk_mb("duplicates"),
    params:
        cohorts=cohort_arguments,
        config=config_option,
        options=step_options("duplicates"),
    shell:
        "pmcell duplicates {params.cohorts} --out {output:q} "
        "{params.config} --threads {threads} > {log:q} 2>&1"


rule hvg:
    input:
        moments=per_cohort("moments.npz"),
        status=per_cohort("status.json"),
    output:
        features="results/atlas/features.parquet",
        cohorts="results/atlas/cohorts.json",
    log:
        "results/logs/hvg.log",
    benchmark:
        "results/benchmarks/hvg.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("hvg"),
        runtime=minutes("hvg"),
        disk_mb=disk_mb("hvg"),
    params:
        cohorts=cohort_arguments,
        config=config_option,
        options=step_options("hvg"),
    shell:
        "pmcell hvg {params.cohorts} --out {output.features:q} "
        "--cohorts-out {output.cohorts:q} {params.config} --threads {threads} > {log:q} 2>&1"


rule covariance:
    input:
        counts="results/cohorts/{cohort}/intake.h5ad",
        cells="results/cohorts/{cohort}/qc.parquet",
        features="results/atlas/features.parquet",
        cohorts="results/atlas/cohorts.json",
    output:
        "results/cohorts/{cohort}/gram.npz",
    log:
        "results/logs/covariance/{cohort}.log",
    benchmark:
        "results/benchmarks/covariance/{cohort}.tsv"
    conda:
        "../../envs/pmcell.yaml"
    threads: threads_of("covariance")
    resources:
        mem_mb=mem_mb("covariance"),
        runtime=minutes("covariance"),
        disk_mb=disk_mb("covariance"),
    params:
        memory=memory_share,
        options=step_options("covariance"),
    shell:
        "pmcell covariance --cohort {wildcards.cohort:q} --counts {input.counts:q} --qc {input.cells:q} "
        "--features {input.features:q} --cohorts {input.cohorts:q} --out {output:q} "
        "--threads {threads} --memory {params.memory} > {log:q} 2>&1"


rule pca:
    input:
        grams=per_cohort("gram.npz"),
        features="results/atlas/features.parquet",
    output:
        "results/atlas/basis.npz",
    log:
        "results/logs/pca.log",
    benchmark:
        "results/benchmarks/pca.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("pca"),
        runtime=minutes("pca"),
        disk_mb=disk_mb("pca"),
    params:
        grams=lambda wildcards, input: " ".join(
            f"--gram {path}" for path in input.grams
        ),
        config=config_option,
        options=step_options("pca"),
    shell:
        "pmcell pca {params.grams} --features {input.features:q} --out {output:q} "
        "{params.config} --threads {threads} > {log:q} 2>&1"


rule pca_scores:
    input:
        counts="results/cohorts/{cohort}/intake.h5ad",
        cells="results/cohorts/{cohort}/qc.parquet",
        features="results/atlas/features.parquet",
        cohorts="results/atlas/cohorts.json",
        basis="results/atlas/basis.npz",
    output:
        "results/cohorts/{cohort}/embedding.npz",
    log:
        "results/logs/pca_scores/{cohort}.log",
    benchmark:
        "results/benchmarks/pca_scores/{cohort}.tsv"
    conda:
        "../../envs/pmcell.yaml"
    threads: threads_of("pca_scores")
    resources:
        mem_mb=mem_mb("pca_scores"),
        runtime=minutes("pca_scores"),
        disk_mb=disk_mb("pca_scores"),
    params:
        memory=memory_share,
        options=step_options("pca_scores"),
    shell:
        "pmcell pca_scores --cohort {wildcards.cohort:q} --counts {input.counts:q} "
        "--qc {input.cells:q} --features {input.features:q} --cohorts {input.cohorts:q} "
        "--basis {input.basis:q} --out {output:q} --threads {threads} "
        "--memory {params.memory} > {log:q} 2>&1"


rule integrate:
    input:
        embeddings=per_cohort("embedding.npz"),
        counts=per_cohort("intake.h5ad"),
        cells=per_cohort("qc.parquet"),
        samples=per_cohort("samples.parquet"),
        donors=per_cohort("donors.parquet"),
        visits=per_cohort("visits.parquet"),
    output:
        "results/atlas/embedding.h5ad",
    log:
        "results/logs/integrate.log",
    benchmark:
        "results/benchmarks/integrate.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("integrate"),
        runtime=minutes("integrate"),
        disk_mb=disk_mb("integrate"),
    params:
        cohorts=cohort_arguments,
        config=config_option,
        options=step_options("integrate"),
    shell:
        "pmcell integrate {params.cohorts} --out {output:q} {params.config} "
        "--threads {threads} > {log:q} 2>&1"


rule neighbors:
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
    threads: threads_of("neighbors")
    resources:
        mem_mb=mem_mb("neighbors"),
        runtime=minutes("neighbors"),
        disk_mb=disk_mb("neighbors"),
    params:
        config=config_option,
        options=step_options("neighbors"),
    shell:
        "pmcell neighbors --embedding {input:q} --out {output:q} {params.config} "
        "--threads {threads} > {log:q} 2>&1"


rule cluster:
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
        mem_mb=mem_mb("cluster"),
        runtime=minutes("cluster"),
        disk_mb=disk_mb("cluster"),
    params:
        config=config_option,
        options=step_options("cluster"),
    shell:
        "pmcell cluster --graph {input:q} --out {output:q} {params.config} "
        "--threads {threads} > {log:q} 2>&1"


rule umap:
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
        mem_mb=mem_mb("umap"),
        runtime=minutes("umap"),
        disk_mb=disk_mb("umap"),
    params:
        config=config_option,
        options=step_options("umap"),
    shell:
        "pmcell umap --graph {input.graph:q} --embedding {input.embedding:q} --out {output:q} "
        "{params.config} --threads {threads} > {log:q} 2>&1"


rule label_transfer:
    input:
        embedding="results/atlas/embedding.h5ad",
        clusters="results/atlas/clusters.parquet",
    output:
        "results/atlas/cell_labels.parquet",
    log:
        "results/logs/label_transfer.log",
    benchmark:
        "results/benchmarks/label_transfer.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("label_transfer"),
        runtime=minutes("label_transfer"),
        disk_mb=disk_mb("label_transfer"),
    params:
        config=config_option,
        options=step_options("label_transfer"),
    shell:
        "pmcell label_transfer --embedding {input.embedding:q} --clusters {input.clusters:q} "
        "--out {output:q} {params.config} --threads {threads} > {log:q} 2>&1"


# Without --memory: what it needs goes with the number of clusters, unknown when memory is asked for.
rule aggregate:
    input:
        counts="results/cohorts/{cohort}/intake.h5ad",
        cells="results/cohorts/{cohort}/qc.parquet",
        clusters="results/atlas/clusters.parquet",
        labels="results/atlas/cell_labels.parquet",
    output:
        "results/cohorts/{cohort}/aggregate.npz",
    log:
        "results/logs/aggregate/{cohort}.log",
    benchmark:
        "results/benchmarks/aggregate/{cohort}.tsv"
    conda:
        "../../envs/pmcell.yaml"
    threads: threads_of("aggregate")
    resources:
        mem_mb=mem_mb("aggregate"),
        runtime=minutes("aggregate"),
        disk_mb=disk_mb("aggregate"),
    params:
        options=step_options("aggregate"),
    shell:
        "pmcell aggregate --counts {input.counts:q} --qc {input.cells:q} "
        "--clusters {input.clusters:q} --labels {input.labels:q} --out {output:q} "
        "--threads {threads} > {log:q} 2>&1"


rule markers:
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
    threads: threads_of("markers")
    resources:
        mem_mb=mem_mb("markers"),
        runtime=minutes("markers"),
        disk_mb=disk_mb("markers"),
    params:
        cohorts=cohort_arguments,
        config=config_option,
        options=step_options("markers"),
    shell:
        "pmcell markers {params.cohorts} --clusters {input.clusters:q} "
        "--features {input.features:q} --out {output:q} "
        "{params.config} --threads {threads} > {log:q} 2>&1"


rule annotate:
    input:
        sums=per_cohort("aggregate.npz"),
        clusters="results/atlas/clusters.parquet",
        embedding="results/atlas/embedding.h5ad",
        labels="results/atlas/cell_labels.parquet",
        features="results/atlas/features.parquet",
        programmes=programme_files,
    output:
        annotation="results/atlas/annotation.parquet",
        cell_types="results/atlas/cell_types.parquet",
    log:
        "results/logs/annotate.log",
    benchmark:
        "results/benchmarks/annotate.tsv"
    conda:
        "../../envs/pmcell.yaml"
    resources:
        mem_mb=mem_mb("annotate"),
        runtime=minutes("annotate"),
        disk_mb=disk_mb("annotate"),
    params:
        programmes=programmes_option,
        config=config_option,
        options=step_options("annotate"),
    shell:
        "pmcell annotate --clusters {input.clusters:q} --embedding {input.embedding:q} "
        "--labels {input.labels:q} --aggregate {input.sums:q} --features {input.features:q} "
        "--out {output.annotation:q} --cell-types-out {output.cell_types:q} "
        "{params.programmes} {params.config} --threads {threads} > {log:q} 2>&1"
