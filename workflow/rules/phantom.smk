rule phantom:
    output:
        cases=f"{R}/phantom/{{cohort}}/{{shard}}.cases.csv",
        grades=f"{R}/phantom/{{cohort}}/{{shard}}.grades.csv",
        truth=f"{R}/phantom/{{cohort}}/{{shard}}.truth.csv",
        ceiling=f"{R}/phantom/{{cohort}}/{{shard}}.ceiling.json",
    log:
        f"{R}/logs/phantom/{{cohort}}/{{shard}}.log",
    benchmark:
        f"{R}/benchmarks/phantom/{{cohort}}/{{shard}}.tsv"
    wildcard_constraints:
        shard=r"phantom\d+",
    conda:
        environment("imaging")
    resources:
        mem_mb=memory("phantom"),
        runtime=minutes("phantom"),
    params:
        options=study.flags("phantom"),
        code=stage_code("phantom"),
        shard=lambda wildcards: study.phantom_flags(wildcards.shard),
    message:
        "Making synthetic CTs of the {wildcards.cohort} cohort ({wildcards.shard})"
    shell:
        "python -m hipoa phantom {params.options} {params.shard} --cohort {wildcards.cohort}"
        " --out {output.cases} --grades {output.grades} --truth {output.truth} --ceiling {output.ceiling}"
        " 2> {log} || say_why {log}"
