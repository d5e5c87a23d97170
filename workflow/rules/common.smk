# Lists of files that several rules name. Decisions are taken in hipoa/workflow/study.py, where they are tested.

EXPERIMENTS = list(study.config["experiments"])
COHORTS = study.used_cohorts


def shard_files(folder, suffix):
    return lambda wildcards: [
        f"{R}/{folder}/{wildcards.cohort}/{shard}{suffix}" for shard in study.shards[wildcards.cohort]
    ]


@cache
def warn_of_triggers():
    # Snakemake knows them only while it asks for inputs, and runs no onstart where nothing is to be done.
    unseen = find_unseen(trigger.name for trigger in workflow.rerun_triggers)
    if unseen and workflow.is_main_process:
        print(unseen, file=sys.stderr)


def builtin_cases(wildcards):
    """The table of a shard of the built-in cohort. CTs are no inputs: 100 000 would cost 10 s at every start."""
    warn_of_triggers()
    table = f"{R}/phantom/{wildcards.cohort}/{wildcards.shard}.cases.csv"
    return [table] if study.is_builtin(wildcards.shard) else []


def model_files(experiment, suffix):
    return [f"{R}/models/{experiment}/{model}{suffix}" for model in study.models(experiment)]


def environment(room):
    return f"../../envs/{room}{'.cpu' if study.config['torch'] == 'cpu' else ''}.yaml"


def memory(rule):
    return ask_memory(study, rule)


def minutes(rule):
    return ask_minutes(study, rule)


def kept(model):
    return temp(model) if study.config["keep_models"] == "none" else model


HIPS = [f"{R}/hips/{cohort}.csv" for cohort in COHORTS]
STACKS = [f"{R}/hips/{cohort}.npz" for cohort in COHORTS]
UNCERTAINTY = [f"{R}/uncertainty/{experiment}.csv" for experiment in EXPERIMENTS]
MODEL_RECORDS = [path for experiment in EXPERIMENTS for path in model_files(experiment, ".json")]
WEIGHT_RECORDS = [f"{R}/weights/{network}.json" for network in study.pretrained()]


def lasting_files():
    """Every output that stays. A failed job's are deleted, and Snakemake makes none again whose results are there:
    the old report would stand beside new tables. What is a target is made again, and all that follows from it.
    """
    shards = [f"{cohort}/{shard}" for cohort in COHORTS for shard in study.shards[cohort]]
    builtin = [shard for shard in shards if study.is_builtin(shard.rpartition("/")[2])]
    return [
        *(f"{R}/phantom/{shard}.cases.csv" for shard in builtin),
        *(f"{R}/{folder}/{shard}.csv" for folder in ("projections", "radiographs") for shard in shards),
        *(HIPS + STACKS + UNCERTAINTY + MODEL_RECORDS + WEIGHT_RECORDS + study.explanations),
        *(f"{R}/folds/r{repeat}.csv" for repeat in range(study.config["repeats"])),
        *(path for name in EXPERIMENTS for path in study.prediction_files(name, COHORTS)),
        *(f"{R}/{name}" for name in (*SOURCES, "augmentation.npz")),
        *(f"{R}/figures/{name}" for name in DRAWN),
    ]


def shown(path, caption, category):
    """An output that Snakemake's own report (`snakemake --report`) shows."""
    return report(path, caption=f"../../hipoa/report/captions/{caption}.rst", category=category)


def figure_files():
    pages = {f"{name}.{kind}": name for name, kind in FIGURES.items()}
    paths = {name: f"{R}/figures/{name}" for name in DRAWN}
    return [shown(path, pages[name], "Figures") if name in pages else path for name, path in paths.items()]
