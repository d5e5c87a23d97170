rule hips:
    input:
        tables=shard_files("radiographs", ".csv"),
        stacks=shard_files("radiographs", ".npz"),
        grades=lambda wildcards: [
            f"{R}/phantom/{wildcards.cohort}/{shard}.grades.csv"
            for shard in filter(study.is_builtin, study.shards[wildcards.cohort])
        ],
    output:
        table=f"{R}/hips/{{cohort}}.csv",
        stack=f"{R}/hips/{{cohort}}.npz",
    log:
        f"{R}/logs/hips/{{cohort}}.log",
    benchmark:
        f"{R}/benchmarks/hips/{{cohort}}.tsv"
    conda:
        environment("grading")
    resources:
        mem_mb=memory("hips"),
        runtime=minutes("hips"),
    params:
        options=study.flags("hips"),
        code=stage_code("hips"),
        # The user's table is no input: a grade of one cohort is no news for the others.
        grades=lambda wildcards: study.grades_flags(wildcards.cohort),
        readings=lambda wildcards: study.grades_fingerprint(wildcards.cohort),
    message:
        "Joining the hips of the {wildcards.cohort} cohort with their grades"
    shell:
        "python -m hipoa hips {params.options} --cohort {wildcards.cohort} --tables {input.tables}"
        " --stacks {input.stacks} --grades {input.grades} {params.grades}"
        " --out {output.table} --stack {output.stack} 2> {log} || say_why {log}"


rule folds:
    input:
        f"{R}/hips/labelled.csv",
    output:
        f"{R}/folds/r{{repeat}}.csv",
    log:
        f"{R}/logs/folds/r{{repeat}}.log",
    benchmark:
        f"{R}/benchmarks/folds/r{{repeat}}.tsv"
    conda:
        environment("grading")
    resources:
        mem_mb=memory("folds"),
        runtime=minutes("folds"),
    params:
        options=study.flags("folds", "seed"),
        code=stage_code("folds"),
        # What no run can make again: who was in which fold before the last patients were added.
        history=f"{study.history}/folds",
    message:
        "Assigning patients to folds, repeat {wildcards.repeat}"
    shell:
        "python -m hipoa folds {params.options} --hips {input} --repeat {wildcards.repeat}"
        " --history {params.history} --out {output} 2> {log} || say_why {log}"


rule augment:
    input:
        hips=f"{R}/hips/labelled.csv",
        stack=f"{R}/hips/labelled.npz",
    output:
        f"{R}/augmentation.npz",
    log:
        f"{R}/logs/augment.log",
    benchmark:
        f"{R}/benchmarks/augment.tsv"
    conda:
        environment("grading")
    resources:
        mem_mb=memory("augment"),
        runtime=minutes("augment"),
    params:
        options=study.flags("train", "seed"),
        input_px=study.config["experiments"][EXPERIMENTS[0]]["input_px"],
        code=stage_code("augment"),
    message:
        "Changing one hip of each class as a training does"
    shell:
        "python -m hipoa augment {params.options} --hips {input.hips} --stack {input.stack}"
        " --input-px {params.input_px} --samples 5 --out {output} 2> {log} || say_why {log}"


rule weights:
    output:
        weights=f"{R}/weights/{{network}}.safetensors",
        record=f"{R}/weights/{{network}}.json",
    log:
        f"{R}/logs/weights/{{network}}.log",
    benchmark:
        f"{R}/benchmarks/weights/{{network}}.tsv"
    # Where the workflow is started there is internet; compute nodes may have none.
    localrule: True
    conda:
        environment("grading")
    resources:
        mem_mb=memory("weights"),
        runtime=minutes("weights"),
    params:
        code=stage_code("weights"),
        source=lambda wildcards: study.pretrained()[wildcards.network],
        sha256=lambda wildcards: study.weights_hash(wildcards.network),
    message:
        "Fetching the pre-trained weights of {wildcards.network}"
    shell:
        "python -m hipoa weights --network {wildcards.network} --source {params.source:q} --sha256={params.sha256}"
        " --out {output.weights} --record {output.record} 2> {log} || say_why {log}"


rule train:
    input:
        hips=f"{R}/hips/labelled.csv",
        stack=f"{R}/hips/labelled.npz",
        folds=f"{R}/folds/r{{repeat}}.csv",
        pretrained=lambda wildcards: study.weight_files(wildcards.experiment),
    output:
        model=kept(f"{R}/models/{{experiment}}/r{{repeat}}f{{fold}}.safetensors"),
        record=f"{R}/models/{{experiment}}/r{{repeat}}f{{fold}}.json",
    log:
        f"{R}/logs/train/{{experiment}}/r{{repeat}}f{{fold}}.log",
    benchmark:
        f"{R}/benchmarks/train/{{experiment}}/r{{repeat}}f{{fold}}.tsv"
    conda:
        environment("grading")
    threads: 1
    resources:
        mem_mb=memory("train"),
        runtime=minutes("train"),
    params:
        options=study.flags("train", "seed"),
        row=lambda wildcards: study.row_flags(wildcards.experiment),
        code=stage_code("train"),
        pretrained=lambda wildcards: study.pretrained_flags(wildcards.experiment),
        checkpoint=f"cache/train/{study.config['study']}/{{experiment}}/r{{repeat}}f{{fold}}.pt",
    message:
        "Training {wildcards.experiment}, repeat {wildcards.repeat}, fold {wildcards.fold}"
    shell:
        "python -m hipoa train {params.options} {params.row} --experiment {wildcards.experiment}"
        " --repeat {wildcards.repeat} --fold {wildcards.fold}"
        " --hips {input.hips} --stack {input.stack} --folds {input.folds} {params.pretrained}"
        " --checkpoint {params.checkpoint} --out {output.model} --record {output.record} 2> {log} || say_why {log}"


rule predict:
    input:
        model=f"{R}/models/{{experiment}}/r{{repeat}}f{{fold}}.safetensors",
        record=f"{R}/models/{{experiment}}/r{{repeat}}f{{fold}}.json",
        hips=f"{R}/hips/{{cohort}}.csv",
        stack=f"{R}/hips/{{cohort}}.npz",
        folds=f"{R}/folds/r{{repeat}}.csv",
    output:
        f"{R}/predictions/{{experiment}}/r{{repeat}}f{{fold}}/{{cohort}}.npz",
    log:
        f"{R}/logs/predict/{{experiment}}/r{{repeat}}f{{fold}}/{{cohort}}.log",
    benchmark:
        f"{R}/benchmarks/predict/{{experiment}}/r{{repeat}}f{{fold}}/{{cohort}}.tsv"
    conda:
        environment("grading")
    threads: 1
    resources:
        mem_mb=memory("predict"),
        runtime=minutes("predict"),
    params:
        options=study.flags("predict", "seed"),
        classes=study.table_flags(),
        code=stage_code("predict"),
    message:
        "Predicting the {wildcards.cohort} cohort with {wildcards.experiment},"
        " repeat {wildcards.repeat}, fold {wildcards.fold}"
    shell:
        "python -m hipoa predict {params.options} {params.classes} --model {input.model} --record {input.record}"
        " --hips {input.hips} --stack {input.stack} --folds {input.folds} --cohort {wildcards.cohort}"
        " --out {output} 2> {log} || say_why {log}"
