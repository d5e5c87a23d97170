rule triage:
    input:
        uncertainty=UNCERTAINTY,
        hips=HIPS,
    output:
        f"{R}/triage.csv",
    log:
        f"{R}/logs/triage.log",
    benchmark:
        f"{R}/benchmarks/triage.tsv"
    conda:
        "../../envs/evaluation.yaml"
    resources:
        mem_mb=memory("triage"),
        runtime=minutes("triage"),
    params:
        options=study.flags("triage"),
        code=stage_code("triage"),
    message:
        "Ranking the unread hips"
    shell:
        "python -m hipoa triage {params.options} --uncertainty {input.uncertainty} --hips {input.hips}"
        " --out {output} 2> {log} || say_why {log}"
