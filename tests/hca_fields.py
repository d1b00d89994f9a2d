"""What an export in the profile of the Human Cell Atlas is told, for all samples alike."""

VALUES = {
    "library_id": "L1",
    "institute": "UMCG",
    "alignment_software": "Cell Ranger 3.1",
    "manner_of_death": "not applicable",
    "sample_source": "living organ donor",
    "sample_collection_method": "blood draw",
    "sampled_site_condition": "healthy",
    "sample_preservation_method": "frozen in liquid nitrogen",
    "sequenced_fragment": "3 prime tag",
    "reference_genome": "GRCh38",
    "cell_enrichment": "na",
    "gene_annotation_version": "v98",
}
