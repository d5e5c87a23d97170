rule triage:
    message:
        "Ranking the unread hips"
    input:
        uncertainty=UNCERTAINTY,
        hips=HIPS,
    output:
        f"{R}/triage.csv",
    params:
        options=study.flags("triage"),
        code=stage_code("triage"),
    log:
        f"{R}/logs/triage.log",
    benchmark:
        f"{R}/benchmarks/triage.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=30,
    conda:
        "../../envs/evaluation.yaml"
    shell:
        "python -m hipoa triage {params.options} --uncertainty {input.uncertainty} --hips {input.hips}"
        " --out {output} 2> {log} || " + FAILED
