rule figures:
    input:
        hips=HIPS,
        stacks=STACKS,
        uncertainty=UNCERTAINTY,
        metrics=f"{R}/metrics.csv",
        compare=f"{R}/compare.csv",
        embedding=f"{R}/embedding.csv",
        triage=f"{R}/triage.csv",
        simulation=f"{R}/simulation.csv",
        models=MODEL_RECORDS,
        augmentation=f"{R}/augmentation.npz",
    output:
        [f"{R}/figures/{name}" for name in FIGURES],
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
        options=study.flags("figures"),
        code=stage_code("figures"),
        out=lambda wildcards, output: Path(output[0]).parent,
    message:
        "Drawing the figures"
    shell:
        "python -m hipoa figures {params.options} --hips {input.hips} --stacks {input.stacks}"
        " --uncertainty {input.uncertainty} --metrics {input.metrics} --compare {input.compare}"
        " --embedding {input.embedding} --triage {input.triage} --simulation {input.simulation}"
        " --models {input.models}"
        " --augmentation {input.augmentation} --out {params.out} 2> {log} || say_why {log}"


rule report:
    input:
        figures=[f"{R}/figures/{name}" for name in FIGURES],
        hips=HIPS,
        stacks=STACKS,
        uncertainty=UNCERTAINTY,
        tables=[f"{R}/{name}" for name in SOURCES],
        models=MODEL_RECORDS,
        weights=WEIGHT_RECORDS,
        ceilings=study.ceilings,
        truth=study.truths,
    output:
        report=f"{R}/report.html",
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
        " --weights {input.weights}"
        " --ceilings {input.ceilings} --truth {input.truth}"
        " --out {output.report} --manifest {output.manifest} 2> {log} || say_why {log}"
