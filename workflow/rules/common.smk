# Shared by several rules. Decisions are made in hipoa/workflow, where they are tested.

EXPERIMENTS = list(study.config["experiments"])
COHORTS = study.used_cohorts
HIPS = study.paths("hips")
STACKS = study.paths("hips", "hips/{cohort}.npz")
UNCERTAINTY = study.paths("uncertainty")
MODEL_RECORDS = study.paths("train")


def shard_files(folder, suffix):
    return lambda wildcards: [
        f"{R}/{folder}/{wildcards.cohort}/{shard}{suffix}" for shard in study.shards[wildcards.cohort]
    ]


def builtin_cases(wildcards):
    """The table of a shard of the built-in cohort. CTs are not inputs: 100 000 would cost 10 s at every start."""
    warn_of_triggers()
    return study.paths("phantom", cohort=wildcards.cohort, shard=wildcards.shard)


@cache
def warn_of_triggers():
    # Snakemake knows the triggers only while it asks for inputs, and skips onstart where nothing is to be done.
    unseen = find_unseen(trigger.name for trigger in workflow.rerun_triggers)
    if unseen and workflow.is_main_process:
        print(unseen, file=sys.stderr)


def environment(room):
    return f"../../envs/{room}{'.cpu' if study.config['torch'] == 'cpu' else ''}.yaml"


def kept(model):
    return temp(model) if study.config["keep_models"] == "none" else model


def shown(path, caption, category):
    """An output that Snakemake's own report (`snakemake --report`) shows."""
    return report(path, caption=f"../../hipoa/report/captions/{caption}.rst", category=category)


def figure_files():
    pages = {f"{name}.{kind}": name for name, kind in FIGURES.items()}
    paths = {name: f"{R}/figures/{name}" for name in FIGURE_FILES}
    return [shown(path, pages[name], "Figures") if name in pages else path for name, path in paths.items()]
