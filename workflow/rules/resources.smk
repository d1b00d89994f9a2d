# INPUTS:  the sizes of the cohorts: results/sizes.json (pmcell estimate), else the bytes of the files
# OUTPUTS: memory, time, disk and threads of every rule, known before anything has run

RESOURCES = types.ModuleType("resources")
exec(
    Path(workflow.source_path("../scripts/resources.py")).read_text(encoding="utf-8"),
    RESOURCES.__dict__,
)


def read_model():
    """The model of the configuration, else the one that ships."""
    path = config.get("resources") or workflow.source_path("../resources.yaml")
    model = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    return RESOURCES.for_study(model, config)


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


def request(rule, quantity):
    """A resource of a rule by its size and attempt; it needs no file that is yet to be made."""

    def amount(wildcards, attempt):
        size = size_of(wildcards.cohort) if wildcards.keys() else size_of_all()
        return RESOURCES.request(MODEL, rule, quantity, size, attempt)

    return amount


def mem_mb(rule):
    return request(rule, "memory_mb")


def memory_share(wildcards, resources):
    """Megabytes that a step may fill: what its job asks for, less what the scheduler's own take.

    As a function of the resources it is no reason to rerun: results do not depend on it.
    """
    return max(resources.mem_mb - MODEL["scheduler_mb"], 1)


def minutes(rule):
    return request(rule, "seconds")


def disk_mb(rule):
    return request(rule, "disk_mb")


def threads_of(rule):
    return MODEL["rules"][rule]["threads"]
