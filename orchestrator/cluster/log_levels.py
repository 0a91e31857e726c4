"""Silence the logs of Ray, MLflow and PyTorch unless --verbose is given.

Most of these settings are read when the library is imported, or by the processes that it starts, so `quiet` has to run
before the first import of ray, mlflow or torch. Variables that are already set in the environment are kept.
"""

import logging
import os
import warnings

# Telemetry is off, also with --verbose: sending data is the user's decision.
_PRIVATE = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
}

_SILENT = {
    "GIT_PYTHON_REFRESH": "quiet",  # MLflow warns where git is not installed
    "GLOG_minloglevel": "2",
    "GRPC_VERBOSITY": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_PRINT_MODEL_URLS_ON_CREATION": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # avoids a FutureWarning for every worker without a GPU
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_LOGGER_LEVEL": "ERROR",
    "RAY_LOG_TO_STDERR": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "TOKENIZERS_PARALLELISM": "false",
}

_LOGGERS = (
    "alembic",
    "botocore",
    "boto3",
    "git",
    "graphene",
    "matplotlib",
    "mlflow",
    "py4j",
    "ray",
    "ray.data",
    "ray.serve",
    "ray.train",
    "ray.tune",
    "rllib",
    "torch",
    "urllib3",
)

_WARNINGS_OF = (
    "alembic",
    "botocore",
    "google",
    "matplotlib",
    "mlflow",
    "pydantic",
    "ray",
    "sklearn",
    "sqlalchemy",
    "torch",
)


def quiet(verbose: bool = False) -> None:
    """Silence the libraries above, unless `verbose`. Usage statistics are switched off in either case.

    Call it before ray, mlflow or torch are imported. Calling it again has no effect.
    """
    for name, value in _PRIVATE.items():
        os.environ.setdefault(name, value)
    if verbose:
        return
    for name, value in _SILENT.items():
        os.environ.setdefault(name, value)
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    # Libraries warn about each other's interfaces. Warnings that the user's own code raises stay visible.
    for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
        warnings.simplefilter("ignore", category)
    warnings.filterwarnings("ignore", module=rf"({'|'.join(_WARNINGS_OF)})(\.|$)")
    os.environ.setdefault("PYTHONWARNINGS", "ignore::DeprecationWarning,ignore::FutureWarning")
