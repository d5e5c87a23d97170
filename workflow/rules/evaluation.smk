use rule stage as uncertainty with:
    input:
        predictions=lambda wildcards: study.paths("predict", experiment=wildcards.experiment),
        hips=lambda wildcards: [
            f"{R}/hips/{cohort}.csv" for cohort in study.predicted_cohorts(wildcards.experiment)
        ],
    output:
        out=f"{R}/uncertainty/{{experiment}}.csv",
    log:
        f"{R}/logs/uncertainty/{{experiment}}.log",
    benchmark:
        f"{R}/benchmarks/uncertainty/{{experiment}}.tsv"
    params:
        command=command(study, "uncertainty", "--experiment {experiment}"),
        code=stage_code("uncertainty"),
    message:
        "Computing the uncertainty of the predictions of {wildcards.experiment}"


use rule stage as metrics with:
    input:
        uncertainty=UNCERTAINTY,
        hips=HIPS,
        truth=study.truths,
    output:
        out=shown(f"{R}/metrics.csv", "metrics", "Tables"),
        confusion=shown(f"{R}/confusion.csv", "confusion", "Tables"),
        subgroups=shown(f"{R}/subgroups.csv", "subgroups", "Tables"),
    log:
        f"{R}/logs/metrics.log",
    benchmark:
        f"{R}/benchmarks/metrics.tsv"
    params:
        command=command(study, "metrics", pick(study, "hips", "class_table")),
        code=stage_code("metrics"),
    message:
        "Computing the accuracy of the predictions"


use rule stage as compare with:
    input:
        uncertainty=UNCERTAINTY,
    output:
        out=shown(f"{R}/compare.csv", "compare", "Tables"),
        differences=shown(f"{R}/differences.csv", "differences", "Tables"),
    log:
        f"{R}/logs/compare.log",
    benchmark:
        f"{R}/benchmarks/compare.tsv"
    params:
        command=command(study, "compare"),
        code=stage_code("compare"),
    message:
        "Comparing networks and cohorts"


use rule stage as calibrate with:
    input:
        uncertainty=UNCERTAINTY,
    output:
        out=shown(f"{R}/calibration.csv", "calibration", "Tables"),
        reliability=f"{R}/reliability.csv",
        decision=shown(f"{R}/decision.csv", "decision", "Tables"),
    log:
        f"{R}/logs/calibrate.log",
    benchmark:
        f"{R}/benchmarks/calibrate.tsv"
    params:
        command=command(study, "calibrate", pick(study, "hips", "class_table")),
        code=stage_code("calibrate"),
    message:
        "Measuring calibration before and after temperature scaling, and net benefit"


use rule stage as detect with:
    input:
        uncertainty=UNCERTAINTY,
    output:
        out=shown(f"{R}/detection.csv", "detection", "Tables"),
        curves=f"{R}/risk_coverage.csv",
    log:
        f"{R}/logs/detect.log",
    benchmark:
        f"{R}/benchmarks/detect.tsv"
    params:
        command=command(study, "detect"),
        code=stage_code("detect"),
    message:
        "Measuring failure detection by uncertainty"


use rule stage as conform with:
    input:
        uncertainty=UNCERTAINTY,
    output:
        out=shown(f"{R}/conformal.csv", "conformal", "Tables"),
    log:
        f"{R}/logs/conform.log",
    benchmark:
        f"{R}/benchmarks/conform.tsv"
    params:
        command=command(study, "conform"),
        code=stage_code("conform"),
    message:
        "Computing conformal prediction sets"


use rule stage as embed with:
    input:
        predictions=study.paths("predict", cohort="labelled"),
        hips=f"{R}/hips/labelled.csv",
    output:
        out=f"{R}/embedding.csv",
    log:
        f"{R}/logs/embed.log",
    benchmark:
        f"{R}/benchmarks/embed.tsv"
    params:
        command=command(study, "embed"),
        code=stage_code("embed"),
    message:
        "Computing the UMAP of the features"


use rule stage as explain with:
    input:
        uncertainty=f"{R}/uncertainty/{{experiment}}.csv",
        # The models of the first repeat predicted every labelled hip once.
        models=[f"{R}/models/{{experiment}}/r0f{fold}.safetensors" for fold in FOLDS],
        records=[f"{R}/models/{{experiment}}/r0f{fold}.json" for fold in FOLDS],
        stack=f"{R}/hips/labelled.npz",
    output:
        out=f"{R}/explanations/{{experiment}}.npz",
    log:
        f"{R}/logs/explain/{{experiment}}.log",
    benchmark:
        f"{R}/benchmarks/explain/{{experiment}}.tsv"
    conda:
        environment("grading")
    params:
        command=command(study, "explain", "--experiment {experiment}"),
        code=stage_code("explain"),
    message:
        "Computing saliency maps for {wildcards.experiment}"
