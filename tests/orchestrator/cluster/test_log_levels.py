from tests.orchestrator.cli.commands import python

CLEAN = "import os\nfor name in list(os.environ):\n    name.startswith(('RAY_', 'MLFLOW_')) and os.environ.pop(name)\n"


def environment(call: str) -> dict[str, str]:
    code = CLEAN + f"from orchestrator.cluster.log_levels import quiet\n{call}\nprint(dict(os.environ))"
    found: dict[str, str] = eval(python(code).stdout)
    return found


def test_libraries_are_silenced() -> None:
    found = environment("quiet()")
    assert found["MLFLOW_LOGGING_LEVEL"] == "ERROR" and found["RAY_LOGGER_LEVEL"] == "ERROR"


def test_verbose_leaves_their_output_alone_but_sends_no_statistics() -> None:
    found = environment("quiet(verbose=True)")
    assert "MLFLOW_LOGGING_LEVEL" not in found and "RAY_LOGGER_LEVEL" not in found
    assert found["MLFLOW_DISABLE_TELEMETRY"] == "true" and found["RAY_USAGE_STATS_ENABLED"] == "0"


def test_what_a_person_set_wins() -> None:
    assert environment("os.environ['MLFLOW_LOGGING_LEVEL'] = 'DEBUG'\nquiet()")["MLFLOW_LOGGING_LEVEL"] == "DEBUG"


def test_it_imports_none_of_them() -> None:
    code = "import sys; from orchestrator.cluster.log_levels import quiet; quiet(); print([*sys.modules])"
    assert not {"ray", "mlflow", "torch"} & set(eval(python(code).stdout))


def test_warnings_of_the_user_s_own_code_stay_visible() -> None:
    code = "from orchestrator.cluster.log_levels import quiet; quiet(); import warnings; warnings.warn('mine')"
    assert "UserWarning: mine" in python(code).stderr
