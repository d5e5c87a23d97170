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


use rule stage as agreement with:
    input:
        grade_tables(study),
        uncertainty=UNCERTAINTY,
        hips=HIPS,
    output:
        out=shown(f"{R}/agreement.csv", "agreement", "Tables"),
    log:
        f"{R}/logs/agreement.log",
    benchmark:
        f"{R}/benchmarks/agreement.tsv"
    conda:
        environment("grading")
    params:
        # Neither is an input: reading goes on while a run does, and the table of grades is the user's own.
        command=command(study, "agreement", readings_flags(study)),
        readings=readings_hash(study),
        code=stage_code("agreement"),
    message:
        "Comparing readers with each other and with the networks"
