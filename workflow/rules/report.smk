use rule stage as figures with:
    input:
        hips=HIPS,
        stacks=STACKS,
        uncertainty=UNCERTAINTY,
        tables=[f"{R}/{name}" for name in TABLES_DRAWN],
        models=MODEL_RECORDS,
        augmentation=f"{R}/augmentation.npz",
    output:
        figure_files(),
    log:
        f"{R}/logs/figures.log",
    benchmark:
        f"{R}/benchmarks/figures.tsv"
    params:
        command=command(study, "figures", f"--out {R}/figures"),
        code=stage_code("figures"),
    message:
        "Drawing the figures"


use rule stage as report with:
    input:
        [f"{R}/figures/{name}" for name in FIGURE_FILES],
        hips=HIPS,
        stacks=STACKS,
        uncertainty=UNCERTAINTY,
        tables=[f"{R}/{name}" for name in TABLES],
        models=MODEL_RECORDS,
        weights=study.paths("weights"),
        explanations=study.paths("explain"),
        ceilings=study.ceilings,
        truth=study.truths,
    output:
        out=shown(f"{R}/report.html", "report", "Report"),
        manifest=f"{R}/manifest.json",
    log:
        f"{R}/logs/report.log",
    benchmark:
        f"{R}/benchmarks/report.tsv"
    params:
        command=command(
            study,
            "report",
            f"--study {study.config['study']} --figures {R}/figures",
            lambda _: config_flag(study),
        ),
        code=stage_code("report"),
    message:
        "Writing the report"
