use rule stage as phantom with:
    output:
        out=f"{R}/phantom/{{cohort}}/{{shard}}.cases.csv",
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
    params:
        command=command(
            study, "phantom", "--cohort {cohort}", lambda wildcards: phantom_flags(study, wildcards.shard)
        ),
        code=stage_code("phantom"),
    message:
        "Making synthetic CTs of the {wildcards.cohort} cohort ({wildcards.shard})"
