"""What goes with strata: covariates, outcomes, batches, change between visits."""
