rule triage:
    input:
        uncertainty=UNCERTAINTY,
        predictions=study.feature_files(),
        hips=HIPS,
    output:
        shown(f"{R}/triage.csv", "triage_table", "Hips to read next"),
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
        "python -m hipoa triage {params.options} --uncertainty {input.uncertainty}"
        " --predictions {input.predictions} --hips {input.hips}"
        " --out {output} 2> {log} || say_why {log}"


rule label_errors:
    input:
        uncertainty=UNCERTAINTY,
        hips=f"{R}/hips/labelled.csv",
    output:
        f"{R}/label_errors.csv",
    log:
        f"{R}/logs/label_errors.log",
    benchmark:
        f"{R}/benchmarks/label_errors.tsv"
    conda:
        "../../envs/evaluation.yaml"
    resources:
        mem_mb=memory("label_errors"),
        runtime=minutes("label_errors"),
    params:
        options=study.flags("label_errors"),
        code=stage_code("label_errors"),
    message:
        "Looking for labels that the models doubt"
    shell:
        "python -m hipoa label_errors {params.options} --uncertainty {input.uncertainty} --hips {input.hips}"
        " --out {output} 2> {log} || say_why {log}"


rule simulate:
    input:
        hips=[path for path in HIPS if "pool" not in path.rpartition("/")[2]],
        stacks=[path for path in STACKS if "pool" not in path.rpartition("/")[2]],
        pretrained=study.weight_files(study.simulated_experiment),
    output:
        f"{R}/simulation.csv",
    log:
        f"{R}/logs/simulate.log",
    benchmark:
        f"{R}/benchmarks/simulate.tsv"
    conda:
        environment("grading")
    threads: 1
    resources:
        mem_mb=memory("simulate"),
        runtime=minutes("simulate"),
    params:
        options=study.flags("simulate", "bootstrap"),
        list=study.simulate_flags(),
        code=stage_code("simulate"),
        pretrained=study.pretrained_flags(study.simulated_experiment),
    message:
        "Simulating which hips it would have paid to read"
    shell:
        "python -m hipoa simulate {params.options} {params.list} --hips {input.hips} --stacks {input.stacks}"
        " {params.pretrained} --out {output} 2> {log} || say_why {log}"
