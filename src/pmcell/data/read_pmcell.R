# Read a release of pmcell in R. In the folder of the release:
#
#   source("read_pmcell.R")
#   donors <- pmcell_table("donors")           # any table of tables/, as a data frame
#   pmcell_fields("donors")                    # meaning and unit of each of its columns
#   sce    <- pmcell_cells("COHORT")           # SingleCellExperiment: counts, logcounts, UMAP, labels
#   seurat <- pmcell_seurat(sce)               # the same as a Seurat object
#   counts <- pmcell_expression("ISG15")       # counts above 0 of genes, over all cohorts
#   people <- pmcell_donors()                  # donors.h5ad: profiles, and distances between donors
#
# Another folder is named by `release = "PATH"`. Needed are rhdf5 (Bioconductor) and Matrix for
# cells, SingleCellExperiment (Bioconductor) for pmcell_cells(), SeuratObject for pmcell_seurat(),
# jsonlite for pmcell_fields(), and for tables one of nanoparquet, arrow, duckdb, or reticulate with
# a Python that has pyarrow. Nothing is downloaded, and nothing is written.

pmcell_needs <- function(package, for_what) {
  if (!requireNamespace(package, quietly = TRUE))
    stop(sprintf("%s needs the R package '%s', which is not installed", for_what, package),
         call. = FALSE)
}

pmcell_file <- function(release, ...) {
  path <- file.path(release, ...)
  if (!file.exists(path)) {
    beside <- sub("[.][^.]*$", "", list.files(dirname(path)))
    stop(sprintf("%s must be a file of the release; there is none. In %s there are: %s",
                 path, dirname(path), paste(beside, collapse = ", ")), call. = FALSE)
  }
  path
}

# ---- tables ------------------------------------------------------------------------------------

# The first of the readers of Parquet that is installed; 64-bit integers become doubles.
pmcell_parquet <- function(path, columns = NULL) {
  readers <- c("nanoparquet", "arrow", "duckdb", "reticulate")
  found <- readers[vapply(readers, requireNamespace, logical(1), quietly = TRUE)]
  if (length(found) == 0)
    stop("tables need one of the R packages ", paste(readers, collapse = ", "), call. = FALSE)
  frame <- switch(found[1],
    nanoparquet = if (is.null(columns)) nanoparquet::read_parquet(path)
                  else nanoparquet::read_parquet(path, col_select = columns),
    arrow = if (is.null(columns)) arrow::read_parquet(path)
            else arrow::read_parquet(path, col_select = tidyselect::all_of(columns)),
    duckdb = {
      connection <- DBI::dbConnect(duckdb::duckdb())
      on.exit(DBI::dbDisconnect(connection, shutdown = TRUE))
      chosen <- if (is.null(columns)) "*"
                else paste(DBI::dbQuoteIdentifier(connection, columns), collapse = ", ")
      DBI::dbGetQuery(connection, sprintf("SELECT %s FROM read_parquet(%s)", chosen,
                                          DBI::dbQuoteString(connection, path)))
    },
    reticulate = pmcell_by_python(path, columns))
  as.data.frame(frame, stringsAsFactors = FALSE)
}

pmcell_by_python <- function(path, columns) {
  pyarrow <- reticulate::import("pyarrow.parquet", convert = FALSE)
  table <- if (is.null(columns)) pyarrow$read_table(path)
           else pyarrow$read_table(path, columns = as.list(columns))
  names <- reticulate::py_to_r(table$column_names)
  frame <- lapply(names, function(name) {
    column <- table$column(name)
    kind <- as.character(reticulate::py_to_r(column$type$`__str__`()))
    values <- reticulate::py_to_r(column$to_pylist())
    if (startsWith(kind, "list")) return(I(lapply(values, unlist)))
    missing <- switch(kind, string = , large_string = NA_character_, bool = NA, NA_real_)
    convert <- switch(kind, string = , large_string = as.character, bool = as.logical, as.numeric)
    convert(unlist(lapply(values, function(value) if (is.null(value)) missing else value)))
  })
  names(frame) <- names
  structure(frame, class = "data.frame", row.names = seq_len(reticulate::py_to_r(table$num_rows)))
}

pmcell_table <- function(name, columns = NULL, release = ".") {
  pmcell_parquet(pmcell_file(release, "tables", paste0(name, ".parquet")), columns)
}

# One row a column: what it means, its unit, and whether it may be null.
pmcell_fields <- function(name, release = ".") {
  pmcell_needs("jsonlite", "pmcell_fields()")
  package <- jsonlite::read_json(pmcell_file(release, "datapackage.json"))
  resource <- Filter(function(item) identical(item$name, name), package$resources)
  if (length(resource) == 0)
    stop(sprintf("'%s' must be a table of the release", name), call. = FALSE)
  fields <- resource[[1]]$schema$fields
  text <- function(field, key) if (is.null(field[[key]])) "" else as.character(field[[key]])
  data.frame(
    column = vapply(fields, text, "", "name"),
    type = vapply(fields, text, "", "type"),
    unit = vapply(fields, text, "", "unit"),
    meaning = vapply(fields, text, "", "description"),
    stringsAsFactors = FALSE)
}

# Counts above 0 of genes, by symbol or Ensembl id, with the cells and donors that have them. A gene
# that a cohort measured (genes$measured_in) has count 0 in its other cells; elsewhere it is unknown.
pmcell_expression <- function(genes, release = ".") {
  known <- pmcell_table("genes", c("gene_id", "symbol"), release)
  wanted <- known[known$symbol %in% genes | known$gene_id %in% genes, ]
  absent <- setdiff(genes, c(wanted$symbol, wanted$gene_id))
  if (length(absent) > 0)
    stop("genes must be in the table 'genes'; not there: ", paste(absent, collapse = ", "),
         call. = FALSE)
  files <- list.files(file.path(release, "expression"), "[.]parquet$", full.names = TRUE)
  if (length(files) == 0) stop("this release has no counts as tables (expression/)", call. = FALSE)
  counts <- do.call(rbind, lapply(files, function(path) {
    part <- pmcell_parquet(path)
    part[part$gene_id %in% wanted$gene_id, ]
  }))
  cells <- pmcell_table(
    "cells", c("cell_id", "donor_id", "visit", "cohort_id", "cell_row", "cell_type",
               "total_counts"), release)
  merge(merge(counts, wanted, by = "gene_id"), cells, by = c("cohort_id", "cell_row"))
}

# ---- AnnData (h5ad) ----------------------------------------------------------------------------

# rhdf5 reads 64-bit integers as doubles (exact below 2^53), and dimensions in reverse.
pmcell_h5 <- function(path, name) {
  rhdf5::h5read(path, name, bit64conversion = "double")
}

# One attribute, as text; NULL where there is none.
pmcell_attribute <- function(path, name, key) {
  file <- rhdf5::H5Fopen(path, flags = "H5F_ACC_RDONLY")
  on.exit(rhdf5::H5Fclose(file))
  object <- rhdf5::H5Oopen(file, name)
  on.exit(rhdf5::H5Oclose(object), add = TRUE, after = FALSE)
  if (!rhdf5::H5Aexists(object, key)) return(NULL)
  attribute <- rhdf5::H5Aopen(object, key)
  on.exit(rhdf5::H5Aclose(attribute), add = TRUE, after = FALSE)
  as.character(rhdf5::H5Aread(attribute))
}

pmcell_children <- function(path, name) {
  listed <- rhdf5::h5ls(path, recursive = TRUE, datasetinfo = FALSE)
  listed$name[listed$group == paste0("/", name)]
}

# A column of a frame: categories as a factor (pmcell writes none that are ordered), masked
# values as NA.
pmcell_column <- function(path, name) {
  encoding <- pmcell_attribute(path, name, "encoding-type")
  if (identical(encoding, "categorical")) {
    codes <- as.integer(pmcell_h5(path, paste0(name, "/codes")))
    labels <- as.character(pmcell_h5(path, paste0(name, "/categories")))
    codes[codes < 0] <- NA
    return(factor(labels[codes + 1L], levels = labels))
  }
  if (!is.null(encoding) && startsWith(encoding, "nullable-")) {
    values <- pmcell_plain(pmcell_h5(path, paste0(name, "/values")))
    values[as.logical(pmcell_plain(pmcell_h5(path, paste0(name, "/mask"))))] <- NA
    return(values)
  }
  pmcell_plain(pmcell_h5(path, name))
}

pmcell_plain <- function(values) {
  if (is.factor(values)) return(as.character(values) == "TRUE")  # HDF5's own form of truth values
  if (length(dim(values)) == 1) as.vector(values) else values
}

pmcell_frame <- function(path, name) {
  names <- pmcell_attribute(path, name, "column-order")
  frame <- lapply(names, function(column) pmcell_column(path, paste0(name, "/", column)))
  names(frame) <- names
  rows <- as.character(pmcell_h5(path, paste0(name, "/", pmcell_attribute(path, name, "_index"))))
  structure(frame, class = "data.frame", row.names = rows)
}

# A matrix of cells × genes, stored by rows, is by columns a matrix of genes × cells.
pmcell_sparse <- function(path, name, genes, cells) {
  encoding <- pmcell_attribute(path, name, "encoding-type")
  if (!identical(encoding, "csr_matrix"))
    stop(sprintf("%s of %s must be a csr_matrix, found %s", name, path, encoding), call. = FALSE)
  pointers <- pmcell_h5(path, paste0(name, "/indptr"))
  if (pointers[length(pointers)] > .Machine$integer.max)
    stop(sprintf("%s of %s has more values than a dgCMatrix can hold (2^31 - 1): read it with ",
                 name, path), "HDF5Array::H5SparseMatrix", call. = FALSE)
  Matrix::sparseMatrix(
    i = as.integer(pmcell_h5(path, paste0(name, "/indices"))),
    p = as.integer(pointers),
    x = as.numeric(pmcell_h5(path, paste0(name, "/data"))),
    dims = c(length(genes), length(cells)), dimnames = list(genes, cells), index1 = FALSE)
}

# Cells of one cohort: raw counts, log-normalised values, coordinates, labels.
pmcell_cells <- function(cohort, release = ".") {
  pmcell_needs("rhdf5", "pmcell_cells()")
  pmcell_needs("Matrix", "pmcell_cells()")
  pmcell_needs("SingleCellExperiment", "pmcell_cells()")
  path <- pmcell_file(release, "cells", paste0(cohort, ".h5ad"))
  cells <- pmcell_frame(path, "obs")
  genes <- pmcell_frame(path, "var")
  counted <- pmcell_frame(path, "raw/var")
  if (!identical(rownames(genes), rownames(counted)))
    stop(sprintf("var and raw/var of %s must list the same genes", path), call. = FALSE)
  dims <- lapply(pmcell_children(path, "obsm"), function(name) {
    values <- t(pmcell_h5(path, paste0("obsm/", name)))
    dimnames(values) <- list(rownames(cells), paste0(sub("^X_", "", name), "_", seq_len(ncol(values))))
    values
  })
  names(dims) <- sub("^X_", "", pmcell_children(path, "obsm"))
  SingleCellExperiment::SingleCellExperiment(
    assays = list(
      counts = pmcell_sparse(path, "raw/X", rownames(genes), rownames(cells)),
      logcounts = pmcell_sparse(path, "X", rownames(genes), rownames(cells))),
    colData = cells, rowData = genes, reducedDims = dims,
    metadata = list(about = pmcell_h5(path, "uns")))
}

# The same as a Seurat object; reduced dimensions keep their names and values.
pmcell_seurat <- function(sce) {
  pmcell_needs("SeuratObject", "pmcell_seurat()")
  counts <- SummarizedExperiment::assay(sce, "counts")
  labels <- as.data.frame(SummarizedExperiment::colData(sce))
  object <- SeuratObject::CreateSeuratObject(counts, meta.data = labels, min.cells = 0,
                                             min.features = 0)
  logcounts <- SummarizedExperiment::assay(sce, "logcounts")
  object <- if (utils::packageVersion("SeuratObject") >= "5.0.0")
    SeuratObject::SetAssayData(object, layer = "data", new.data = logcounts)
  else
    SeuratObject::SetAssayData(object, slot = "data", new.data = logcounts)
  for (name in SingleCellExperiment::reducedDimNames(sce)) {
    values <- SingleCellExperiment::reducedDim(sce, name)
    key <- gsub("[^A-Za-z0-9]", "", name)
    colnames(values) <- paste0(key, "_", seq_len(ncol(values)))
    object[[name]] <- SeuratObject::CreateDimReducObject(values, key = paste0(key, "_"),
                                                         assay = "RNA")
  }
  object
}

# Donors and visits: what is known of each, profiles, and distances between them.
pmcell_donors <- function(release = ".") {
  pmcell_needs("rhdf5", "pmcell_donors()")
  path <- pmcell_file(release, "donors.h5ad")
  donors <- pmcell_frame(path, "obs")
  square <- function(name) {
    values <- t(pmcell_h5(path, paste0("obsp/", name)))
    dimnames(values) <- list(rownames(donors), rownames(donors))
    values
  }
  profile <- function(name) {
    values <- t(pmcell_h5(path, paste0("obsm/", name)))
    rownames(values) <- rownames(donors)
    values
  }
  counts <- NULL
  if ("X" %in% pmcell_children(path, "")) {
    counts <- t(pmcell_h5(path, "X"))
    dimnames(counts) <- list(rownames(donors), rownames(pmcell_frame(path, "var")))
  }
  named <- function(names, read) stats::setNames(lapply(names, read), sub("^X_", "", names))
  list(
    donors = donors, cells_of_each_type = counts,
    profiles = named(pmcell_children(path, "obsm"), profile),
    distances = named(pmcell_children(path, "obsp"), square))
}
