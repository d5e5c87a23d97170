rule uncertainty:
    input:
        predictions=lambda wildcards: study.prediction_files(wildcards.experiment, COHORTS),
        hips=lambda wildcards: [
            f"{R}/hips/{cohort}.csv" for cohort in study.predicted_cohorts(wildcards.experiment)
        ],
    output:
        f"{R}/uncertainty/{{experiment}}.csv",
    log:
        f"{R}/logs/uncertainty/{{experiment}}.log",
    benchmark:
        f"{R}/benchmarks/uncertainty/{{experiment}}.tsv"
    conda:
        "../../envs/evaluation.yaml"
    resources:
        mem_mb=memory("uncertainty"),
        runtime=minutes("uncertainty"),
    params:
        options=study.flags("uncertainty"),
        code=stage_code("uncertainty"),
    message:
        "Taking the variance over the passes of {wildcards.experiment}"
    shell:
        "python -m hipoa uncertainty {params.options} --experiment {wildcards.experiment}"
        " --predictions {input.predictions} --hips {input.hips} --out {output} 2> {log} || say_why {log}"


rule metrics:
    input:
        uncertainty=UNCERTAINTY,
        hips=HIPS,
        truth=study.truths,
    output:
        metrics=shown(f"{R}/metrics.csv", "metrics", "Tables"),
        confusion=shown(f"{R}/confusion.csv", "confusion", "Tables"),
        subgroups=shown(f"{R}/subgroups.csv", "subgroups", "Tables"),
    log:
        f"{R}/logs/metrics.log",
    benchmark:
        f"{R}/benchmarks/metrics.tsv"
    conda:
        "../../envs/evaluation.yaml"
    resources:
        mem_mb=memory("metrics"),
        runtime=minutes("metrics"),
    params:
        options=study.flags("metrics", "bootstrap"),
        classes=study.class_flags,
        code=stage_code("metrics"),
    message:
        "Scoring the predictions"
    shell:
        "python -m hipoa metrics {params.options} {params.classes} --uncertainty {input.uncertainty}"
        " --hips {input.hips} --truth {input.truth} --out {output.metrics} --confusion {output.confusion}"
        " --subgroups {output.subgroups} 2> {log} || say_why {log}"


rule compare:
    input:
        UNCERTAINTY,
    output:
        compare=shown(f"{R}/compare.csv", "compare", "Tables"),
        differences=shown(f"{R}/differences.csv", "differences", "Tables"),
    log:
        f"{R}/logs/compare.log",
    benchmark:
        f"{R}/benchmarks/compare.tsv"
    conda:
        "../../envs/evaluation.yaml"
    resources:
        mem_mb=memory("compare"),
        runtime=minutes("compare"),
    params:
        options=study.flags("bootstrap"),
        code=stage_code("compare"),
    message:
        "Comparing networks and groups of hips"
    shell:
        "python -m hipoa compare {params.options} --uncertainty {input} --out {output.compare}"
        " --differences {output.differences} 2> {log} || say_why {log}"


rule calibrate:
    input:
        UNCERTAINTY,
    output:
        calibration=shown(f"{R}/calibration.csv", "calibration", "Tables"),
        reliability=f"{R}/reliability.csv",
    log:
        f"{R}/logs/calibrate.log",
    benchmark:
        f"{R}/benchmarks/calibrate.tsv"
    conda:
        "../../envs/evaluation.yaml"
    resources:
        mem_mb=memory("calibrate"),
        runtime=minutes("calibrate"),
    params:
        options=study.flags("bootstrap"),
        code=stage_code("calibrate"),
    message:
        "Calibrating"
    shell:
        "python -m hipoa calibrate {params.options} --uncertainty {input}"
        " --out {output.calibration} --reliability {output.reliability} 2> {log} || say_why {log}"


rule detect:
    input:
        UNCERTAINTY,
    output:
        detection=shown(f"{R}/detection.csv", "detection", "Tables"),
        curves=f"{R}/risk_coverage.csv",
    log:
        f"{R}/logs/detect.log",
    benchmark:
        f"{R}/benchmarks/detect.tsv"
    conda:
        "../../envs/evaluation.yaml"
    resources:
        mem_mb=memory("detect"),
        runtime=minutes("detect"),
    params:
        options=study.flags("bootstrap"),
        code=stage_code("detect"),
    message:
        "Finding errors by their uncertainty"
    shell:
        "python -m hipoa detect {params.options} --uncertainty {input}"
        " --out {output.detection} --curves {output.curves} 2> {log} || say_why {log}"


rule conform:
    input:
        UNCERTAINTY,
    output:
        conformal=shown(f"{R}/conformal.csv", "conformal", "Tables"),
    log:
        f"{R}/logs/conform.log",
    benchmark:
        f"{R}/benchmarks/conform.tsv"
    conda:
        "../../envs/evaluation.yaml"
    resources:
        mem_mb=memory("conform"),
        runtime=minutes("conform"),
    params:
        options=study.flags("conform", "bootstrap"),
        code=stage_code("conform"),
    message:
        "Making conformal sets"
    shell:
        "python -m hipoa conform {params.options} --uncertainty {input}"
        " --out {output.conformal} 2> {log} || say_why {log}"


rule embed:
    input:
        predictions=[
            path for experiment in EXPERIMENTS for path in study.prediction_files(experiment, ["labelled"])
        ],
        hips=f"{R}/hips/labelled.csv",
    output:
        f"{R}/embedding.csv",
    log:
        f"{R}/logs/embed.log",
    benchmark:
        f"{R}/benchmarks/embed.tsv"
    conda:
        "../../envs/evaluation.yaml"
    resources:
        mem_mb=memory("embed"),
        runtime=minutes("embed"),
    params:
        options=study.flags("embed"),
        code=stage_code("embed"),
    message:
        "Mapping the features"
    shell:
        "python -m hipoa embed {params.options} --predictions {input.predictions} --hips {input.hips}"
        " --out {output} 2> {log} || say_why {log}"


rule explain:
    input:
        uncertainty=f"{R}/uncertainty/{{experiment}}.csv",
        models=lambda wildcards: study.explaining_models(wildcards.experiment, ".safetensors"),
        records=lambda wildcards: study.explaining_models(wildcards.experiment, ".json"),
        stack=f"{R}/hips/labelled.npz",
    output:
        f"{R}/explanations/{{experiment}}.npz",
    log:
        f"{R}/logs/explain/{{experiment}}.log",
    benchmark:
        f"{R}/benchmarks/explain/{{experiment}}.tsv"
    conda:
        environment("grading")
    threads: 1
    resources:
        mem_mb=memory("explain"),
        runtime=minutes("explain"),
    params:
        options=study.flags("explain"),
        code=stage_code("explain"),
    message:
        "Asking {wildcards.experiment} where it looked"
    shell:
        "python -m hipoa explain {params.options} --experiment {wildcards.experiment}"
        " --uncertainty {input.uncertainty} --models {input.models} --records {input.records}"
        " --stack {input.stack} --out {output} 2> {log} || say_why {log}"
