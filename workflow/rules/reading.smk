use rule stage as rounds with:
    input:
        uncertainty=UNCERTAINTY,
        hips=f"{R}/hips/labelled.csv",
        triage=f"{R}/triage.csv",
    output:
        out=f"{R}/rounds.csv",
    log:
        f"{R}/logs/rounds.log",
    benchmark:
        f"{R}/benchmarks/rounds.tsv"
    params:
        # The folder of earlier rounds is not an input: this round is added to it, and no run can make it again.
        command=command(study, "rounds", f"--setup {training_hash(study)} --history {study.history}/rounds"),
        code=stage_code("rounds"),
    message:
        "Comparing this round of reading with those before"
