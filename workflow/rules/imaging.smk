use rule stage as project with:
    input:
        builtin_cases,  # the user's CTs are not inputs: `cases` notices a change of them
    output:
        out=f"{R}/projections/{{cohort}}/{{shard}}.csv",
        stack=f"{R}/projections/{{cohort}}/{{shard}}.npz",
    log:
        f"{R}/logs/project/{{cohort}}/{{shard}}.log",
    benchmark:
        f"{R}/benchmarks/project/{{cohort}}/{{shard}}.tsv"
    conda:
        environment("imaging")
    # One CT per thread is read and held in memory.
    threads: 4
    params:
        command=command(study, "project", *ct_flags(study), "--cache cache/project"),
        unseen=lambda wildcards, threads: reading_flags(study, threads),
        cases=lambda wildcards: cases_fingerprint(study, wildcards.cohort, wildcards.shard),
        code=stage_code("project"),
    message:
        "Projecting CTs of the {wildcards.cohort} cohort ({wildcards.shard})"


use rule stage as develop with:
    input:
        projections=f"{R}/projections/{{cohort}}/{{shard}}.csv",
        stack=f"{R}/projections/{{cohort}}/{{shard}}.npz",
    output:
        out=f"{R}/radiographs/{{cohort}}/{{shard}}.csv",
        radiographs=f"{R}/radiographs/{{cohort}}/{{shard}}.npz",
    log:
        f"{R}/logs/develop/{{cohort}}/{{shard}}.log",
    benchmark:
        f"{R}/benchmarks/develop/{{cohort}}/{{shard}}.tsv"
    conda:
        environment("imaging")
    params:
        command=command(study, "develop", f"--png {R}/radiographs/{{cohort}}/png"),
        code=stage_code("develop"),
    message:
        "Developing radiographs of the {wildcards.cohort} cohort ({wildcards.shard})"


use rule project as view with:
    output:
        out=f"{R}/views/{{cohort}}/{{shard}}.csv",
    log:
        f"{R}/logs/view/{{cohort}}/{{shard}}.log",
    benchmark:
        f"{R}/benchmarks/view/{{cohort}}/{{shard}}.tsv"
    params:
        command=command(
            study, "view", *ct_flags(study), "--cache cache/view", f"--png {R}/views/{{cohort}}/png"
        ),
        code=stage_code("view"),
    message:
        "Making 16-bit views of the {wildcards.cohort} cohort ({wildcards.shard})"
