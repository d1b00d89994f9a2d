# INPUTS:  the sizes of the cohorts: results/sizes.json (pmcell estimate), else the bytes of the files
# OUTPUTS: memory, time, disk and threads of every step, known before anything has run

RESOURCES = types.ModuleType("resources")
exec(
    Path(workflow.source_path("../scripts/resources.py")).read_text(encoding="utf-8"),
    RESOURCES.__dict__,
)


def read_model():
    """The model of the configuration, else the one that ships."""
    path = SETTINGS.get("resources") or workflow.source_path("../resources.yaml")
    model = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    rename_keys(model["rules"], "old_rule")
    return model


MODEL = read_model()


def read_sizes():
    try:
        return json.loads(Path("results/sizes.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


KNOWN_SIZES = read_sizes()


@functools.cache
def size_of(cohort):
    try:
        files = [item for path in matrix_paths(cohort) for item in files_below(path)]
        n_bytes = sum(path.stat().st_size for path in files)
    except OSError:
        n_bytes = 0
    return RESOURCES.size_of(KNOWN_SIZES.get(cohort), n_bytes, MODEL["unsized"])


@functools.cache
def size_of_all():
    return RESOURCES.total([size_of(cohort) for cohort in COHORTS])


@functools.cache
def study_model():
    """The model with what the study as a whole says, such as the number of selected genes."""
    return RESOURCES.for_study(MODEL, SETTINGS, [size_of(cohort) for cohort in COHORTS])


def request(step, quantity):
    """A resource of a step by its size and attempt; it needs no file that is yet to be made."""

    def amount(wildcards, attempt):
        size = size_of(wildcards.cohort) if wildcards.keys() else size_of_all()
        return RESOURCES.request(study_model(), step, quantity, size, attempt)

    return amount


def mem_mb(step):
    return request(step, "memory_mb")


def memory_share(wildcards, resources):
    """Megabytes that a step may fill: what its job asks for, less what the scheduler's own take.

    On this machine nothing ends a job that takes more, and no retry would give it more: it may.
    As a function of the resources it is no reason to rerun: results do not depend on it.
    """
    share = max(resources.mem_mb - MODEL["scheduler_mb"], 1)
    is_limited = workflow.remote_exec or not workflow.local_exec
    return share if is_limited else f"{share} --soft-memory"


def minutes(step):
    return request(step, "seconds")


def disk_mb(step):
    return request(step, "disk_mb")


def threads_of(step):
    return RESOURCES.row_of(MODEL, step)["threads"]


def threads_to_spare(wildcards, threads):
    """Threads of a step that the others wait for: on this machine those of the run, eight at most.

    It asks for fewer, so that what can run beside it does, and has the cores that stand idle.
    As a function of its threads it is no reason to rerun: results do not depend on it.
    """
    if workflow.remote_exec or not workflow.local_exec:
        return threads
    limit = workflow.resource_settings.max_threads or workflow.cores
    return max(threads, min(limit, workflow.cores, 8))
