"""A command imports nothing slow that it does not need. Times depend on the machine, modules do not."""

import json
import subprocess
import sys

import grimp
import pytest
from conftest import ROOT
from recorded import record, training

SLOW = {"torch", "mlflow", "pandas", "scipy", "ray", "optuna", "rich", "pydantic", "sklearn", "jinja2"}
RUN = """
import importlib, json, sys
for module in json.loads(sys.argv[2]):
    importlib.import_module(module)
before = {*sys.modules}
from study.cli import main
sys.argv = ["lr-study", *json.loads(sys.argv[1])]
try:
    main()
except SystemExit:
    pass
print(json.dumps(sorted({*sys.modules, *(name.partition(".")[0] for name in sys.modules)} - before)))
"""
TABLE = "task,scheme,trial,score\nt,a,0,.9\nt,a,1,.7\nt,b,0,.8\nt,b,1,.6\n"


def imported(folder, *words, beside=(), of=SLOW):
    """Those of the modules that a command leaves imported, in a process of its own, where `beside` are already."""
    command = [sys.executable, "-c", RUN, json.dumps(words), json.dumps(beside)]
    out = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT), "PATH": ""}
    )
    return set(of) & set(json.loads(out.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (["--help"], set()),
        (["run", "--help"], set()),
        (["status", "nothing"], set()),
        (["cancel", "nothing"], set()),
        (["list", "searchers"], set()),
        (["list", "stoppers"], set()),
        (["schema"], {"pydantic"}),
        (["list", "schemes"], {"torch"}),
        (["list", "tasks"], {"torch"}),
        (["list", "studies"], {"torch", "pydantic"}),
        (["cost", "trials.csv", "--target", "0.8", "--baseline", "a"], {"pandas", "scipy", "rich"}),
        (["cost", "trials.csv", "--json", "a.json", "--markdown", "--figures", "."], {"pandas", "scipy"}),
    ],
    ids=lambda value: " ".join(sorted(value) if isinstance(value, set) else value),
)
def test_a_command_imports_what_it_needs_and_nothing_else_that_is_slow(words, needed, tmp_path):
    (tmp_path / "trials.csv").write_text(TABLE)
    assert imported(tmp_path, *words) == needed


def test_the_page_of_a_saved_record_waits_for_no_store_and_for_no_fit_of_a_grid(tmp_path):
    record(training([0.3, 0.9]), training([0.2, 0.8], arm="b")).to_csv(tmp_path / "saved.csv", index=False)
    needed = imported(tmp_path, "report", "saved.csv", "--output", "page", of=("mlflow", "scipy.optimize", "scipy"))
    assert needed == {"scipy"}
    assert (tmp_path / "page" / "report.html").is_file()


def test_where_there_is_a_store_status_waits_for_mlflow_alone(tmp_path):
    """MLflow brings pandas and scipy by itself."""
    from study.tracking import client

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client(uri)
    said = imported(tmp_path, "status", "nothing", "--tracking-uri", uri, beside=["mlflow.tracking"])
    assert said <= {"pandas", "scipy"}


def test_no_module_imports_itself_through_others_type_only_imports_included():
    graph = grimp.build_graph("study", "trainables", exclude_type_checking_imports=False)
    above = {name: set(graph.find_modules_directly_imported_by(name)) for name in graph.modules}
    while True:  # what imports nothing that is left lies on no cycle
        free = {name for name, below in above.items() if not below & above.keys()}
        if not free:
            break
        above = {name: below for name, below in above.items() if name not in free}
    assert not above
