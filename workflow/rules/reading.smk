rule rounds:
    input:
        uncertainty=UNCERTAINTY,
        hips=f"{R}/hips/labelled.csv",
        triage=f"{R}/triage.csv",
    output:
        f"{R}/rounds.csv",
    log:
        f"{R}/logs/rounds.log",
    benchmark:
        f"{R}/benchmarks/rounds.tsv"
    conda:
        "../../envs/evaluation.yaml"
    resources:
        mem_mb=memory("rounds"),
        runtime=minutes("rounds"),
    params:
        options=study.flags("bootstrap"),
        code=stage_code("rounds"),
        setup=study.setup_hash(),
        # What no run can make again: the rounds before.
        history=f"{study.history}/rounds",
    message:
        "Comparing this round of annotation with those before"
    shell:
        "python -m hipoa rounds {params.options} --uncertainty {input.uncertainty} --hips {input.hips}"
        " --triage {input.triage} --setup {params.setup} --history {params.history}"
        " --out {output} 2> {log} || say_why {log}"
