rule project:
    input:
        builtin_cases,  # the user's CTs are none: `cases` notices their change
    output:
        table=f"{R}/projections/{{cohort}}/{{shard}}.csv",
        stack=f"{R}/projections/{{cohort}}/{{shard}}.npz",
    log:
        f"{R}/logs/project/{{cohort}}/{{shard}}.log",
    benchmark:
        f"{R}/benchmarks/project/{{cohort}}/{{shard}}.tsv"
    conda:
        environment("imaging")
    # One reader per thread, each with one CT in memory.
    threads: 4
    resources:
        mem_mb=memory("project"),
        runtime=minutes("project"),
        # No parameter: more patience makes no other radiograph.
        read_timeout_s=study.config["data"]["read_timeout_s"],
    params:
        options=study.flags("project"),
        code=stage_code("project"),
        study=study.config["study"],
        source=lambda wildcards: study.source_flags(wildcards.cohort, wildcards.shard),
        cases=lambda wildcards: study.cases_fingerprint(wildcards.cohort, wildcards.shard),
    message:
        "Projecting CTs of the {wildcards.cohort} cohort ({wildcards.shard})"
    shell:
        "python -m hipoa project {params.options} {params.source} --cohort {wildcards.cohort}"
        " --cache cache/project --study {params.study} --readers {threads} --read-timeout-s {resources.read_timeout_s}"
        " --out {output.table} --stack {output.stack} 2> {log} || say_why {log}"


rule develop:
    input:
        table=f"{R}/projections/{{cohort}}/{{shard}}.csv",
        stack=f"{R}/projections/{{cohort}}/{{shard}}.npz",
    output:
        table=f"{R}/radiographs/{{cohort}}/{{shard}}.csv",
        stack=f"{R}/radiographs/{{cohort}}/{{shard}}.npz",
    log:
        f"{R}/logs/develop/{{cohort}}/{{shard}}.log",
    benchmark:
        f"{R}/benchmarks/develop/{{cohort}}/{{shard}}.tsv"
    conda:
        environment("imaging")
    resources:
        mem_mb=memory("develop"),
        runtime=minutes("develop"),
    params:
        options=study.flags("develop"),
        code=stage_code("develop"),
        png=lambda wildcards, output: Path(output.table).parent / "png",
    message:
        "Developing radiographs of the {wildcards.cohort} cohort ({wildcards.shard})"
    shell:
        "python -m hipoa develop {params.options} --projections {input.table} --stack {input.stack}"
        " --png {params.png} --out {output.table} --radiographs {output.stack} 2> {log} || say_why {log}"


rule view:
    input:
        builtin_cases,
    output:
        table=f"{R}/views/{{cohort}}/{{shard}}.csv",
    log:
        f"{R}/logs/view/{{cohort}}/{{shard}}.log",
    benchmark:
        f"{R}/benchmarks/view/{{cohort}}/{{shard}}.tsv"
    conda:
        environment("imaging")
    threads: 4
    resources:
        mem_mb=memory("view"),
        runtime=minutes("view"),
        read_timeout_s=study.config["data"]["read_timeout_s"],
    params:
        options=study.flags("project"),
        code=stage_code("view"),
        study=study.config["study"],
        source=lambda wildcards: study.source_flags(wildcards.cohort, wildcards.shard),
        cases=lambda wildcards: study.cases_fingerprint(wildcards.cohort, wildcards.shard),
        png=lambda wildcards, output: Path(output.table).parent / "png",
    message:
        "Making reading views of the {wildcards.cohort} cohort ({wildcards.shard})"
    shell:
        "python -m hipoa view {params.options} {params.source} --cohort {wildcards.cohort}"
        " --cache cache/view --study {params.study} --readers {threads} --read-timeout-s {resources.read_timeout_s}"
        " --png {params.png} --out {output.table} 2> {log} || say_why {log}"
