use rule stage as triage with:
    input:
        uncertainty=UNCERTAINTY,
        predictions=study.feature_files(),
        hips=HIPS,
        differences=f"{R}/differences.csv",
    output:
        out=shown(f"{R}/triage.csv", "triage_table", "Hips to read next"),
    log:
        f"{R}/logs/triage.log",
    benchmark:
        f"{R}/benchmarks/triage.tsv"
    params:
        command=command(study, "triage"),
        code=stage_code("triage"),
    message:
        "Ranking the unread hips"


use rule stage as label_errors with:
    input:
        uncertainty=UNCERTAINTY,
        hips=f"{R}/hips/labelled.csv",
        differences=f"{R}/differences.csv",
    output:
        out=f"{R}/label_errors.csv",
    log:
        f"{R}/logs/label_errors.log",
    benchmark:
        f"{R}/benchmarks/label_errors.tsv"
    params:
        command=command(study, "label_errors"),
        code=stage_code("label_errors"),
    message:
        "Finding likely label errors"


use rule stage as simulate with:
    input:
        study.weight_files(study.simulated_experiment),
        hips=[path for path in HIPS if "pool" not in path.rpartition("/")[2]],
        stacks=[path for path in STACKS if "pool" not in path.rpartition("/")[2]],
    output:
        out=f"{R}/simulation.csv",
    log:
        f"{R}/logs/simulate.log",
    benchmark:
        f"{R}/benchmarks/simulate.tsv"
    conda:
        environment("grading")
    params:
        command=command(study, "simulate", simulate_flags(study)),
        code=stage_code("simulate"),
    message:
        "Simulating active learning on the graded hips"
