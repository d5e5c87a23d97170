rule figures:
    input:
        hips=HIPS,
        stacks=STACKS,
        uncertainty=UNCERTAINTY,
        tables=[f"{R}/{name}" for name in DRAWN_FROM],
        models=MODEL_RECORDS,
        augmentation=f"{R}/augmentation.npz",
    output:
        figure_files(),
    log:
        f"{R}/logs/figures.log",
    benchmark:
        f"{R}/benchmarks/figures.tsv"
    conda:
        "../../envs/evaluation.yaml"
    resources:
        mem_mb=memory("figures"),
        runtime=minutes("figures"),
    params:
        code=stage_code("figures"),
        out=lambda wildcards, output: Path(output[0]).parent,
    message:
        "Drawing the figures"
    shell:
        "python -m hipoa figures --hips {input.hips} --stacks {input.stacks}"
        " --uncertainty {input.uncertainty} --tables {input.tables} --models {input.models}"
        " --augmentation {input.augmentation} --out {params.out} 2> {log} || say_why {log}"


rule report:
    input:
        figures=[f"{R}/figures/{name}" for name in DRAWN],
        hips=HIPS,
        stacks=STACKS,
        uncertainty=UNCERTAINTY,
        tables=[f"{R}/{name}" for name in SOURCES],
        models=MODEL_RECORDS,
        weights=WEIGHT_RECORDS,
        explanations=study.explanations,
        ceilings=study.ceilings,
        truth=study.truths,
    output:
        report=shown(f"{R}/report.html", "report", "Report"),
        manifest=f"{R}/manifest.json",
    log:
        f"{R}/logs/report.log",
    benchmark:
        f"{R}/benchmarks/report.tsv"
    conda:
        "../../envs/evaluation.yaml"
    resources:
        mem_mb=memory("report"),
        runtime=minutes("report"),
    params:
        options=study.flags("report"),
        code=stage_code("report"),
        figures=lambda wildcards, input: Path(input.figures[0]).parent,
        study=study.config["study"],
        config=study.record(),
    message:
        "Writing the report"
    shell:
        "python -m hipoa report {params.options} --study {params.study}"
        " --config <(printf '%s' {params.config:q})"
        " --figures {params.figures} --hips {input.hips} --stacks {input.stacks}"
        " --uncertainty {input.uncertainty} --tables {input.tables} --models {input.models}"
        " --weights {input.weights} --explanations {input.explanations}"
        " --ceilings {input.ceilings} --truth {input.truth}"
        " --out {output.report} --manifest {output.manifest} 2> {log} || say_why {log}"
