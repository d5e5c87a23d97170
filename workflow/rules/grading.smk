use rule stage as hips with:
    input:
        lambda wildcards: grade_tables(study, cohort=wildcards.cohort),
        tables=shard_files("radiographs", ".csv"),
        stacks=shard_files("radiographs", ".npz"),
    output:
        out=f"{R}/hips/{{cohort}}.csv",
        stack=f"{R}/hips/{{cohort}}.npz",
    log:
        f"{R}/logs/hips/{{cohort}}.log",
    benchmark:
        f"{R}/benchmarks/hips/{{cohort}}.tsv"
    conda:
        environment("grading")
    params:
        # The user's table of grades is not an input: a grade of one cohort does not concern the others.
        command=command(
            study, "hips", "--cohort {cohort}", lambda wildcards: grades_flag(study, wildcards.cohort)
        ),
        readings=lambda wildcards: grades_fingerprint(study, wildcards.cohort),
        code=stage_code("hips"),
    message:
        "Joining the hips of the {wildcards.cohort} cohort with their grades"


use rule stage as folds with:
    input:
        hips=f"{R}/hips/labelled.csv",
        former=lambda wildcards: study.former_folds(wildcards.repeat),
    output:
        out=f"{R}/folds/r{{repeat}}.csv",
    log:
        f"{R}/logs/folds/r{{repeat}}.log",
    benchmark:
        f"{R}/benchmarks/folds/r{{repeat}}.tsv"
    conda:
        environment("grading")
    params:
        command=command(study, "folds", "--repeat {repeat}"),
        code=stage_code("folds"),
    message:
        "Assigning patients to folds, repeat {wildcards.repeat}"


use rule stage as augment with:
    input:
        hips=f"{R}/hips/labelled.csv",
        stack=f"{R}/hips/labelled.npz",
    output:
        out=f"{R}/augmentation.npz",
    log:
        f"{R}/logs/augment.log",
    benchmark:
        f"{R}/benchmarks/augment.tsv"
    conda:
        environment("grading")
    params:
        command=command(
            study,
            "augment",
            f"--input-px {study.config['experiments'][EXPERIMENTS[0]]['input_px']} --samples 5",
        ),
        code=stage_code("augment"),
    message:
        "Rendering samples of the augmentation"


use rule stage as weights with:
    output:
        out=f"{R}/weights/{{network}}.safetensors",
        record=f"{R}/weights/{{network}}.json",
    log:
        f"{R}/logs/weights/{{network}}.log",
    benchmark:
        f"{R}/benchmarks/weights/{{network}}.tsv"
    # Where the workflow is started there is internet; compute nodes may have none.
    localrule: True
    conda:
        environment("grading")
    params:
        command=command(
            study,
            "weights",
            "--network {network}",
            lambda wildcards: weights_flags(study, wildcards.network),
        ),
        code=stage_code("weights"),
    message:
        "Fetching the pre-trained weights of {wildcards.network}"


use rule stage as train with:
    input:
        lambda wildcards: study.weight_files(wildcards.experiment),
        hips=f"{R}/hips/labelled.csv",
        stack=f"{R}/hips/labelled.npz",
        folds=f"{R}/folds/r{{repeat}}.csv",
    output:
        out=kept(f"{R}/models/{{experiment}}/r{{repeat}}f{{fold}}.safetensors"),
        record=f"{R}/models/{{experiment}}/r{{repeat}}f{{fold}}.json",
    log:
        f"{R}/logs/train/{{experiment}}/r{{repeat}}f{{fold}}.log",
    benchmark:
        f"{R}/benchmarks/train/{{experiment}}/r{{repeat}}f{{fold}}.tsv"
    conda:
        environment("grading")
    params:
        command=command(
            study,
            "train",
            "--experiment {experiment} --repeat {repeat} --fold {fold}",
            f"--checkpoint cache/train/{study.config['study']}/{{experiment}}/r{{repeat}}f{{fold}}.pt",
            lambda wildcards: experiment_flags(study, wildcards.experiment),
        ),
        code=stage_code("train"),
    message:
        "Training {wildcards.experiment}, repeat {wildcards.repeat}, fold {wildcards.fold}"


use rule stage as predict with:
    input:
        model=f"{R}/models/{{experiment}}/r{{repeat}}f{{fold}}.safetensors",
        record=f"{R}/models/{{experiment}}/r{{repeat}}f{{fold}}.json",
        hips=f"{R}/hips/{{cohort}}.csv",
        stack=f"{R}/hips/{{cohort}}.npz",
        folds=f"{R}/folds/r{{repeat}}.csv",
    output:
        out=f"{R}/predictions/{{experiment}}/r{{repeat}}f{{fold}}/{{cohort}}.npz",
    log:
        f"{R}/logs/predict/{{experiment}}/r{{repeat}}f{{fold}}/{{cohort}}.log",
    benchmark:
        f"{R}/benchmarks/predict/{{experiment}}/r{{repeat}}f{{fold}}/{{cohort}}.tsv"
    # A model that is not kept is removed once it has predicted: before others are trained.
    priority: 1
    conda:
        environment("grading")
    params:
        command=command(
            study, "predict", "--cohort {cohort}", pick(study, "hips", "class_table", "kl0_as_kl1")
        ),
        code=stage_code("predict"),
    message:
        "Predicting the {wildcards.cohort} cohort with {wildcards.experiment},"
        " repeat {wildcards.repeat}, fold {wildcards.fold}"
