# Every other rule inherits this one. A job runs the command of its stage (`command`: its name, settings and other flags)
# on its named inputs and outputs (`files`); flags in `unseen` may change without a rerun.
rule stage:
    log:
        f"{R}/logs/stage.log",
    conda:
        "../../envs/evaluation.yaml"
    resources:
        mem_mb=ask_memory(study),
        runtime=ask_minutes(study),
    params:
        command="",
        files=lambda wildcards, input, output: file_flags(input, output),
        unseen="",
        code="",
    shell:
        "python -m hipoa {params.command} {params.files} {params.unseen} 2> {log} || note_signal {log}"
